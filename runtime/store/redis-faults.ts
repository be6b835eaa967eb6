/**
 * Why a client of a Redis has no connection: the last thing that its server, or the way there, has said. The client's
 * own errors do not tell; those who fail for want of a connection name this instead. Holds no secrets: neither do the
 * errors of servers and sockets.
 */
import type { Cluster, Redis } from 'ioredis'

/** Of a text from elsewhere, in a log. */
const LONGEST = 300
/** What the client says of its own state, none of which is a reason. */
const NO_CONNECTION =
  /^(?:Stream isn't writeable|Cluster isn't ready|Connection is closed|None of startup nodes|Command aborted|Failed to refresh slots|Reached the max retries)/
/** What is said of the sentinels as a whole when nothing was said of one. */
const NO_SENTINEL = /^All sentinels are unreachable/

export class ConnectionFaults {
  /** '': the connection is there, or nothing was heard of it. */
  #last = ''

  /** A second client of the same server may be watched as well. */
  watch(redis: Redis | Cluster): this {
    const note = (error: unknown): void => this.#note(error)
    redis.on('error', note)
    // The client asks each node of a cluster for its slots, and may not know itself why it could not.
    redis.on('node error', (error: unknown, node: string) => {
      if (NO_CONNECTION.test(textOf(error)) && this.#last === '') this.#last = `cannot connect to ${node}`
      else note(error)
    })
    redis.on('sentinelError', note)
    redis.on('ready', () => {
      this.#last = ''
    })
    return this
  }

  /** Why there is no connection, as far as that is known; '': nothing is. */
  get last(): string {
    return this.#last
  }

  /** What a call has failed for, in words that mean something to whoever reads a log. */
  explain(error: unknown): string {
    const text = textOf(error)
    if (!NO_CONNECTION.test(text)) return text
    return this.#last === '' ? 'not connected' : `not connected: ${this.#last}`
  }

  #note(error: unknown): void {
    const text = textOf((error as { lastNodeError?: unknown } | null)?.lastNodeError ?? error)
    if (text === '' || NO_CONNECTION.test(text) || (NO_SENTINEL.test(text) && this.#last !== '')) return
    this.#last = text
  }
}

/** One line. An address that stands for several fails with all of them at once. */
function textOf(error: unknown): string {
  const [first] = error instanceof AggregateError ? (error.errors as unknown[]) : [error]
  const text = first instanceof Error ? first.message : String(first)
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ').slice(0, LONGEST)
}
