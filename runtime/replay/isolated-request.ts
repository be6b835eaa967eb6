/**
 * A request that a hook may do anything with and nothing comes of it: a copy of what the hook finds, answers to what it
 * asks, and no way out. One object for all hooks of a request, so that a script's `r.ctx` goes on; what a hook changes
 * is gone when the next one begins. Knows neither where the copy comes from nor what the answers are.
 */
import { escapeUri, normalizePath } from '../http1/uri.ts'
import type {
  BalancerView,
  BodyChunk,
  BodyFailure,
  HookRequest,
  LogLevel,
  Outcome,
  PeerInfo,
  WebSocketEnd,
  WebSocketMessage,
  WebSocketState,
  WebSocketView,
} from '../phases.ts'
import { closeFault } from '../ws/close-codes.ts'
import { derivedVariable } from './derived-variables.ts'
import type { HookInput, SocketInput, UpstreamInput } from './hook-input.ts'
import { IsolatedRequestFields, IsolatedResponseFields } from './isolated-fields.ts'
import { hashQuestion } from './tapped-parts.ts'

/** A method of the balancer that a hook asks. */
export interface Pick {
  /** `hash("7", consistent)` */
  readonly what: string
  readonly method: 'hash' | 'hash consistent' | 'round_robin' | 'least_conn' | 'random' | 'ip_hash'
  readonly key: string
}

/** What answers the questions of a hook. */
export interface Answers {
  variable(name: string): string | undefined
  /** @returns index into the peers; -1: nobody is eligible */
  pick(pick: Pick): number
  readBody(done: (error: BodyFailure | null, body: Uint8Array) => void): void
  /** A hook reads a value. Absent: nobody wants to know. */
  read?(what: string, value: string): void
  log(level: LogLevel, message: string): void
  /** A hook that was suspended has ended. */
  settled(outcome: Outcome): void
}

/** Bytes that all `ws.send` of one hook may have. */
const MAX_SENT = 64 * 1024 * 1024

export class IsolatedRequest implements HookRequest {
  scriptState: unknown = null
  readonly requestHeaders = new IsolatedRequestFields((name, value) =>
    this.#answers.read?.(`headersIn ${name}`, value),
  )
  readonly responseHeaders = new IsolatedResponseFields((name, value) =>
    this.#answers.read?.(`headersOut ${name}`, value),
  )
  readonly closed = false
  balancer: BalancerView | null = null
  bodyChunk: BodyChunk | null = null
  webSocket: IsolatedSocket | null = null
  readonly #stateKey: string
  #input: HookInput
  #answers: Answers
  #uri = ''
  #args = ''
  #status = 0
  /** What the hook has set, by name. */
  readonly #variables = new Map<string, string>()

  /** @param stateKey name of the script's own `ws.state` */
  constructor(input: HookInput, answers: Answers, stateKey: string) {
    this.#input = input
    this.#answers = answers
    this.#stateKey = stateKey
    this.begin(input, answers)
  }

  /** Another hook begins. */
  begin(input: HookInput, answers: Answers): void {
    this.#input = input
    this.#answers = answers
    this.#uri = input.uri
    this.#args = input.args
    this.#status = input.status
    this.#variables.clear()
    this.requestHeaders.begin(input.headersIn)
    this.responseHeaders.begin(input.headersOut)
    const { upstream, chunk, socket } = input
    this.balancer = upstream === null ? null : new IsolatedBalancer(upstream, answers)
    this.bodyChunk = chunk === null ? null : { ...chunk, replace: () => undefined }
    if (socket !== null) this.#beginSocket(socket)
  }

  #beginSocket(socket: SocketInput): void {
    this.webSocket ??= new IsolatedSocket()
    this.webSocket.begin(socket, this.#stateKey)
  }

