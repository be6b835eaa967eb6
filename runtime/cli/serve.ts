/**
 * Runs the proxy in the foreground until it is told to stop: as one process, or as a supervisor with its workers. Owns
 * the signals and the pid file.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Admin } from '../admin/admin.ts'
import { companions } from '../companion.ts'
import type { Model } from '../config/model.ts'
import { formatProblem, type Problem } from '../config/parse.ts'
import type { SourceFile } from '../config/reader.ts'
import type { Control, LoadConfig } from '../control.ts'
import { MachineFleet } from '../fleet/machine-fleet.ts'
import { createGateway } from '../gateway.ts'
import { GatewayControl } from '../gateway-control.ts'
import { countWorkers, Supervisor } from '../supervisor/supervisor.ts'
import { VERSION } from '../version.ts'
import { EarlySignals } from './early-signals.ts'
import { refusalText, showExcerpt } from './refusal.ts'
import { ScriptWatcher } from './script-watcher.ts'
import { makeStyle, type Style } from './style.ts'

export interface ServeOptions {
  readonly model: Model
  /** What it was read from. */
  readonly files: readonly SourceFile[]
  readonly prefix: string
  readonly load: LoadConfig
}

/** How severities of problems are called in the log. */
export const LEVEL = { error: 'emerg', notice: 'notice' } as const satisfies Record<
  Problem['severity'],
  string
>

/** @returns the exit code */
export async function serve(options: ServeOptions): Promise<number> {
  const { model, prefix } = options
  const early = new EarlySignals()
  let started: Awaited<ReturnType<typeof startWithCompanions>>
  try {
    started = await startWithCompanions(options, early)
  } catch (error) {
    if (early.stopped) return 0
    process.stderr.write(`sluice: [emerg] ${refusalText(error, terminal())}\n`)
    return 1
  }
  const { control, admin, fleet } = started
  const watcher = new ScriptWatcher(control)
  // Signals are heard before the pid file tells anyone where to send them.
  const stopped = untilStopped(control, watcher, fleet)
  early.replay()
  watcher.start()
  const pidFile = resolve(prefix, model.main.pid)
  mkdirSync(dirname(pidFile), { recursive: true })
  writeFileSync(pidFile, `${process.pid}\n`)
  announce(control)
  await stopped
  admin.close()
  await fleet.close()
  watcher.stop()
  rmSync(pidFile, { force: true })
  return 0
}

/** The proxy, and beside it the admin API and what it shares with other machines. @throws as all do; nothing runs then */
async function startWithCompanions(options: ServeOptions, early: EarlySignals) {
  const { model, files, prefix } = options
  const config = files[0].path
  const fleet = new MachineFleet({ config, prefix })
  const control = await startWithCanaries(options, fleet, early)
  fleet.attach(control)
  const admin = new Admin(control, { config, prefix }, fleet)
  const companion = companions(admin, fleet)
  try {
    const change = await companion.prepare(model)
    change.commit()
  } catch (error) {
    await control.stop(false)
    throw error
  }
  control.companion = companion
  return { control, admin, fleet }
}

/** With the canaries of the fleet, unless they are what keeps it from starting. @throws as `start` */
async function startWithCanaries(
  options: ServeOptions,
  fleet: MachineFleet,
  early: EarlySignals,
): Promise<Control> {
  const all = { ...options, load: fleet.wrap(options.load) }
  const model = fleet.overlay(options.model)
  if (model === options.model) return start(all, early)
  try {
    return await start({ ...all, model }, early)
  } catch (error) {
    if (early.stopped) throw error
    const control = await start(all, early)
    fleet.leaveCanariesOut(message(error))
    return control
  }
}

/** nginx's rule: no master process, no workers. */
async function start({ model, files, prefix, load }: ServeOptions, early: EarlySignals): Promise<Control> {
  const { main } = model
  if (main.masterProcess && countWorkers(main) > 1) {
    const supervisor = new Supervisor({ model, files, prefix, load })
    early.listen(() => void supervisor.stop(false))
    await supervisor.start()
    early.keep()
    return supervisor
  }
  const gateway = createGateway(model, { prefix })
  await gateway.listen()
  gateway.log('notice', `using 1 worker process; start worker process ${process.pid}`)
  return new GatewayControl(gateway, load, files)
}

function announce(control: Control): void {
  if (!process.stdout.isTTY) return
  const lines = control.addresses.map((address) => `  listening on ${address}`)
  const scripts = control.scriptFiles.map((file) => `  script       ${file}`)
  const { id } = control.generation
  process.stdout.write(`sluice ${VERSION}, generation ${id}\n${[...lines, ...scripts].join('\n')}\n`)
}

function untilStopped(control: Control, watcher: ScriptWatcher, fleet: MachineFleet): Promise<void> {
  return new Promise((done) => {
    let stopping: 'no' | 'gracefully' | 'at once' = 'no'
    const stop = (graceful: boolean): void => {
      if (stopping === 'at once' || (stopping === 'gracefully' && graceful)) return
      stopping = graceful ? 'gracefully' : 'at once'
      // What drains has no say in what is to serve.
      void fleet.close()
      void control.stop(graceful).then(done)
    }
    process.on('SIGTERM', () => stop(false))
    process.on('SIGINT', () => stop(false))
    process.on('SIGQUIT', () => stop(true))
    process.on('SIGHUP', () => void reload(control, watcher))
    process.on('SIGUSR1', () => {
      control.log('notice', 'reopening logs')
      void control.reopen()
    })
    process.on('SIGUSR2', () => void restart(control))
    process.on('SIGPIPE', () => undefined)
    // A defect of ours outside any request: said loudly, and everything else goes on.
    process.on('uncaughtException', (error) =>
      control.log('alert', `uncaught: ${error.stack ?? error.message}`),
    )
    process.on('unhandledRejection', (reason) => control.log('alert', `unhandled: ${String(reason)}`))
  })
}

/** A configuration that fails to load changes nothing and says why. */
async function reload(control: Control, watcher: ScriptWatcher): Promise<void> {
  control.log('notice', 'reconfiguring')
  try {
    const { problems, swap } = await control.reload()
    for (const problem of problems) control.log(LEVEL[problem.severity], formatProblem(problem))
    if (swap === null) return
    control.log('notice', `generation ${swap.generation} serves after ${swap.took.toFixed(1)} ms`)
    watcher.start()
  } catch (error) {
    control.log('emerg', `${message(error)}; the running configuration stays`)
    showExcerpt(error, process.stderr, terminal())
  }
}

/** A version of the program that cannot serve leaves the running one alone. */
async function restart(control: Control): Promise<void> {
  try {
    await control.restart()
  } catch (error) {
    control.log('emerg', `${message(error)}; the running workers stay`)
  }
}

function terminal(): Style {
  return makeStyle(process.stderr.isTTY)
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
