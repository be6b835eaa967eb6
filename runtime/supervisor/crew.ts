/**
 * The worker processes of a supervisor: starts them, keeps their number, replaces those that die or hang, ends them. Knows
 * nothing of what they serve.
 */
import type { LogLevel } from '../phases.ts'
import { Backoff } from './backoff.ts'
import { WorkerHandle } from './worker-handle.ts'

export interface CrewOptions {
  readonly log: (level: LogLevel, message: string) => void
  /** A process was started. @returns what is to be done when it has gone */
  readonly welcome: (handle: WorkerHandle) => () => void
  /** Has it serve when it is its turn, and calls {@link Crew.enlist}; but not if it is `isWanted` no more. @throws Error */
  readonly introduce: (handle: WorkerHandle, isWanted: () => boolean) => Promise<void>
}

/** ms between two looks after the workers. */
const ROUND = 1000
/** ms after which a worker that was told to stop is killed. */
const STOP_TIMEOUT = 5000

export class Crew {
  /** Workers that were replaced because they died. */
  restarts = 0
  /** All that live, those that start or leave too. */
  readonly all = new Set<WorkerHandle>()
  readonly #options: CrewOptions
  /** Who serves as which number, or did until it died. */
  readonly #places: WorkerHandle[] = []
  readonly #backoff = new Backoff()
  readonly #timers = new Set<NodeJS.Timeout>()
  #ending = false
  #lastRound = performance.now()

  constructor(options: CrewOptions) {
    this.#options = options
    this.#timers.add(setInterval(() => this.#lookAfter(), ROUND))
  }

  get serving(): WorkerHandle[] {
    return this.#places.filter(({ state }) => state === 'serving')
  }

  get size(): number {
    return this.#places.length
  }

  get ending(): boolean {
    return this.#ending
  }

  /** Starts processes with the numbers 0 to below `count`, beside those that serve. */
  spawn(count: number): WorkerHandle[] {
    return Array.from({ length: count }, (_, worker) => this.#spawnOne(worker))
  }

  #spawnOne(worker: number): WorkerHandle {
    const handle = new WorkerHandle(worker)
    this.all.add(handle)
    this.#options.log('notice', `start worker process ${handle.pid}`)
    const leave = this.#options.welcome(handle)
    void handle.exited.then((how) => {
      leave()
      this.#onExit(handle, how)
    })
    return handle
  }

  /** They serve: each takes its place, and who had it before leaves when its requests have ended. */
  enlist(handles: readonly WorkerHandle[]): void {
    for (const handle of handles) {
      const before = this.#places[handle.worker]
      this.#places[handle.worker] = handle
      if (before !== handle) before?.leave(true)
    }
  }

  #onExit(handle: WorkerHandle, how: string): void {
    this.all.delete(handle)
    this.#options.log(how.includes('signal') ? 'alert' : 'notice', `worker process ${handle.pid} ${how}`)
    if (this.#ending || this.#places[handle.worker] !== handle) return
    this.restarts++
    this.#replaceLater(handle, this.#backoff.after(handle.age))
  }

  #replaceLater(gone: WorkerHandle, delay: number): void {
    if (delay > 0)
      this.#options.log(
        'notice',
        `a new worker process is started in ${delay / 1000} s: the last ones did not live long`,
      )
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#replace(gone)
    }, delay)
    this.#timers.add(timer)
  }

  #replace(gone: WorkerHandle): void {
    if (this.#ending || this.#places[gone.worker] !== gone) return
    const isWanted = () => this.#places[gone.worker] === gone
    this.#bring(this.#spawnOne(gone.worker), isWanted, () => this.#replaceLater(gone, this.#backoff.after(0)))
  }

  #bring(handle: WorkerHandle, isWanted: () => boolean, onFailure: () => void): void {
    this.#options.introduce(handle, isWanted).catch((error: Error) => {
      handle.expel()
      if (this.#ending || !isWanted()) return
      this.#options.log('alert', `worker process ${handle.pid} cannot serve: ${error.message}`)
      onFailure()
    })
  }

  /** Another number of workers, from now on. */
  resize(count: number): void {
    if (this.#ending) return
    for (const handle of this.#places.splice(count)) handle.leave(true)
    for (let worker = this.#places.length; worker < count; worker++) this.#grow(worker)
  }

  #grow(worker: number): void {
    const handle = this.#spawnOne(worker)
    this.#places[worker] = handle
    // Its end brings another one.
    this.#bring(
      handle,
      () => this.#places[worker] === handle,
      () => undefined,
    )
  }

  #lookAfter(): void {
    const now = performance.now()
    const wasHeldUp = now - this.#lastRound > 2 * ROUND
    this.#lastRound = now
    for (const handle of this.all) {
      if (wasHeldUp) handle.forgive()
      else if (handle.isStuck) {
        this.#options.log('alert', `worker process ${handle.pid} gives no sign of life and is killed`)
        handle.kill()
      }
    }
  }

  /** @param graceful requests under way may end first @returns when all have gone */
  async end(graceful: boolean): Promise<void> {
    this.#ending = true
    for (const handle of this.all) handle.leave(graceful)
    const killer = graceful ? null : setTimeout(() => this.#killAll(), STOP_TIMEOUT)
    await Promise.all([...this.all].map(({ exited }) => exited))
    if (killer !== null) clearTimeout(killer)
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #killAll(): void {
    for (const handle of this.all) handle.kill()
  }
}
