/**
 * A request that is written down instead of received, with everything that hooks do to it. It is an exchange like any
 * other: head, path, fields, variables, peers and answers go through the proxy's own code; only what would touch a
 * socket is left out. Runs one hook at a time; knows nothing of how scripts are loaded.
 */
import { HttpFault } from '../http1/fault.ts'
import { Field } from '../http1/fields.ts'
import { RequestReader } from '../http1/request-reader.ts'
import { ResponseReader } from '../http1/response-reader.ts'
import { escapeUri } from '../http1/uri.ts'
import {
  type BodyChunk,
  type LogLevel,
  Outcome,
  type Phase,
  type PhaseHandler,
  type ScriptFault,
} from '../phases.ts'
import { headLimits } from '../proxy/client-connection.ts'
import { Exchange } from '../proxy/exchange.ts'
import { readRequest } from '../proxy/journey.ts'
import type { ProxyPlan } from '../proxy/plan.ts'
import { UpstreamCall } from '../proxy/upstream-call.ts'
import { releaseRequest } from '../script/engine.ts'
import { finalStatus, type TryEvent } from '../upstream/next-upstream.ts'
import { DescribedClient } from './described-client.ts'
import type { DescribedSite } from './described-site.ts'
import { DescribedSocket } from './described-web-socket.ts'
import { DescriptionError, linesOf, pairsOf, type RequestDescription } from './description.ts'

export interface LogLine {
  readonly level: LogLevel
  readonly message: string
}

export interface GivenAnswer {
  readonly status: number
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string | Uint8Array | null
}

const MAX_HEAD = 64 * 1024

export class DescribedRequest extends Exchange {
  readonly description: RequestDescription
  readonly site: DescribedSite
  /** Values by lower-case name that stand before those of the variables. */
  readonly described = new Map<string, string>()

  // what hooks did
  answered: GivenAnswer | null = null
  /** How the last hook failed, whatever became of that; null: it did not. */
  fault: ScriptFault | null = null
  readonly variablesSet = new Map<string, string>()
  readonly logs: LogLine[] = []
  /** Name of the peer of this try, taken by the hook or by the configured method. */
  peerName: string | null = null
  #done: ((outcome: Outcome) => void) | null = null
  #ended = false
  #responded = false

  /** @throws DescriptionError when there can be no such request */
  constructor(site: DescribedSite, description: RequestDescription = {}) {
    const { httpVersion = '1.1', remoteAddress = '127.0.0.1' } = description
    const body = bytesOf(description.body)
    const { listener } = site
    const client = new DescribedClient({ protocol: `HTTP/${httpVersion}`, remoteAddress, listener, body })
    super(client, site.generation, readHead(site, description, body.length), listener.defaultServer)
    client.serves(this)
    this.site = site
    this.description = description
    const fault = readRequest(this)
    if (fault !== null) {
      this.generation.release()
      throw new DescriptionError(`the request would be refused with ${fault.status}: ${fault.reason}`)
    }
    this.location = this.server.locations.find(this) ?? this.server.root
    // As after rewrites, which may leave what no target comes to.
    if (description.uri !== undefined) this.path = description.uri
    for (const [name, value] of Object.entries(description.variables ?? {})) {
      if (value !== undefined) this.described.set(name.toLowerCase(), value)
    }
  }

  // ---- running hooks ----

  /**
   * Runs one hook; `done` is called once, now or later, unless the request ends first. A `balancer` hook gets the
   * group, and the peer is taken then; a `headerFilter` or `log` hook finds the described response.
   */
  run(phase: Phase, hook: PhaseHandler, done: (outcome: Outcome) => void): void {
    if (this.#ended) throw new Error('the request is over')
    if (this.#done !== null) throw new Error(`a hook of this request still runs; ${phase} has to wait`)
    this.fault = null
    if (phase === 'balancer') this.balancer = this.#beginTry()
    else if (phase === 'headerFilter' || phase === 'bodyFilter' || phase === 'log') this.respond()
    this.#done = (outcome) => {
      if (phase === 'balancer') this.#takePeer(outcome)
      done(outcome)
    }
    const outcome = hook(this)
    if (outcome !== Outcome.SUSPENDED) this.#settle(outcome)
  }

  override hookSettled(outcome: Outcome): void {
    this.#settle(outcome)
  }

  #settle(outcome: Outcome): void {
    const done = this.#done
    this.#done = null
    done?.(outcome)
  }

