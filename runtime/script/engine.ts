/**
 * Scripts as the rest of the proxy sees them: a file becomes handlers, one for each phase that it has a hook for. Owns
 * what outlives a sandbox: the policy on errors, the statistics, and the making of a new sandbox from the same sources
 * when one is lost. Knows requests through `phases.ts` alone.
 */
import { basename } from 'node:path'
import {
  type HookRequest,
  type LogLevel,
  Outcome,
  type Phase,
  type PhaseHandler,
  type ScriptHost,
  type ScriptLimits,
} from '../phases.ts'
import { Allowed } from './door.ts'
import { GuestLog, harmless } from './guest-log.ts'
import { fromBytes, GuestError, toBytes } from './guest-values.ts'
import { HOOKS, type Hook } from './hook-exports.ts'
import { isLoss, LEFT_OUT, STARTING, toFailure } from './hook-failures.ts'
import { type HookStats, HookWatch } from './hook-watch.ts'
import { Losses } from './losses.ts'
import { ModuleFiles, type ModuleFilesOptions } from './module-files.ts'
import { type Compiled, compileQuickJs } from './quickjs-module.ts'
import type { RepeatStats } from './repeats.ts'
import { Sandbox, type SandboxOwner } from './sandbox.ts'
import {
  type Fault,
  type Frame,
  faultLine,
  type HookFailure,
  ScriptError,
  scriptFault,
} from './script-error.ts'
import { exportFrame, loadInto } from './script-load.ts'
import { selfTest } from './self-test.ts'
import type { Slot } from './slots.ts'

export { type HookStats, ScriptError }

export interface ScriptOptions {
  /** Absolute. */
  readonly file: string
  /** Imports may not leave this folder tree. Default: the folder of the file. */
  readonly root?: string
  /** The file's text, instead of reading it. */
  readonly source?: string
  readonly params: Readonly<Record<string, string>>
  readonly limits: ScriptLimits
  /** What a failing hook does to its request: ends it, or is passed over. */
  readonly onError: 'closed' | 'open'
  readonly host: ScriptHost
  /** What {@link readScript} has read, or an earlier script of the same file consisted of. Default: reads the file. */
  readonly modules?: ModuleFiles
  /** The file whose `ws.state` it goes on with. Default: `file`. */
  readonly stateFile?: string
  /** Overruns in a row after which a hook is left out for a while; default: never. */
  readonly ejectAfter?: number
  /**
   * Asked before it is: whoever says true sees to it that another script takes over ({@link Script.succeedBy}).
   * @param reason for the error log
   */
  readonly eject?: (script: Script, reason: string) => boolean
}

/** Hears how each call of a script's hooks ends. */
export interface HookObserver {
  /** @param took ms, waiting included */
  succeeded(took: number): void
  failed(overrun: boolean): void
}

export interface ScriptStats {
  readonly hooks: { readonly [H in Hook]?: HookStats }
  unhandledRejections: number
  /** Sandboxes lost and made anew. */
  respawns: number
  /** Functions of `sluice.every`. */
  readonly repeats: RepeatStats
}

let tested: Promise<Compiled> | null = null

/** The engine's binary, compiled and proven once per process. */
function engine(): Promise<Compiled> {
  tested ??= compileQuickJs().then((compiled) => {
    selfTest(compiled)
    return compiled
  })
  return tested
}

/**
 * Loads a script and runs its `init`.
 * @throws ScriptError saying where and why it is refused: syntax, imports, a throw at the top level, exports that are no
 * hooks, `init` failing
 */
export async function loadScript(options: ScriptOptions): Promise<Script> {
  const compiled = await engine()
  const modules = options.modules ?? (await readScript(options))
  const script = new Script(options, compiled, modules)
  try {
    await script.load()
  } catch (error) {
    script.dispose()
    throw error
  }
  return script
}

/** Reads a script and what it imports, without loading it. @throws ScriptError */
export async function readScript(
  options: Pick<ScriptOptions, 'file' | 'root' | 'source'> & Pick<ModuleFilesOptions, 'texts'>,
): Promise<ModuleFiles> {
  try {
    const modules = new ModuleFiles(options)
    await modules.prepare()
    return modules
  } catch (error) {
    if (error instanceof GuestError) {
      const place = { file: options.file, line: 0, column: 0, excerpt: '' }
      throw new ScriptError(place, fromBytes(error.message))
    }
    throw error
  }
}

