/**
 * Serves nothing itself: keeps `worker_processes` worker processes serving the same generation. Every swap is one act in
 * two phases: all prepare, and when all are ready with the same scripts, all commit; else all discard, and nothing
 * changes. Acts happen one after the other.
 *
 *     supervisor                     workers
 *     swap(change)   -- prepare -->  load and validate it, open its sockets
 *                    <-- ready ----  digests of its scripts
 *                    -- commit --->  serve by it          (or: discard)
 *                    <-- standing -  sources, for a worker that has to be replaced
 */
import { availableParallelism } from 'node:os'
import { type Companion, swapTogether } from '../companion.ts'
import type { MainSettings, Model } from '../config/model.ts'
import type { SourceFile } from '../config/reader.ts'
import type {
  Control,
  ControlStatus,
  LoadConfig,
  ReloadResult,
  ServerChange,
  UpstreamStatus,
} from '../control.ts'
import { InTurn } from '../lib/in-turn.ts'
import { clearStalePath } from '../listen/listen-sockets.ts'
import { ErrorLog } from '../observe/error-log.ts'
import { LogFiles } from '../observe/log-files.ts'
import type { MetricFamily } from '../observe/metrics.ts'
import type { LogLevel } from '../phases.ts'
import type { HistoryEntry, Removal, ScriptStatus } from '../script-registry.ts'
import type { ScriptsSnapshot } from '../script-snapshot.ts'
import { addressesFor, describeChange, modelNamed } from '../server-changes.ts'
import type { Change, SwapResult } from '../swap.ts'
import { VERSION } from '../version.ts'
import { Crew } from './crew.ts'
import { judge, type Verdict } from './judge.ts'
import { mergeScripts, mergeUpstreams } from './merge.ts'
import { type Digests, type Load, type Standing, SwapRefused } from './protocol.ts'
import { changeServers } from './server-act.ts'
import { SharedMemory } from './shared-memory.ts'
import type { Outcome, WorkerHandle } from './worker-handle.ts'

export interface SupervisorOptions {
  readonly model: Model
  readonly files: readonly SourceFile[]
  readonly prefix: string
  readonly load: LoadConfig
}

/** The verdicts that an act may end with. */
type Settled = Extract<Verdict, { kind: 'ready' | 'same' }>

/** Times that an act is begun again: a file changed while workers read it, or a worker died. */
const MAX_TRIES = 5
/** Numbers that a reload may set are kept to: more would not be workers but an accident. */
const MAX_WORKERS = 1024