  /** Gives the body filter its next chunk. */
  chunk(data: Uint8Array, last: boolean): DescribedChunk {
    const chunk = new DescribedChunk(data, last)
    this.bodyChunk = chunk
    return chunk
  }

  /** The WebSocket, made at first use. */
  get socket(): DescribedSocket {
    if (this.webSocket === null) {
      const { wsMaxMessageSize, wsSendQueue } = this.location.settings
      const limits = { message: wsMaxMessageSize, queue: wsSendQueue }
      this.webSocket = new DescribedSocket(this.description.webSocket, limits)
    }
    return this.webSocket as DescribedSocket
  }

  /** The client has gone away: hooks that wait are dropped, and `done` is not called. */
  leave(): void {
    this.closed = true
    this.#done = null
  }

  /** The request is over: what it holds of peers, scripts and generation is given back. A second call does nothing. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#done = null
    this.completed = true
    this.call?.abandon()
    this.body?.dispose()
    releaseRequest(this)
    this.limits?.releaseAll()
    this.generation.release()
  }

  // ---- the upstream ----

  #proxy(): ProxyPlan {
    const { content } = this.location
    if (content.kind !== 'proxy') throw new DescriptionError('the location does not pass requests on')
    return content.proxy
  }

  #newCall(): UpstreamCall {
    const call = new UpstreamCall(
      this,
      this.#proxy(),
      this.site.target(this.#proxy(), this.description.peers),
    )
    for (const { peer, failure = 'error' } of this.description.tried ?? []) {
      const index = call.peers.findIndex((one) => one.name === peer || one.address === peer)
      if (index < 0) throw new DescriptionError(`tried: there is no peer "${peer}"`)
      call.choose(index)
      call.nextPeer()
      this.#failTry(call, failure)
    }
    return call
  }

  /** A second balancer hook is asked because the try before has failed. */
  #beginTry(): UpstreamCall {
    this.call ??= this.#newCall()
    if (this.call.peer !== null) this.#failTry(this.call, 'error')
    return this.call
  }

  /** Ends the try under way as failed: `error`, `timeout`, `http_502`, … */
  failTry(failure: string): void {
    if (this.call === null || this.call.peer === null)
      throw new DescriptionError('no try is under way that could fail')
    this.#failTry(this.call, failure)
  }

  /** Whatever the configuration allows, there is another try: it is described. */
  #failTry(call: UpstreamCall, failure: string): void {
    const { status } = this
    if (finalStatus(failure as TryEvent) === undefined)
      throw new DescriptionError(`no try fails with "${failure}"; write error, timeout, http_502 or the like`)
    call.fail(failure as TryEvent)
    this.status = status
  }

  #takePeer(outcome: Outcome): void {
    const call = this.call!
    this.balancer = null
    this.peerName = null
    if (outcome === Outcome.PASS || outcome === Outcome.PEER) this.peerName = call.nextPeer()?.name ?? null
  }

  /** The upstream's response head is there, as described, unless a hook has answered. A second call does nothing. */
  respond(): void {
    if (this.#responded || this.answered !== null) return
    this.#responded = true
    if (this.failedPhase !== null) {
      this.status = 500
      return
    }
    const { status = 200, responseHeaders } = this.description
    const reader = new ResponseReader(MAX_HEAD)
    const text = `HTTP/1.1 ${status} \r\n${linesOf(responseHeaders, 'responseHeaders')}\r\n`
    reader.push(Buffer.from(text, 'latin1'))
    const head = reader.next()
    if (head === null || head instanceof HttpFault) {
      throw new DescriptionError(`the response would be refused: ${head?.reason ?? 'it is not complete'}`)
    }
    this.call ??= this.#newCall()
    if (this.call.peer === null && this.call.nextPeer() === null) this.call.noPeer()
    const { record } = this.call
    if (record !== null) {
      record.status = head.status
      record.fields = head.fields
    }
    this.#proxy().response(this, head)
    const length = head.fields.find(Field.CONTENT_LENGTH)
    if (length >= 0) this.headers.contentLength = Number(head.fields.value(length))
  }

  // ---- what hooks do ----

  override answer(
    status: number,
    headers: readonly (readonly [string, string])[],
    body: string | Uint8Array | null,
  ): void {
    super.answer(status, headers, body)
    this.answered = { status, headers: [...headers], body }
  }

  override log(level: LogLevel, message: string): void {
    this.logs.push({ level, message })
  }

  setVariable(name: string, value: string): void {
    const key = name.toLowerCase()
    if (this.described.has(key)) this.described.set(key, value)
    this.variablesSet.set(key, value)
  }
}

