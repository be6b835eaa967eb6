/**
 * What was asked of this process and what became of it: plain counters that the data path adds to, by server and by
 * upstream group. They outlive generations. Read when somebody scrapes; knows neither the journey nor a metrics format.
 */
import { TimeHistogram } from './metrics-histogram.ts'

/** Names beyond so many are counted together: requests may be able to make upstream groups. */
const MAX_NAMES = 1000
const OTHER = 'other'

/** A request that is over, as far as it is counted. */
export interface CountedRequest {
  readonly server: { readonly name: string }
  readonly status: number
  readonly startedAt: number
  readonly bytesSent: number
  readonly requestLength: number
  /** null: it is a request of its own, no part of another. */
  readonly parent: unknown
  readonly tries: readonly CountedTry[] | null
}

/** A try at a peer. Times are ms since it began; -1: not reached. */
export interface CountedTry {
  readonly group: string
  /** Of the peer; the group's name when there was none to be tried. */
  readonly address: string
  readonly status: number
  readonly reused: boolean
  readonly connectTime: number
  readonly headerTime: number
  readonly responseTime: number
}

export class ServerTraffic {
  /** Requests by the first digit of their status; 0: closed without one. */
  readonly classes: number[] = new Array(10).fill(0)
  readonly time = new TimeHistogram()
  /** Bytes of requests and of responses. */
  received = 0
  sent = 0
}

export class UpstreamTraffic {
  /** Answers by the first digit of their status. */
  readonly classes: number[] = new Array(10).fill(0)
  /** Tries that brought no answer. */
  failures = 0
  /** Requests, or tries of them, for which no peer was left. */
  peerless = 0
  /** Tries over a connection that was open already, and over a new one. */
  reused = 0
  opened = 0
  readonly connect = new TimeHistogram()
  readonly header = new TimeHistogram()
  readonly response = new TimeHistogram()
}

export class Traffic {
  readonly servers = new Map<string, ServerTraffic>()
  readonly upstreams = new Map<string, UpstreamTraffic>()
  readonly webSockets = { opened: 0, closed: 0, fromClient: 0, fromUpstream: 0 }
  #lastServer: ServerTraffic | null = null
  #lastServerName = ''
  #lastGroup: UpstreamTraffic | null = null
  #lastGroupName = ''

  count(x: CountedRequest): void {
    const { status, tries } = x
    if (tries !== null) for (const one of tries) this.#countTry(one)
    if (x.parent !== null) return
    const server = this.#server(x.server.name)
    server.classes[classOf(status)]++
    server.received += x.requestLength
    server.sent += x.bytesSent
    // How long somebody stays connected says nothing about how fast requests are answered.
    if (status !== 101) server.time.observe(Date.now() - x.startedAt)
  }

  /** A WebSocket message, where messages are read at all. */
  countMessage(from: 'client' | 'upstream'): void {
    if (from === 'client') this.webSockets.fromClient++
    else this.webSockets.fromUpstream++
  }

  #countTry(one: CountedTry): void {
    const upstream = this.#group(one.group)
    if (one.address === one.group && one.connectTime < 0) {
      upstream.peerless++
      return
    }
    if (one.connectTime >= 0) {
      if (one.reused) upstream.reused++
      else {
        upstream.opened++
        upstream.connect.observe(one.connectTime)
      }
    }
    if (one.headerTime < 0) {
      upstream.failures++
      return
    }
    upstream.classes[classOf(one.status)]++
    upstream.header.observe(one.headerTime)
    if (one.responseTime >= 0 && one.status !== 101) upstream.response.observe(one.responseTime)
  }

  #server(name: string): ServerTraffic {
    if (name === this.#lastServerName && this.#lastServer !== null) return this.#lastServer
    this.#lastServerName = name
    return (this.#lastServer = named(this.servers, name, () => new ServerTraffic()))
  }

  #group(name: string): UpstreamTraffic {
    if (name === this.#lastGroupName && this.#lastGroup !== null) return this.#lastGroup
    this.#lastGroupName = name
    return (this.#lastGroup = named(this.upstreams, name, () => new UpstreamTraffic()))
  }
}

function classOf(status: number): number {
  return Math.min(9, Math.trunc(status / 100))
}

function named<T>(map: Map<string, T>, name: string, make: () => T): T {
  const key = map.has(name) || map.size < MAX_NAMES ? name : OTHER
  let one = map.get(key)
  if (one === undefined) map.set(key, (one = make()))
  return one
}
