/** Calls of a Redis, each through one circuit breaker and counted; what failed is a StoreError. Knows no commands. */
import { Breaker } from './breaker.ts'
import { type ConnectionFaults, describeRedis, type RedisSettings } from './redis-connect.ts'
import { NO_NUMBER } from './redis-scripts.ts'
import { StoreError, type StoreStats } from './store.ts'

export interface RedisCallsOptions extends RedisSettings {
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void
  /** Another process of this machine tells of its outages as well: what is told here is for those who look for it. */
  readonly discreet?: boolean
}

const FAILURES = 5
const REST = 500
const LONGEST_REST = 5000
/** ms without a refusal for want of room until room is believed in: at the very edge some writes are done. */
const ROOMY = 1000

export class RedisCalls {
  readonly stats: StoreStats = { calls: 0, errors: 0, timeouts: 0, breaker: 'closed', time: 0 }
  readonly #options: RedisCallsOptions
  readonly #name: string
  readonly #breaker: Breaker
  readonly #faults: ConnectionFaults
  /** What it was given a rest for. */
  #reason = ''
  /** When a write was refused last for want of room; null: there is room. */
  #fullAt: number | null = null
  #closed = false

  /** @param faults of the connection that the calls use */
  constructor(options: RedisCallsOptions, faults: ConnectionFaults) {
    this.#options = options
    this.#faults = faults
    this.#name = describeRedis(options)
    this.#breaker = new Breaker({
      failures: FAILURES,
      rest: REST,
      longestRest: LONGEST_REST,
      onChange: (state, reason) => this.#onBreaker(state, reason),
    })
  }

  /** The server was well when it was asked last. */
  get areWell(): boolean {
    return this.#breaker.state === 'closed'
  }

  close(): void {
    this.#closed = true
  }

  /** @throws StoreError */
  async run<T>(send: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new StoreError('closed', 'the store is closed')
    if (!this.#breaker.allows())
      throw new StoreError('unavailable', `${this.#name} is away (${this.#faults.last || this.#reason})`)
    const started = performance.now()
    this.stats.calls++
    try {
      const result = await send()
      this.#breaker.succeeded()
      return result
    } catch (error) {
      throw this.#failure(error)
    } finally {
      this.stats.time += performance.now() - started
    }
  }

  /** An answer that says no comes from a server that is well. */
  #failure(error: unknown): StoreError {
    const message = this.#faults.explain(error)
    this.stats.errors++
    if (this.#closed) return new StoreError('closed', 'the store is closed')
    if (/^WRONGTYPE/.test(message)) {
      this.#breaker.succeeded()
      return new StoreError(
        'wrong_type',
        message.startsWith(NO_NUMBER)
          ? 'the value is no number: incr adds to numbers only'
          : 'the key holds another kind of Redis value',
      )
    }
    if (/\bOOM command not allowed/.test(message)) {
      this.#breaker.succeeded()
      this.#onFull()
      return new StoreError('full', `${this.#name} is full: ${message}`)
    }
    const late = /timed out/i.test(message)
    if (late) this.stats.timeouts++
    this.#breaker.failed(message)
    return late
      ? new StoreError('timeout', `${this.#name} took longer than ${this.#options.timeout} ms`)
      : new StoreError('unavailable', `${this.#name}: ${message}`)
  }

  #onBreaker(state: Breaker['state'], reason: string): void {
    const before = this.stats.breaker
    this.stats.breaker = state
    if (state === 'open') this.#reason = reason
    if (state === 'open' && before === 'closed')
      this.#tell(`is given a rest after ${FAILURES} failures (${reason})`)
    else if (state === 'closed') this.#tell('answers again')
  }

  /** Something has been written that takes room. */
  wrote(): void {
    if (this.#fullAt === null || performance.now() - this.#fullAt < ROOMY) return
    this.#fullAt = null
    this.#tell('has room again')
  }

  #onFull(): void {
    if (this.#fullAt === null) this.#tell('is full: nothing new is kept in it')
    this.#fullAt = performance.now()
  }

  /** Both ends of an outage at one level: a log that shows the first shows the other. */
  #tell(what: string): void {
    this.#options.log(this.#options.discreet ? 'info' : 'error', `store: ${this.#name} ${what}`)
  }
}
