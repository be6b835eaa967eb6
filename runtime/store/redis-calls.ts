/** Calls of a Redis, each through one circuit breaker and counted; what failed is a StoreError. Knows no commands. */
import { Breaker } from './breaker.ts'
import { describeRedis, type RedisSettings } from './redis-connect.ts'
import { StoreError, type StoreStats } from './store.ts'

export interface RedisCallsOptions extends RedisSettings {
  readonly log: (level: 'notice' | 'warn' | 'error', message: string) => void
}

const FAILURES = 5
const REST = 500
const LONGEST_REST = 5000

export class RedisCalls {
  readonly stats: StoreStats = { calls: 0, errors: 0, timeouts: 0, breaker: 'closed', time: 0 }
  readonly #options: RedisCallsOptions
  readonly #name: string
  readonly #breaker: Breaker
  #closed = false

  constructor(options: RedisCallsOptions) {
    this.#options = options
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
    if (!this.#breaker.allows()) throw new StoreError('unavailable', `${this.#name} does not answer`)
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
    const message = error instanceof Error ? error.message : String(error)
    this.stats.errors++
    if (this.#closed) return new StoreError('closed', 'the store is closed')
    if (/^WRONGTYPE/.test(message)) {
      this.#breaker.succeeded()
      return new StoreError('wrong_type', 'the value is no number: incr adds to numbers only')
    }
    if (/^OOM/.test(message)) {
      this.#breaker.succeeded()
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
    const { log } = this.#options
    if (state === 'open' && before === 'closed')
      log('error', `store: ${this.#name} is given a rest after ${FAILURES} failures (${reason})`)
    else if (state === 'closed') log('notice', `store: ${this.#name} answers again`)
  }
}
