/** `sluice -c FILE`: tests, signals, or runs the proxy in the foreground until it is told to stop. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { dumpConfig } from '../config/dump.ts'
import type { Model } from '../config/model.ts'
import { formatProblem, type Problem, parseConfig } from '../config/parse.ts'
import { createGateway, type Gateway } from '../gateway.ts'
import { ListenError } from '../listen/listen-sockets.ts'
import { NGINX_VERSION, VERSION } from '../version.ts'
import type { RunArguments } from './arguments.ts'
import { ScriptWatcher } from './script-watcher.ts'

const SIGNALS = { stop: 'SIGTERM', quit: 'SIGQUIT', reload: 'SIGHUP', reopen: 'SIGUSR1' } as const

export async function runProxy(args: RunArguments): Promise<number> {
  if (args.version) {
    printVersion(args.build)
    return 0
  }
  const prefix = resolve(args.prefix ?? '.')
  const load = () =>
    parseConfig({
      file: resolve(prefix, args.config),
      prefix,
      directives: args.directives ?? undefined,
      errorLog: args.errorLog === null ? undefined : args.errorLog,
    })
  const loaded = load()
  const { model, problems, files } = loaded
  report(problems, args.quiet)
  const file = resolve(prefix, args.config)
  if (model === null) {
    if (args.test) process.stderr.write(`sluice: configuration file ${file} test failed\n`)
    return 1
  }
  if (args.signal !== null) return sendSignal(args.signal, resolve(prefix, model.main.pid))
  if (args.test) return await testOnly(model, prefix, file, args, files)
  return serve(model, prefix, load)
}

function report(problems: readonly Problem[], quiet: boolean): void {
  for (const problem of problems) {
    if (problem.severity === 'error' || !quiet)
      process.stderr.write(`sluice: [${LEVEL[problem.severity]}] ${formatProblem(problem)}\n`)
  }
}

const LEVEL = { error: 'emerg', warn: 'warn', notice: 'notice' } as const

/** Everything but the sockets: scripts are loaded too. */
async function testOnly(
  model: Model,
  prefix: string,
  file: string,
  args: RunArguments,
  files: { path: string; text: string }[],
): Promise<number> {
  try {
    const gateway = createGateway(model, {
      prefix,
      log: (level, message) => process.stderr.write(`sluice: [${level}] ${message}\n`),
    })
    await gateway.check()
  } catch (error) {
    process.stderr.write(
      `sluice: [emerg] ${message(error)}\nsluice: configuration file ${file} test failed\n`,
    )
    return 1
  }
  if (!args.quiet) {
    process.stderr.write(`sluice: the configuration file ${file} syntax is ok\n`)
    process.stderr.write(`sluice: configuration file ${file} test is successful\n`)
  }
  if (args.dump) process.stdout.write(dumpConfig(files), 'latin1')
  return 0
}

function sendSignal(signal: keyof typeof SIGNALS, pidFile: string): number {
  let pid: number
  try {
    pid = Number.parseInt(readFileSync(pidFile, 'latin1'), 10)
  } catch {
    process.stderr.write(
      `sluice: [error] open() "${pidFile}" failed (2: No such file or directory); is it running?\n`,
    )
    return 1
  }
  try {
    if (!(pid > 0)) throw new Error(`invalid PID number in "${pidFile}"`)
    process.kill(pid, SIGNALS[signal])
    return 0
  } catch (error) {
    process.stderr.write(`sluice: [alert] kill(${pid}) failed: ${message(error)}\n`)
    return 1
  }
}

type Load = () => ReturnType<typeof parseConfig>