export class Supervisor implements Control {
  companion: Companion | null = null
  files: readonly SourceFile[]
  readonly #prefix: string
  readonly #load: LoadConfig
  readonly #startedAt = Date.now()
  readonly #memory = new SharedMemory(() =>
    this.log('warn', 'the memory store is made anew with another size; what the one before held is gone'),
  )
  readonly #crew = new Crew({
    log: (level, message) => this.log(level, message),
    welcome: (handle) => this.#welcome(handle),
    introduce: (handle, isWanted) => this.#introduceOne(handle, isWanted),
  })
  #model: Model
  #logFiles: LogFiles
  #errorLog: ErrorLog
  #generation = 0
  #digests: Digests = {}
  /** null: not known, what is on the disk has to do. */
  #standing: Standing | null = null
  #watchScripts = false
  #scriptFiles: readonly string[] = []
  #addresses: readonly string[] = []
  readonly #acts = new InTurn()
  readonly #reloads = new InTurn()
  /** Unix sockets whose files are looked after in this act. */
  #cleared = new Map<string, Promise<void>>()

  constructor({ model, files, prefix, load }: SupervisorOptions) {
    this.#model = model
    this.files = files
    this.#prefix = prefix
    this.#load = load
    this.#logFiles = this.#openFiles()
    this.#errorLog = new ErrorLog(model.main.errorLog, this.#logFiles)
  }

  /** Starts the workers. @throws SwapRefused or Error; no worker is left then */
  async start(): Promise<void> {
    this.#memory.adopt(this.#model)
    this.log('notice', 'start worker processes')
    const crew = this.#crew.spawn(countWorkers(this.#model.main))
    try {
      await this.#act(() => this.#introduce(crew, 1))
      if (this.#crew.ending) throw new Error('it is shutting down')
    } catch (error) {
      await this.#crew.end(false)
      throw error
    }
  }

  // ---- what it is ----

  get generation(): { readonly id: number; readonly watchScripts: boolean } {
    return { id: this.#generation, watchScripts: this.#watchScripts }
  }

  get addresses(): readonly string[] {
    return this.#addresses
  }

  get scriptFiles(): readonly string[] {
    return this.#scriptFiles
  }

  async status(): Promise<ControlStatus> {
    const rows = await Promise.all([...this.#crew.all].map((handle) => handle.status()))
    return {
      version: VERSION,
      pid: process.pid,
      startedAt: this.#startedAt,
      generation: this.#generation,
      addresses: this.#addresses,
      restarts: this.#crew.restarts,
      workers: rows.filter((row) => row !== null).sort((a, b) => a.worker - b.worker),
    }
  }

  async history(): Promise<readonly HistoryEntry[]> {
    return (await this.#askOne<readonly HistoryEntry[]>('history')) ?? []
  }

  async scripts(): Promise<readonly ScriptStatus[]> {
    return mergeScripts(await this.#askAll<readonly ScriptStatus[]>('scripts'))
  }

  async upstreams(): Promise<readonly UpstreamStatus[]> {
    return mergeUpstreams(await this.#askAll<readonly UpstreamStatus[]>('upstreams'))
  }

  metrics(): Promise<readonly (readonly MetricFamily[])[]> {
    return this.#askAll<readonly MetricFamily[]>('metrics')
  }

  async snapshot(): Promise<ScriptsSnapshot> {
    const standing = this.#standing ?? (await this.#askOne<Standing>('standing'))
    if (standing === null) throw new Error('no worker serves')
    return standing.scripts
  }

  async #askAll<T>(topic: string): Promise<T[]> {
    const answers = await Promise.all(this.#crew.serving.map((handle) => handle.ask<T>(topic)))
    return answers.filter((answer) => answer !== null)
  }

  async #askOne<T>(topic: string): Promise<T | null> {
    for (const handle of this.#crew.serving) {
      const answer = await handle.ask<T>(topic)
      if (answer !== null) return answer
    }
    return null
  }

  // ---- what it can be told ----

  reload(): Promise<ReloadResult> {
    return this.#reloads.run(() => this.#reload())
  }

  async #reload(): Promise<ReloadResult> {
    const { model, problems, files } = this.#load()
    if (model === null) return { problems, swap: null }
    const swap = await swapTogether(this.companion, model, async () => {
      return (await this.swap({ kind: 'reload', model }))!
    })
    this.files = files
    return { problems, swap }
  }

  reloadScripts(): Promise<SwapResult | null> {
    return this.swap({ kind: 'save' })
  }

  async rollback(file?: string): Promise<SwapResult> {
    return (await this.swap({ kind: 'rollback', file }))!
  }

  async promoteCanary(file: string): Promise<SwapResult> {
    return (await this.swap({ kind: 'promote', file }))!
  }

  swap(change: Change, beforeCommit?: () => void): Promise<SwapResult | null> {
    const started = performance.now()
    return this.#act(async () => {
      const verdict = await this.#prepareAll(change)
      if (verdict.kind === 'same') return null
      try {
        if (change.kind === 'reload') this.#checkLogs(change.model)
        beforeCommit?.()
      } catch (error) {
        await Promise.all(verdict.ready.map((handle) => handle.discard()))
        throw error
      }
      if (change.kind === 'reload') this.#adopt(change.model)
      await this.#commitAll(verdict)
      const took = performance.now() - started
      await this.#take()
      if (change.kind === 'reload') this.#crew.resize(countWorkers(this.#model.main))
      return { generation: this.#generation, took }
    })
  }

  async changeServer(change: ServerChange): Promise<void> {
    const addresses = await addressesFor(change)
    // Neither between two workers' swaps, nor between a configuration's being read and its going into service.
    await this.#reloads.run(() =>
      this.#act(() => {
        const model = modelNamed(this.#model.http?.upstreams ?? [], change.group)
        return changeServers(this.#crew.serving, { model, change, addresses, memory: this.#memory })
      }),
    )
    this.log('notice', describeChange(change))
  }

  async reopen(): Promise<void> {
    this.#logFiles.reopenAll()
    await Promise.all([...this.#crew.all].map((handle) => handle.ask('reopen')))
  }

  restart(): Promise<void> {
    return this.#act(async () => {
      this.log('notice', 'start new worker processes')
      const fresh = this.#crew.spawn(this.#crew.size)
      try {
        await this.#introduce(fresh, this.#generation)
      } catch (error) {
        for (const handle of fresh) handle.expel()
        if (this.#crew.ending) return
        throw error
      }
      this.log('notice', 'new worker processes serve; the ones before shut down gracefully')
    })
  }

  async stop(graceful: boolean): Promise<void> {
    this.log('notice', graceful ? 'gracefully shutting down' : 'exiting')
    await this.#crew.end(graceful)
    this.log('notice', 'exit')
    this.#memory.close()
    this.#logFiles.close()
  }

  log(level: LogLevel, message: string): void {
    this.#errorLog.log(level, message)
  }

  // ---- acts ----

  /** One after the other. */
  #act<T>(work: () => Promise<T>): Promise<T> {
    return this.#acts.run(async () => {
      if (this.#crew.ending) throw new Error('it is shutting down')
      this.#cleared = new Map()
      return work()
    })
  }

  async #prepareAll(change: Change): Promise<Settled> {
    for (let left = MAX_TRIES; ; left--) {
      const crew = this.#crew.serving
      if (crew.length === 0) throw new Error('no worker serves')
      if (change.kind === 'removal' && !this.#isCurrent(change.removal)) return { kind: 'same' }
      const id = this.#generation + 1
      const verdict = judge(crew, await Promise.all(crew.map((handle) => handle.prepare(id, change))))
      if (verdict.kind === 'ready' || verdict.kind === 'same') return verdict
      await Promise.all(verdict.ready.map((handle) => handle.discard()))
      if (verdict.kind === 'refused') throw new SwapRefused(verdict.refusal)
      if (left === 0) throw new Error(verdict.reason)
    }
  }

  /** A worker that finds what another one has found is late. */
  #isCurrent({ role, file, from }: Removal): boolean {
    return this.#digests[`${role} ${file}`] === from
  }

  async #commitAll({ ready, digests }: Extract<Verdict, { kind: 'ready' }>): Promise<void> {
    this.#generation++
    this.#digests = digests
    // Should nobody live to tell: what is on the disk is nearer to it than what served before.
    this.#standing = null
    const done = await Promise.all(ready.map((handle) => handle.commit()))
    for (const [at, ok] of done.entries()) if (!ok) ready[at].expel()
  }

  /** How things stand now, for a worker that has to be replaced. */
  async #take(): Promise<void> {
    for (const handle of this.#crew.serving) {
      const standing = await handle.ask<Standing>('standing')
      if (standing === null) continue
      this.#standing = standing
      this.#watchScripts = standing.watchScripts
      this.#scriptFiles = standing.scriptFiles
      this.#addresses = standing.addresses
      return
    }
  }

  /** Has new workers serve the generation. @throws Error; they serve nothing then */
  async #introduce(crew: readonly WorkerHandle[], generation: number): Promise<void> {
    await Promise.all(crew.map(({ hello }) => hello))
    for (let left = MAX_TRIES; ; left--) {
      const outcomes = await Promise.all(crew.map((handle) => this.#tellToLoad(handle, generation)))
      const verdict = judge(crew, outcomes)
      if (verdict.kind === 'ready') {
        await this.#serve(verdict.ready, verdict.digests, generation)
        return
      }
      if (verdict.kind === 'refused') throw new SwapRefused(verdict.refusal)
      if (verdict.kind === 'same') throw new Error('a first generation is always another one')
      if (left === 0 || verdict.ready.length < crew.length) throw new Error(verdict.reason)
      await Promise.all(verdict.ready.map((handle) => handle.discard()))
    }
  }

  async #serve(crew: readonly WorkerHandle[], digests: Digests, generation: number): Promise<void> {
    const done = await Promise.all(crew.map((handle) => handle.commit()))
    if (done.includes(false)) throw new Error('a worker process ended before it could serve')
    this.#generation = generation
    this.#digests = digests
    this.#crew.enlist(crew)
    if (this.#standing === null) await this.#take()
  }

  #tellToLoad(handle: WorkerHandle, generation: number): Promise<Outcome> {
    return handle.load({
      model: this.#model,
      prefix: this.#prefix,
      worker: handle.worker,
      generation,
      scripts: this.#standing?.scripts ?? null,
      peers: this.#memory.news,
      servers: this.#memory.servers,
    } satisfies Load)
  }

  /** Another configuration goes into service. */
  #adopt(model: Model): void {
    this.#model = model
    this.#memory.adopt(model)
    const files = this.#openFiles()
    this.#errorLog = new ErrorLog(model.main.errorLog, files)
    this.#logFiles.close()
    this.#logFiles = files
  }

  /** @throws LogPathError when the supervisor's own log cannot be opened */
  #checkLogs(model: Model): void {
    const files = this.#openFiles()
    try {
      new ErrorLog(model.main.errorLog, files)
    } finally {
      files.close()
    }
  }

  #openFiles(): LogFiles {
    return new LogFiles({ prefix: this.#prefix, report: (level, message) => this.log(level, message) })
  }

  // ---- workers ----

  #welcome({ channel }: WorkerHandle): () => void {
    channel.answer('removal', (removal: Removal) => this.#onRemoval(removal))
    channel.answer('clear path', (path: string) => this.#clearPath(path))
    return this.#memory.join(channel)
  }

  async #introduceOne(handle: WorkerHandle, isWanted: () => boolean): Promise<void> {
    // It boots while swaps go on.
    await handle.hello
    await this.#act(async () => {
      if (isWanted()) await this.#introduce([handle], this.#generation)
      else handle.leave(true)
    })
  }

  /** A worker has taken a script out of service; the others do the same. */
  #onRemoval(removal: Removal): void {
    this.swap({ kind: 'removal', removal }).catch((error: Error) =>
      this.log('alert', `no generation without ${removal.file} can be made: ${error.message}`),
    )
  }

  /** Once in an act: a second look could remove what a worker has bound meanwhile. */
  #clearPath(path: string): Promise<void> {
    const cleared = this.#cleared.get(path) ?? clearStalePath(path)
    this.#cleared.set(path, cleared)
    return cleared
  }
}

/** `worker_processes`, with `auto` worked out. */
export function countWorkers({ workerProcesses }: Pick<MainSettings, 'workerProcesses'>): number {
  return Math.min(MAX_WORKERS, workerProcesses === 'auto' ? availableParallelism() : workerProcesses)
}
