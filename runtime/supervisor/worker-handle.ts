/** A worker process as its supervisor sees it: its channel, its state, its last sign of life. */
import cluster, { type Worker } from 'node:cluster'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { WorkerReport, WorkerStatus } from '../control.ts'
import { Channel, ChannelError } from '../lib/channel.ts'
import { wireOf } from './process-wire.ts'
import { type Hello, type Load, PROTOCOL, type Prepared, refusalOf } from './protocol.ts'

const PROGRAM = fileURLToPath(new URL('./worker-process.js', import.meta.url))
/** ms until a new process must have said hello. */
const START = 30_000
/** ms without a sign of life after which a process is stuck. */
const STUCK = 5000
/** ms that whoever looks at the workers waits for one of them. */
const REPORT = 1000

/**
 * Workers accept from one socket that all have, not from the supervisor in turn: short connections are twice as fast
 * (8.1 against 4.2 thousand a second with two workers), and one that was given to a worker which has just died is not
 * lost for ever. The turn would be fairer; that a worker lets others accept between two connections makes up for most of
 * it (64 over four, opened one by one: 20, 19, 18, 7, without it 26, 20, 13, 5).
 */
const ACCEPTING = { UV_TCP_SINGLE_ACCEPT: '1' }

/** `starting`: has not served yet. `leaving`: was told to end. */
export type WorkerState = 'starting' | 'serving' | 'leaving' | 'gone'

/** What became of a preparation; `gone`: the worker has died over it. */
export type Outcome = Prepared | { readonly kind: 'gone' }

export class WorkerHandle {
  /** From 0; its successor has the same one. */
  readonly worker: number
  readonly pid: number
  readonly channel: Channel
  readonly startedAt = performance.now()
  /** Resolves when it can be told what to load; rejects when it never can. */
  readonly hello: Promise<void>
  /** Resolves with how it ended, in nginx's words. */
  readonly exited: Promise<string>
  state: WorkerState = 'starting'
  readonly #process: Worker
  /** It was killed before it served anything. */
  #dismissed = false
  #lastSign = performance.now()
  #lastReport: WorkerReport | null = null
  #patience = START

  constructor(worker: number) {
    cluster.schedulingPolicy = cluster.SCHED_NONE
    // Bytes of the store travel as bytes, and the model as what it is.
    cluster.setupPrimary({ exec: PROGRAM, args: [], serialization: 'advanced' })
    this.worker = worker
    this.#process = cluster.fork(ACCEPTING)
    this.pid = this.#process.process.pid ?? 0
    this.channel = new Channel(wireOf(this.#process.process))
    this.hello = this.#greeted()
    this.hello.catch(() => undefined)
    this.exited = new Promise((done) => {
      this.#process.on('exit', (code, signal) => {
        this.state = 'gone'
        if (this.#dismissed) done('ended before it served')
        else done(signal === null ? `exited with code ${code}` : `exited on signal ${numberOf(signal)}`)
      })
    })
    // A process that could not be made at all; `exit` does not come then.
    this.#process.on('error', () => undefined)
    this.channel.answer('alive', () => this.#sign())
  }

  #greeted(): Promise<void> {
    return new Promise((done, failed) => {
      this.channel.answer('hello', ({ protocol, version }: Hello) => {
        this.#patience = STUCK
        this.#sign()
        if (protocol === PROTOCOL) done()
        else
          failed(
            new Error(`version ${version} of the program cannot work under this supervisor: restart it too`),
          )
      })
      this.#process.on('exit', () =>
        failed(new Error(`worker process ${this.pid} ended before it could begin`)),
      )
    })
  }

  #sign(): void {
    this.#lastSign = performance.now()
  }

  /** The supervisor itself was held up: nobody could be heard. */
  forgive(): void {
    this.#sign()
  }

  get isStuck(): boolean {
    return this.state !== 'gone' && performance.now() - this.#lastSign > this.#patience
  }

  /** ms since it was made. */
  get age(): number {
    return performance.now() - this.startedAt
  }

  load(load: Load): Promise<Outcome> {
    return this.#outcome(this.channel.ask<Prepared>('load', Infinity, load))
  }

  prepare(...args: readonly unknown[]): Promise<Outcome> {
    return this.#outcome(this.channel.ask<Prepared>('prepare', Infinity, ...args))
  }

  async #outcome(answer: Promise<Prepared>): Promise<Outcome> {
    try {
      return await answer
    } catch (error) {
      if (error instanceof ChannelError && error.code === 'closed') return { kind: 'gone' }
      return { kind: 'refused', refusal: refusalOf(error) }
    }
  }

  /** @returns false: it could not, or died; it must not serve any more */
  async commit(): Promise<boolean> {
    // It takes requests before its answer is here.
    if (this.state === 'starting') this.state = 'serving'
    try {
      await this.channel.ask('commit', Infinity)
      // For the day when it falls silent.
      void this.status()
      return true
    } catch {
      return false
    }
  }

  async discard(): Promise<void> {
    await this.channel.ask('discard', Infinity).catch(() => undefined)
  }

  /** How it does, soon, whatever it is at; null: it has never served. */
  async status(): Promise<WorkerStatus | null> {
    const { state } = this
    if (state !== 'serving' && state !== 'leaving') return null
    try {
      this.#lastReport = await this.channel.ask<WorkerReport>('report', REPORT)
      return { ...this.#lastReport, state }
    } catch (error) {
      const isSilent = this.#lastReport !== null && (error as ChannelError).code === 'timeout'
      return isSilent ? { ...this.#lastReport!, state: 'silent' } : null
    }
  }

  /** What it knows, or null when it dies over it. */
  async ask<T>(topic: string, ...args: readonly unknown[]): Promise<T | null> {
    try {
      return await this.channel.ask<T>(topic, STUCK, ...args)
    } catch {
      return null
    }
  }

  /** One that serves nothing yet ends at once. @param graceful requests under way may end first */
  leave(graceful: boolean): void {
    if (this.state === 'gone') return
    if (this.state === 'starting') this.#dismiss()
    else this.channel.tell(graceful ? 'drain' : 'stop')
    this.state = 'leaving'
  }

  /** Not told but killed: what it is loading, a script's `init` for instance, could keep it from listening. */
  #dismiss(): void {
    this.#dismissed = true
    this.kill()
  }

  /** It is not as the others are, and must not go on serving. One that was told to end does so by itself. */
  expel(): void {
    if (this.state !== 'leaving') this.kill()
  }

  kill(): void {
    this.#process.process.kill('SIGKILL')
  }
}

function numberOf(signal: string): number {
  return constants.signals[signal as NodeJS.Signals]
}
