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
import { GuestLog, harmless } from './guest-log.ts'
import { fromBytes, GuestError, OutOfMemory, toBytes } from './guest-values.ts'
import { HOOKS, type Hook } from './hook-exports.ts'
import { ModuleFiles } from './module-files.ts'
import { type Compiled, compileQuickJs } from './quickjs-module.ts'
import { Sandbox, type SandboxOwner } from './sandbox.ts'
import { type Fault, faultLine, HookFailure, ScriptError } from './script-error.ts'
import { loadInto } from './script-load.ts'
import { selfTest } from './self-test.ts'
import type { Slot } from './slots.ts'

export { ScriptError }

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
}

export interface HookStats {
  calls: number
  /** Overruns included. */
  errors: number
  overruns: number
}

export interface ScriptStats {
  readonly hooks: { readonly [H in Hook]?: HookStats }
  unhandledRejections: number
  /** Sandboxes lost and made anew. */
  respawns: number
}

/** Losses that are remembered, and how long (ms). */
const LOSSES = 5
const LOSS_WINDOW = 10_000
/** ms before a sandbox is made anew, by the number of losses before this one. */
const BACKOFF = [0, 0, 10, 100, 1000]

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
  const script = new Script(options, compiled, openFiles(options))
  try {
    await script.load()
  } catch (error) {
    script.dispose()
    throw error
  }
  return script
}

function openFiles(options: ScriptOptions): ModuleFiles {
  try {
    return new ModuleFiles(options)
  } catch (error) {
    if (error instanceof GuestError) throw new ScriptError(options.file, 0, 0, fromBytes(error.message))
    throw error
  }
}

export class Script implements SandboxOwner {
  readonly file: string
  /** One handler per hook that the script exports. */
  readonly hooks: { readonly [P in Phase]?: PhaseHandler } = {}
  /** Names of everything that the script exports. */
  exports: readonly string[] = []
  readonly stats: ScriptStats = { hooks: {}, unhandledRejections: 0, respawns: 0 }
  readonly #options: ScriptOptions
  readonly #compiled: Compiled
  readonly #modules: ModuleFiles
  /** Lines about failing hooks, bounded in number too. */
  readonly #failures: GuestLog
  #sandbox: Sandbox | null = null
  #disposed = false
  /** Times of the last losses. */
  #losses: number[] = []
  #respawnAt = 0

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

  /** Makes the first sandbox. @throws ScriptError */
  async load(): Promise<void> {
    const { sandbox, exports, init } = this.#spawn()
    this.#sandbox = sandbox
    this.exports = exports
    await init
    for (const hook of HOOKS) if (hook in sandbox.hooks) this.#addHook(hook)
    sandbox.start()
  }

  #addHook(hook: Hook): void {
    const stats: HookStats = { calls: 0, errors: 0, overruns: 0 }
    Object.assign(this.stats.hooks, { [hook]: stats })
    if (hook === 'init') return
    Object.assign(this.hooks, { [hook]: (request: HookRequest) => this.#run(hook, stats, request) })
  }

  #run(phase: Phase, stats: HookStats, request: HookRequest): Outcome {
    stats.calls++
    const sandbox = this.#sandbox ?? this.#respawn()
    if (sandbox === null || !sandbox.ready) return this.failed(phase, request, STARTING)
    try {
      return sandbox.run(phase, request)
    } catch (error) {
      if (error instanceof OutOfMemory) sandbox.instance.doom(error.message)
      const outcome = this.failed(phase, request, error)
      if (sandbox.instance.poison !== null) this.lost(sandbox)
      return outcome
    }
  }

  /**
   * Nobody waits for the request any more (its client has left): a suspended hook, timers and reads of this script are
   * dropped. `r.ctx` stays for the log hook, until {@link releaseRequest}. Harmless if nothing is suspended.
   */
  abandon(request: HookRequest): void {
    if (request.scriptState !== null) this.#sandbox?.abandon(request)
  }

  /** Lets go of the sandbox. Hooks that wait are dropped without a word. */
  dispose(): void {
    this.#disposed = true
    this.#sandbox?.end(null)
    this.#sandbox = null
  }

  // ---- failures ----

  failed(phase: Phase, request: HookRequest, error: unknown): Outcome {
    const stats = this.stats.hooks[phase as Hook]
    const failure = toFailure(error)
    if (stats !== undefined) {
      stats.errors++
      if (failure.overrun) stats.overruns++
    }
    const line = this.#line(failure.fault, phase)
    this.#failures.write((level, text) => request.log(level, text), 'error', line)
    if (this.#options.onError === 'open') return Outcome.PASS
    request.fail(phase, toBytes(failure.message))
    return Outcome.FAILED
  }

  unhandled(fault: Fault, request: HookRequest | null): void {
    this.stats.unhandledRejections++
    const line = this.#line(fault, 'a promise or timer that nobody waits for')
    this.#failures.write((level, text) => (request ?? this.#options.host).log(level, text), 'error', line)
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
    sandbox.end(new Error(`the sandbox was lost: ${reason}`))
    const now = Date.now()
    this.#losses = this.#losses.filter((time) => now - time < LOSS_WINDOW)
    this.#respawnAt = now + BACKOFF[Math.min(this.#losses.length, BACKOFF.length - 1)]
    this.#losses.push(now)
    if (this.#losses.length > LOSSES) this.#losses.shift()
    this.#say('warn', `${this.file}: the sandbox was lost (${reason}) and is made anew`)
  }

  /** A new sandbox from the same sources, about a millisecond's work; null while it is too early, or if it fails. */
  #respawn(): Sandbox | null {
    if (this.#disposed || Date.now() < this.#respawnAt) return null
    try {
      const { sandbox, init } = this.#spawn()
      this.#sandbox = sandbox
      this.stats.respawns++
      if (init === null) sandbox.start()
      else
        init.then(
          () => sandbox.start(),
          (error: unknown) => this.#onInitFailed(sandbox, error),
        )
      return sandbox
    } catch (error) {
      this.#respawnAt = Date.now() + BACKOFF[BACKOFF.length - 1]
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
    const { params, limits, host, file } = this.#options
    const sandbox = new Sandbox({
      compiled: this.#compiled,
      modules: this.#modules,
      params,
      limits,
      host,
      name: basename(file),
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

const STARTING = new HookFailure({ message: 'the sandbox is starting again', frames: [] }, false)

function toFailure(error: unknown): HookFailure {
  if (error instanceof HookFailure) return error
  const message = error instanceof Error ? error.message : String(error)
  return new HookFailure({ message, frames: [] }, false)
}