export class Script implements SandboxOwner {
  readonly file: string
  /** One handler per hook that the script exports. */
  readonly hooks: { readonly [P in Phase]?: PhaseHandler } = {}
  /** Names of everything that the script exports. */
  exports: readonly string[] = []
  readonly stats: ScriptStats = {
    hooks: {},
    unhandledRejections: 0,
    respawns: 0,
    repeats: { runs: 0, errors: 0, overruns: 0, skipped: 0 },
  }
  readonly #options: ScriptOptions
  readonly #compiled: Compiled
  readonly #modules: ModuleFiles
  readonly #watches: { [H in Hook]?: HookWatch } = {}
  /** Where the hooks stand, as far as the text tells. */
  readonly #places: { [H in Hook]?: readonly Frame[] } = {}
  /** Lines about failing hooks, bounded in number too. */
  readonly #failures: GuestLog
  #sandbox: Sandbox | null = null
  #disposed = false
  /** Whose hooks are to run as soon as the sandbox has been left. */
  readonly #later = new Set<HookRequest>()
  readonly #losses = new Losses()
  /** Generations that serve with it. */
  #services = 0
  /** Of a sandbox that nobody but its repeated functions needs. */
  #revival: NodeJS.Timeout | undefined
  #observer: HookObserver | null = null
  /** Runs the hooks in this one's stead. */
  #successor: Script | null = null
  /** A failed hook call is what the sandbox is lost by. */
  #blamed = false

  /** Use `loadScript`. */
  constructor(options: ScriptOptions, compiled: Compiled, modules: ModuleFiles) {
    this.file = options.file
    this.#options = options
    this.#compiled = compiled
    this.#modules = modules
    this.#failures = new GuestLog('', options.host.log.bind(options.host))
  }

  /** Every file that was read, absolute. */
  get files(): readonly string[] {
    return this.#modules.files
  }

  /** Bytes of the sandbox's memory. */
  get memoryUsed(): number {
    return this.#sandbox === null ? 0 : this.#sandbox.instance.memoryUsed
  }

  /** Makes the first sandbox. @returns a promise when `init` waits for something. @throws ScriptError */
  load(): Promise<void> | null {
    const { sandbox, exports, init } = this.#spawn()
    this.#sandbox = sandbox
    this.exports = exports
    if (init !== null) return init.then(() => this.#onLoaded(sandbox))
    this.#onLoaded(sandbox)
    return null
  }

  #onLoaded(sandbox: Sandbox): void {
    for (const hook of HOOKS) if (hook in sandbox.hooks) this.#addHook(hook)
    this.#begin(sandbox)
  }

