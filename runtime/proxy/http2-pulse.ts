/**
 * Notices an HTTP/2 session that is over without an event. At many an error of the client (DATA behind the end of a
 * request, a frame of the wrong size, a broken header block) Node's nghttp2 sends GOAWAY by itself and from then on
 * reads nothing, so that the client's leaving is not seen either; Node tells nobody, and nothing of its API shows
 * that it is so. Knows the session and its socket, no streams.
 *
 *   bytes move --> look again later
 *   quiet -------> does a PING leave?
 *     yes: lives, whether or not it is answered; no further question until bytes move
 *     no:  the socket takes nothing, or the session is over. Is a GOAWAY queued?  yes: blocked   no: over
 */
import type { ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { Deadline } from '../lib/deadline.ts'

/** ms between two looks at least, however short the time to notice. */
const MIN_INTERVAL = 50
/** Looks fall on so many moments of an interval, the same for all connections: idle ones wake the process together. */
const MOMENTS = 8
/** What a PING carries; Node's own choice is the clock of the machine. */
const NOTHING = Buffer.alloc(8)

/** What a pulse finds. */
export interface PulseEvents {
  /** The session lives, but its socket takes nothing of what waits; a GOAWAY waits with it. */
  blocked(): void
  /** The session does nothing any more; the pulse has stopped. */
  over(): void
}

export class Http2Pulse {
  readonly #session: ServerHttp2Session
  readonly #socket: Socket
  readonly #events: PulseEvents
  readonly #interval: number
  readonly #timer = new Deadline(() => this.#look())
  /** Bytes that had passed, both ways, at the last look or with our question. */
  #passed = -1
  /** Asked since bytes last moved. */
  #asked = false
  #stopped = false

  /** @param within ms in which an end is noticed; half of it is for the quiet, so that no busy connection is asked */
  constructor(session: ServerHttp2Session, socket: Socket, within: number, events: PulseEvents) {
    this.#session = session
    this.#socket = socket
    this.#events = events
    this.#interval = Math.max(within / 2, MIN_INTERVAL)
    this.#lookLater()
  }

  stop(): void {
    this.#stopped = true
    this.#timer.dispose()
  }

  #look(): void {
    if (this.#session.destroyed) {
      this.#over()
      return
    }
    const passed = this.#bytes
    if (passed !== this.#passed) {
      this.#passed = passed
      this.#asked = false
    } else if (!this.#asked) {
      this.#asked = true
      this.#ask()
    }
    this.#lookLater()
  }

  #lookLater(): void {
    this.#timer.arm(this.#interval - (performance.now() % (this.#interval / MOMENTS)))
  }

  #ask(): void {
    const before = this.#bytes
    this.#session.ping(NOTHING, (error) => {
      // The answer is no news.
      if (error === null) this.#passed = this.#bytes
    })
    // The session writes at the end of this turn, before it comes to what is said here.
    setImmediate(() => this.#hear(before))
  }

  #hear(before: number): void {
    if (this.#stopped || this.#session.destroyed) return
    const passed = this.#bytes
    if (passed > before) {
      this.#passed = passed
      return
    }
    // nghttp2 takes no GOAWAY behind its own last one.
    const queued = this.#queued
    this.#session.goaway()
    if (this.#queued === queued) {
      this.#over()
      return
    }
    this.#events.blocked()
    // A session that was closed sends no PING: it was not blocked, and the GOAWAY leaves now.
    setImmediate(() => {
      this.#passed = this.#bytes
    })
  }

  get #bytes(): number {
    return this.#socket.bytesRead + this.#socket.bytesWritten
  }

  get #queued(): number {
    return this.#session.state.outboundQueueSize!
  }

  #over(): void {
    this.stop()
    this.#events.over()
  }
}