export class DescribedChunk implements BodyChunk {
  readonly data: Uint8Array
  readonly last: boolean
  /** What goes on: the data itself, until a hook replaces it. */
  result: Uint8Array

  constructor(data: Uint8Array, last: boolean) {
    this.data = data
    this.last = last
    this.result = data
  }

  replace(data: Uint8Array): void {
    this.result = Uint8Array.from(data)
  }
}

function bytesOf(body: string | Uint8Array = ''): Buffer {
  return typeof body === 'string' ? Buffer.from(body, 'latin1') : Buffer.from(body)
}

function readHead(site: DescribedSite, description: RequestDescription, bodyLength: number) {
  const { method = 'GET', httpVersion, headers } = description
  const version = httpVersion === '1.0' ? '1.0' : '1.1'
  const reader = new RequestReader(headLimits(site.listener.defaultServer.settings))
  const lines = linesOf(headers, 'headers')
  const added = ownLines(description, bodyLength)
  reader.push(
    Buffer.from(`${method} ${targetOf(description)} HTTP/${version}\r\n${added}${lines}\r\n`, 'latin1'),
  )
  const head = reader.next()
  if (head !== null && !(head instanceof HttpFault)) return head
  const why = head === null ? 'is not complete' : `would be refused with ${head.status}: ${head.reason}`
  throw new DescriptionError(`the request ${why}`)
}

/** Host and framing, which follow from the description. @throws DescriptionError */
function ownLines({ headers, httpVersion }: RequestDescription, bodyLength: number): string {
  const names = pairsOf(headers).map(([name]) => name.toLowerCase())
  const framing = names.find((name) => name === 'content-length' || name === 'transfer-encoding')
  if (framing !== undefined)
    throw new DescriptionError(`headers: ${framing} follows from the body; leave it out`)
  const host = names.includes('host') || httpVersion === '1.0' ? '' : 'Host: localhost\r\n'
  return bodyLength === 0 ? host : `${host}Content-Length: ${bodyLength}\r\n`
}

function targetOf({ target, uri = '/', args }: RequestDescription): string {
  if (target !== undefined) {
    if (args !== undefined || uri !== '/')
      throw new DescriptionError('target: describe either the target or uri and args')
    return target
  }
  if (!uri.startsWith('/')) throw new DescriptionError(`uri: ${JSON.stringify(uri)} does not begin with "/"`)
  if (args !== undefined && /[\x00-\x20\x7f#]/.test(args))
    throw new DescriptionError('args: a query holds no space, "#" or control character; encode them')
  return escapeUri(uri, 'uri') + (args === undefined || args === '' ? '' : `?${args}`)
}