  /** Something that variables follow from is not what it was. */
  get #changed(): boolean {
    const { uri, args } = this.#input
    return this.#uri !== uri || this.#args !== args || this.requestHeaders.changed
  }

  /** @param name in lower case */
  variable(name: string): string | undefined {
    const own = this.#variables.get(name)
    if (own !== undefined) return own
    const derived = this.#changed ? derivedVariable(name) : null
    return derived === null ? this.#answers.variable(name) : derived(this)
  }

  setVariable(name: string, value: string): void {
    this.#variables.set(name, value)
  }

  get method(): string {
    return this.#input.method
  }

  get httpVersion(): string {
    return this.#input.httpVersion
  }

  get remoteAddress(): string {
    return this.#input.remoteAddress
  }

  get uri(): string {
    return this.#uri
  }

  set uri(value: string) {
    if (!value.startsWith('/')) throw new RangeError('a uri begins with "/"')
    const path = normalizePath(escapeUri(value, 'uri'), false)
    if (path === null) throw new RangeError('not a path that may be requested')
    this.#uri = path
  }

  get rawArgs(): string {
    return this.#args
  }

  set rawArgs(value: string) {
    if (/[\x00-\x20\x7f#]/.test(value))
      throw new RangeError('a query holds no space, "#" or control character; encode them')
    this.#args = value
  }

  get status(): number {
    return this.#status
  }

  set status(value: number) {
    if (!(Number.isInteger(value) && value >= 100 && value <= 999))
      throw new RangeError('a status is a whole number from 100 to 999')
    this.#status = value
  }

  answer(): void {}

  redirect(uri: string): void {
    if (!/^[/@][^\x00-\x20\x7f]*$/.test(uri))
      throw new RangeError('a redirect goes to a "/path" or to a named "@location"')
  }

  fail(): void {}

  hookSettled(outcome: Outcome): void {
    this.#answers.settled(outcome)
  }

  readBody(done: (error: BodyFailure | null, body: Uint8Array) => void): void {
    this.#answers.readBody(done)
  }

  log(level: LogLevel, message: string): void {
    this.#answers.log(level, message)
  }
}

class IsolatedBalancer implements BalancerView {
  readonly name: string
  readonly peers: readonly PeerInfo[]
  readonly tries: number
  readonly lastFailure: string | null
  readonly #answers: Answers

  constructor({ name, peers, tries, lastFailure }: UpstreamInput, answers: Answers) {
    this.name = name
    this.peers = peers
    this.tries = tries
    this.lastFailure = lastFailure
    this.#answers = answers
  }

  hash(key: string, consistent: boolean): number {
    const method = consistent ? 'hash consistent' : 'hash'
    return this.#answers.pick({ what: hashQuestion(key, consistent), method, key })
  }

  roundRobin(): number {
    return this.#answers.pick({ what: 'roundRobin()', method: 'round_robin', key: '' })
  }

  leastConn(): number {
    return this.#answers.pick({ what: 'leastConn()', method: 'least_conn', key: '' })
  }

  random(): number {
    return this.#answers.pick({ what: 'random()', method: 'random', key: '' })
  }

  ipHash(): number {
    return this.#answers.pick({ what: 'ipHash()', method: 'ip_hash', key: '' })
  }

  setTimeouts(): void {}

  setMoreTries(): void {}

  choose(index: number): void {
    if (!(index >= 0 && index < this.peers.length)) throw new RangeError('no such peer')
  }
}

class IsolatedSocket implements WebSocketView {
  protocol = ''
  reconnects = 0
  message: WebSocketMessage | null = null
  end: WebSocketEnd | null = null
  readonly states = new Map<string, WebSocketState>()
  #sent = 0
  #state: WebSocketState | null = null

  begin({ protocol, reconnects, message, end, state }: SocketInput, stateKey: string): void {
    this.protocol = protocol
    this.reconnects = reconnects
    this.message = message
    this.end = end
    this.#sent = 0
    // The same state again would be read anew by the sandbox.
    if (state === null || (state.json === this.#state?.json && this.states.has(stateKey))) return
    this.#state = state
    this.states.set(stateKey, state)
  }

  replace(): void {}

  send(_to: string, data: Uint8Array): void {
    this.#sent += data.length
    if (this.end !== null) throw new RangeError('the WebSocket is closed')
    if (this.#sent > MAX_SENT) throw new RangeError('too many bytes wait already (ws_send_queue)')
  }

  close(code: number, reason: string): void {
    const fault = closeFault(code, reason)
    if (fault !== null) throw new RangeError(fault)
  }
}