async function serve(model: Model, prefix: string, load: Load): Promise<number> {
  let gateway: Gateway
  try {
    gateway = createGateway(model, { prefix })
    await gateway.listen()
  } catch (error) {
    process.stderr.write(`sluice: [emerg] ${message(error)}\n`)
    return 1
  }
  const watcher = new ScriptWatcher(gateway)
  // Signals are heard before the pid file tells anyone where to send them.
  const stopped = untilStopped(gateway, watcher, load)
  watcher.start()
  const pidFile = resolve(prefix, model.main.pid)
  mkdirSync(dirname(pidFile), { recursive: true })
  writeFileSync(pidFile, `${process.pid}\n`)
  announce(gateway)
  gateway.log(
    'notice',
    `using ${model.main.workerProcesses} worker process; start worker process ${process.pid}`,
  )
  const code = await stopped
  watcher.stop()
  rmSync(pidFile, { force: true })
  return code
}

function announce(gateway: Gateway): void {
  if (!process.stdout.isTTY) return
  const lines = gateway.addresses.map((address) => `  listening on ${address}`)
  const scripts = gateway.generation.scriptFiles.map((file) => `  script       ${file}`)
  process.stdout.write(
    `sluice ${VERSION}, generation ${gateway.generation.id}\n${[...lines, ...scripts].join('\n')}\n`,
  )
}

function untilStopped(gateway: Gateway, watcher: ScriptWatcher, load: Load): Promise<number> {
  return new Promise((done) => {
    let stopping = false
    const stop = (graceful: boolean): void => {
      if (stopping && graceful) return
      stopping = true
      gateway.log('notice', graceful ? 'gracefully shutting down' : 'exiting')
      const end = graceful ? gateway.drain() : gateway.close()
      end.then(() => done(0))
    }
    process.on('SIGTERM', () => stop(false))
    process.on('SIGINT', () => stop(false))
    process.on('SIGQUIT', () => stop(true))
    process.on('SIGHUP', () => void reload(gateway, watcher, load))
    process.on('SIGUSR1', () => {
      gateway.log('notice', 'reopening logs')
      gateway.reopenLogs()
    })
    process.on('SIGPIPE', () => undefined)
    // A defect of ours outside any request: said loudly, and everything else goes on.
    process.on('uncaughtException', (error) =>
      gateway.log('alert', `uncaught: ${error.stack ?? error.message}`),
    )
    process.on('unhandledRejection', (reason) => gateway.log('alert', `unhandled: ${String(reason)}`))
  })
}

/** A configuration that fails to load changes nothing and says why. */
async function reload(gateway: Gateway, watcher: ScriptWatcher, load: Load): Promise<void> {
  gateway.log('notice', 'reconfiguring')
  const { model, problems } = load()
  for (const problem of problems) gateway.log(LEVEL[problem.severity], formatProblem(problem))
  if (model === null) return
  try {
    const { generation, took } = await gateway.reload(model)
    gateway.log('notice', `generation ${generation} serves after ${took.toFixed(1)} ms`)
    watcher.start()
  } catch (error) {
    gateway.log('emerg', `${message(error)}; the running configuration stays`)
  }
}

function message(error: unknown): string {
  if (error instanceof ListenError) return error.message
  return error instanceof Error ? error.message : String(error)
}

/** nginx's own words first: programs that drive nginx read them. */
function printVersion(build: boolean): void {
  process.stderr.write(`nginx version: nginx/${NGINX_VERSION} (sluice/${VERSION})\n`)
  if (!build) return
  process.stderr.write(`built by node ${process.version}\nconfigure arguments: ${BUILT.join(' ')}\n`)
}

/** What works beyond nginx's defaults, and which of the defaults do not. */
const BUILT = [
  '--with-http_realip_module',
  '--with-http_addition_module',
  '--with-http_auth_request_module',
  '--with-http_sub_module',
  '--with-http_v2_module',
  '--without-http_charset_module',
  '--without-http_userid_module',
  '--without-http_auth_basic_module',
  '--without-http_autoindex_module',
  '--without-http_referer_module',
  '--without-http_fastcgi_module',
  '--without-http_uwsgi_module',
  '--without-http_scgi_module',
  '--without-http_grpc_module',
  '--without-http_memcached_module',
  '--without-http_limit_conn_module',
  '--without-http_limit_req_module',
  '--without-http_browser_module',
  '--without-http-cache',
  '--without-http_upstream_sticky_module',
]