  /**
   * A script that differs in its sources alone, loaded at once.
   * @returns it, and a promise when its `init` waits for something
   * @throws ScriptError
   */
  twin(modules: ModuleFiles): { readonly script: Script; readonly ready: Promise<void> | null } {
    const script = new Script({ ...this.#options, modules }, this.#compiled, modules)
    try {
      return { script, ready: script.load() }
    } catch (error) {
      script.dispose()
      throw error
    }
  }

  /** From now on the hooks of another script run in place of this one's. What waits in this one's may end. */
  succeedBy(successor: Script): void {
    this.#successor = successor
    this.#sandbox?.repeats.stop()
    clearTimeout(this.#revival)
  }

  /** @param observer null: nobody */
  observe(observer: HookObserver | null): void {
    this.#observer = observer
  }

  /** Hooks that are left out for a while, because they overran too often. */
  get leftOut(): string[] {
    return Object.entries(this.#watches).flatMap(([hook, watch]) => (watch.leftOut ? hook : []))
  }

  /** The sandbox has loaded its script. */
  #begin(sandbox: Sandbox): void {
    sandbox.start()
    if (this.#services > 0 && this.#successor === null) sandbox.repeats.start()
  }

  /** A generation serves with this script: the functions of `sluice.every` run until each that did has called {@link stop}. */
  start(): void {
    if (this.#services++ === 0 && this.#sandbox?.ready && this.#successor === null)
      this.#sandbox.repeats.start()
  }

  /** A generation serves no more. */
  stop(): void {
    if (--this.#services > 0) return
    this.#sandbox?.repeats.stop()
    clearTimeout(this.#revival)
  }

  #addHook(hook: Hook): void {
    const watch = new HookWatch()
    this.#watches[hook] = watch
    this.#places[hook] = exportFrame(this.#modules, hook)
    Object.assign(this.stats.hooks, { [hook]: watch.stats })
    if (hook === 'init') return
    Object.assign(this.hooks, { [hook]: (request: HookRequest) => this.#run(hook, watch, request) })
  }

  #run(phase: Phase, watch: HookWatch, request: HookRequest): Outcome {
    if (this.#successor !== null) return this.#successor.hooks[phase]?.(request) ?? Outcome.PASS
    if (this.#sandbox?.entered) return this.#runLater(phase, watch, request)
    watch.stats.calls++
    if (watch.leftOut && !watch.isDue(Date.now())) return this.failed(phase, request, LEFT_OUT)
    const sandbox = this.#sandbox ?? this.#respawn()
    if (sandbox === null || !sandbox.ready) return this.failed(phase, request, STARTING)
    if (watch.leftOut) watch.tries(Date.now(), this.#options.limits.wall + 1000)
    const isTimed = this.#observer !== null || watch.isSampled
    const started = isTimed ? performance.now() : 0
    try {
      const outcome = sandbox.run(phase, request)
      const { spent } = sandbox.instance.clock
      if (spent > 0) watch.took(spent, true)
      else if (watch.isSampled) watch.took(performance.now() - started, false)
      if (outcome !== Outcome.SUSPENDED) {
        if (watch.unwell) this.#wentWell(phase, watch)
        if (this.#observer !== null) this.#observer.succeeded(performance.now() - started)
      }
      return outcome
    } catch (error) {
      const { spent } = sandbox.instance.clock
      if (spent > 0) watch.took(spent, true)
      if (isLoss(error)) sandbox.instance.doom((error as Error).message)
      const outcome = this.failed(phase, request, error)
      if (sandbox.instance.poison !== null) this.lost(sandbox)
      return outcome
    }
  }

  /** A script has caused this call from within: by closing another WebSocket, for instance. It comes once it is done. */
  #runLater(phase: Phase, watch: HookWatch, request: HookRequest): Outcome {
    this.#later.add(request)
    setImmediate(() => {
      if (!this.#later.delete(request)) return
      const outcome = this.#run(phase, watch, request)
      if (outcome !== Outcome.SUSPENDED) request.hookSettled(outcome)
    })
    return Outcome.SUSPENDED
  }

  /**
   * Nobody waits for the request any more (its client has left): a suspended hook, timers and reads of this script are
   * dropped. `r.ctx` stays for the log hook, until {@link releaseRequest}. Harmless if nothing is suspended.
   */
  abandon(request: HookRequest): void {
    this.#later.delete(request)
    if (request.scriptState === null) return
    this.#sandbox?.abandon(request)
    this.#successor?.abandon(request)
  }

  /** Lets go of the sandbox. Hooks that wait are dropped without a word. */
  dispose(): void {
    this.#disposed = true
    clearTimeout(this.#revival)
    this.#sandbox?.end(null)
    this.#sandbox = null
  }

  // ---- failures ----

  failed(phase: Phase, request: HookRequest, error: unknown): Outcome {
    const watch = this.#watches[phase as Hook]
    const failure = toFailure(error, this.#places[phase as Hook])
    if (isClients(failure, phase)) return this.#refuseClient(phase, request, failure.fault)
    if (watch !== undefined) {
      watch.stats.errors++
      if (failure.overrun) watch.stats.overruns++
    }
    const line = this.#line(failure.fault, phase)
    this.#failures.write((level, text) => request.log(level, text), 'error', line)
    this.#options.host.failed?.(scriptFault(failure.fault, phase, this.#modules), request)
    this.#observer?.failed(failure.overrun)
    if (failure.overrun && watch !== undefined) this.#overran(phase, watch)
    if (this.#options.onError === 'open') return Outcome.PASS
    request.fail(phase, toBytes(failure.message))
    return Outcome.FAILED
  }

  /** The hook has not failed: what the client has sent is answered in its place, whatever `script_on_error` says. */
  #refuseClient(phase: Phase, request: HookRequest, fault: Fault): Outcome {
    this.#failures.write((level, text) => request.log(level, text), 'info', this.#line(fault, phase))
    request.answer(fault.status!, [], null)
    return Outcome.ANSWER
  }

  /** A hook that waited has ended well. @param took ms since it began to wait */
  settled(phase: Phase, took: number): void {
    const watch = this.#watches[phase as Hook]
    if (watch?.unwell) this.#wentWell(phase, watch)
    this.#observer?.succeeded(took)
  }

  spent(phase: Phase, ms: number): void {
    this.#watches[phase as Hook]?.took(ms, true)
  }

  #wentWell(phase: Phase, watch: HookWatch): void {
    if (watch.wentWell(Date.now()))
      this.#say('notice', `${this.file}: ${phase} stays within its limits again`)
  }

  #overran(phase: Phase, watch: HookWatch): void {
    this.#blamed = this.#sandbox !== null && this.#sandbox.instance.poison !== null
    const { ejectAfter = 0 } = this.#options
    const row = watch.overran(Date.now())
    if (row === 0 || row < ejectAfter || ejectAfter === 0) return
    const seconds = watch.leaveOut(Date.now()) / 1000
    const often = row === 1 ? '' : ` ${row} times in a row`
    const reason = `${phase} has overrun its limits${often}`
    if (this.#options.eject?.(this, reason)) return
    this.#say('alert', `${this.file}: ${reason}; it is left out for ${seconds} s, then tried again`)
  }

  /** The sandbox is lost by something that no request waits for. */
  #strayed(now: number): void {
    const { ejectAfter = 0 } = this.#options
    const times = this.#losses.strayed(now)
    if (ejectAfter === 0 || times < ejectAfter) return
    this.#options.eject?.(this, `the sandbox was lost ${times} times outside of any hook`)
  }

  unhandled(fault: Fault, request: HookRequest | null): void {
    this.stats.unhandledRejections++
    const line = this.#line(fault, 'a promise or timer that nobody waits for')
    this.#failures.write((level, text) => (request ?? this.#options.host).log(level, text), 'error', line)
    this.#options.host.failed?.(scriptFault(fault, null, this.#modules), request)
  }

  repeatFailed(fault: Fault): void {
    const { host } = this.#options
    this.#failures.write((level, text) => host.log(level, text), 'error', this.#line(fault, 'sluice.every'))
    host.failed?.(scriptFault(fault, null, this.#modules), null)
  }

  #line(fault: Fault, where: string): string {
    return faultLine(fault, where, (file) => this.#modules.absolute(file))
  }

  #say(level: LogLevel, text: string): void {
    this.#options.host.log(level, harmless(toBytes(text)))
  }

  // ---- respawning ----

  lost(sandbox: Sandbox): void {
    if (sandbox !== this.#sandbox) return
    this.#sandbox = null
    const reason = sandbox.instance.poison ?? ''
    const hadRepeats = sandbox.repeats.any
    sandbox.end(new Error(`the sandbox was lost: ${reason}`))
    const now = Date.now()
    if (!this.#blamed) this.#strayed(now)
    this.#blamed = false
    this.#losses.lost(now)
    this.#say('warn', `${this.file}: the sandbox was lost (${reason}) and is made anew`)
    if (hadRepeats) this.#reviveLater()
  }

  /** Repeated functions go on even if no request comes that would make the next sandbox. */
  #reviveLater(): void {
    clearTimeout(this.#revival)
    if (this.#services === 0 || this.#disposed || this.#successor !== null) return
    const revive = (): void => {
      if (this.#sandbox === null && this.#respawn() === null) this.#reviveLater()
    }
    this.#revival = setTimeout(revive, Math.max(1, this.#losses.respawnAt - Date.now()))
  }

  /** A new sandbox from the same sources, about a millisecond's work; null while it is too early, or if it fails. */
  #respawn(): Sandbox | null {
    if (this.#disposed || this.#successor !== null || Date.now() < this.#losses.respawnAt) return null
    try {
      const { sandbox, init } = this.#spawn()
      this.#sandbox = sandbox
      this.stats.respawns++
      if (init === null) this.#begin(sandbox)
      else
        init.then(
          () => this.#begin(sandbox),
          (error: unknown) => this.#onInitFailed(sandbox, error),
        )
      return sandbox
    } catch (error) {
      this.#losses.refused(Date.now())
      this.#say('alert', `${(error as Error).message}; the script cannot be started again`)
      return null
    }
  }

  #onInitFailed(sandbox: Sandbox, error: unknown): void {
    this.#say('alert', `${(error as Error).message}; the script cannot be started again`)
    sandbox.instance.doom('init failed')
    this.lost(sandbox)
  }

  #spawn(): { sandbox: Sandbox; exports: string[]; init: Promise<void> | null } {
    const { params, limits, host, file, stateFile } = this.#options
    const sandbox = new Sandbox({
      compiled: this.#compiled,
      modules: this.#modules,
      params,
      limits,
      host,
      name: basename(file),
      stateFile: stateFile ?? file,
      owner: this,
    })
    try {
      return { sandbox, ...loadInto(sandbox) }
    } catch (error) {
      sandbox.end(null)
      throw error
    }
  }
}

/** An uncaught error that is about what the client has sent, in a phase that may still answer. */
function isClients({ fault, overrun }: HookFailure, phase: Phase): boolean {
  return fault.status !== undefined && !overrun && Allowed.ANSWER.includes(phase)
}

/**
 * The request is over: every script that has run for it lets go of what it has put aside (`r.ctx`), of timers, and of
 * every `r` that it still holds. To be called once, after the log phase; log hooks that wait may end first.
 */
export function releaseRequest(request: HookRequest): void {
  for (
    let slot = request.scriptState as Slot | null;
    slot !== null;
    slot = request.scriptState as Slot | null
  ) {
    ;(slot.owner as Sandbox).release(request)
  }
}
