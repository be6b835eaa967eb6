/**
 * The upstream half of an exchange: which peers were tried, the connection in use, the request going out, the
 * response coming in. One per proxied request; the steps in `upstream-steps.ts` drive it, socket events resume them.
 */
import type { Socket } from 'node:net'
import { ChunkedDecoder, encodeChunkHead, LAST_CHUNK } from '../http1/chunked.ts'
import { HttpFault } from '../http1/fault.ts'
import { Field } from '../http1/fields.ts'
import { type Framing, responseFraming } from '../http1/framing.ts'
import type { ResponseHead } from '../http1/response-reader.ts'
import type { BalancerView, PeerInfo } from '../phases.ts'
import { finalStatus, mayRetry, type TryEvent, verdictOf } from '../upstream/next-upstream.ts'
import type { Peer } from '../upstream/peer.ts'
import type { Selection } from '../upstream/selection.ts'
import type { Exchange } from './exchange.ts'
import { peerInfos } from './peer-infos.ts'
import type { ProxyPlan, ProxyTarget } from './plan.ts'
import type { BodySink } from './request-body.ts'
import { endResponse } from './response-end.ts'
import { Step } from './step.ts'
import { UpstreamConnection, type UpstreamOwner } from './upstream-connection.ts'
import { UpstreamTry } from './upstream-try.ts'

/** Body pieces up to this size are copied into the client's write as text; larger ones keep their buffer. */
const SMALL = 16384

export class UpstreamCall implements UpstreamOwner, BodySink, BalancerView {
  readonly x: Exchange
  readonly plan: ProxyPlan
  readonly target: ProxyTarget
  readonly selection: Selection
  connectTimeout: number
  sendTimeout: number
  readTimeout: number
  /** When the first try began, ms; for `proxy_next_upstream_timeout`. */
  readonly startedAt = Date.now()
  lastFailure: string | null = null
  /** Peer chosen by the balancer hook for this try; -1: none. */
  chosen = -1

  peer: Peer | null = null
  connection: UpstreamConnection | null = null
  record: UpstreamTry | null = null
  head: ResponseHead | null = null
  /** The request has been handed over whole. */
  requestDone = false
  /** Bytes of the request have left: only safe methods may be tried again. */
  requestSent = false
  /** Body bytes have left that cannot be had again. */
  bodyStreamed = false
  #reused = false
  /** Offset into a buffered body that has been written. */
  #sent = 0
  #chunkedRequest = false
  #framing: Framing | null = null
  #remaining = 0
  /** The client's side had room after the last write. */
  #room = true
  #decoder: ChunkedDecoder | null = null
  /** Largest number of bytes held for a slow client (`proxy_buffers`). */
  readonly #bufferLimit: number

  constructor(x: Exchange, plan: ProxyPlan, target: ProxyTarget) {
    const settings = plan.settings
    this.x = x
    this.plan = plan
    this.target = target
    this.connectTimeout = settings.proxyConnectTimeout
    this.sendTimeout = settings.proxySendTimeout
    this.readTimeout = settings.proxyReadTimeout
    this.selection = target.group.select(target.key === null ? '' : target.key(x))
    this.selection.capTries(settings.proxyNextUpstreamTries)
    this.#bufferLimit = settings.proxyBuffering
      ? settings.proxyBuffers.count * settings.proxyBuffers.size
      : settings.proxyBufferSize
  }

  /** For the error log: `http://address/uri`. */
  get url(): string {
    const address = this.record === null ? this.target.host : this.record.address
    return `${this.target.scheme}://${address}${this.x.unparsedUri}`
  }

  // ---- BalancerView: what the balancer hook sees ----

  get name(): string {
    return this.target.group.name
  }

  get peers(): readonly PeerInfo[] {
    return peerInfos(this.target.group)
  }

  get tries(): number {
    return this.selection.previous
  }

  hash(key: string, consistent: boolean): number {
    return this.selection.peek(consistent ? 'hash consistent' : 'hash', key)
  }

  roundRobin(): number {
    return this.selection.peek('round_robin', '')
  }

  leastConn(): number {
    return this.selection.peek('least_conn', '')
  }

  random(): number {
    return this.selection.peek('random', '')
  }

  ipHash(): number {
    return this.selection.peek('ip_hash', this.x.remoteAddress)
  }

  setTimeouts(connect: number | undefined, send: number | undefined, read: number | undefined): void {
    if (connect !== undefined) this.connectTimeout = connect
    if (send !== undefined) this.sendTimeout = send
    if (read !== undefined) this.readTimeout = read
  }

  setMoreTries(count: number): void {
    this.selection.setMoreTries(count)
  }

  choose(index: number): void {
    if (!(index >= 0 && index < this.target.group.peers.length)) throw new RangeError('no such peer')
    this.chosen = index
  }

  // ---- the way out ----

  /** Takes the peer for this try; null: no live upstreams. */
  nextPeer(): Peer | null {
    const peer = this.chosen >= 0 ? this.selection.take(this.chosen) : this.selection.next()
    this.chosen = -1
    this.peer = peer
    if (peer === null) return null
    const record = (this.record = new UpstreamTry(peer.address.text))
    const x = this.x
    if (x.tries === null) x.tries = [record]
    else {
      if (x.triesBroken) record.redirectBefore = true
      x.tries.push(record)
    }
    x.triesBroken = false
    return peer
  }

  /** `$upstream_addr` is the group's name when no peer could be taken, as in nginx. */
  noPeer(): void {
    const { x } = this
    const record = new UpstreamTry(this.target.group.name)
    record.status = 502
    record.responseTime = 0
    record.redirectBefore = x.triesBroken
    x.triesBroken = false
    if (x.tries === null) x.tries = [record]
    else x.tries.push(record)
  }

  /** An idle connection, or a new one that will call `connected`. */
  connect(): boolean {
    const peer = this.peer!
    const bind = this.plan.bind === null ? null : this.plan.bind(this.x)
    const idle = bind === null ? this.target.pool.take(peer) : null
    this.requestDone = false
    this.head = null
    if (idle !== null) {
      this.#reused = true
      this.connection = idle
      idle.take(this)
      this.record!.connectTime = 0
      return true
    }
    this.#reused = false
    const maxHead = this.plan.settings.proxyBufferSize
    this.connection = new UpstreamConnection(
      { peer, connectTimeout: this.connectTimeout, maxHead, bind },
      this,
    )
    return false
  }

  /** Writes the head, and the body as far as it is there. */
  send(): void {
    const { x, plan } = this
    const connection = this.connection!
    let text = plan.request.head(x, this.target)
    const body = plan.settings.proxyPassRequestBody && !x.body?.lost ? x.body : null
    this.requestSent = true
    if (plan.request.body !== null) text += plan.request.body(x)
    else if (body?.done && body.received <= SMALL && body.fileName === null) {
      text += body.bytes().toString('latin1')
    } else if (body !== null) {
      this.record!.bytesSent += text.length
      // What is there of the body leaves together with the head.
      connection.socket.cork()
      connection.write(text)
      this.#sendBody()
      connection.socket.uncork()
      return
    }
    this.record!.bytesSent += text.length
    this.requestDone = true
    if (connection.write(text)) connection.awaitResponse(this.readTimeout)
    else connection.awaitDrain(this.sendTimeout)
  }

  #sendBody(): void {
    const { x } = this
    const body = x.body!
    if (body.done || !x.streamsBody) {
      this.#sent = 0
      this.#pump()
      return
    }
    this.bodyStreamed = true
    this.#chunkedRequest = body.expected < 0
    this.connection!.noTimeout()
    body.stream(x.location.body, this)
    x.client.readBody()
  }

  /** Sends a buffered body piece by piece as the peer takes it. */
  #pump(): void {
    const body = this.x.body!
    const connection = this.connection!
    this.#sent = body.replay(this.#sent, (piece) => {
      this.record!.bytesSent += piece.length
      return connection.write(piece)
    })
    if (this.#sent < body.received) connection.awaitDrain(this.sendTimeout)
    else this.#requestComplete()
  }

  #requestComplete(): void {
    this.requestDone = true
    if (this.head === null) this.connection!.awaitResponse(this.readTimeout)
  }

  bodyData(chunk: Buffer): boolean {
    const connection = this.connection
    if (connection === null) return true
    this.record!.bytesSent += chunk.length
    if (!this.#chunkedRequest) return this.#bodyRoom(connection.write(chunk))
    connection.socket.cork()
    connection.write(encodeChunkHead(chunk.length))
    connection.write(chunk)
    // The last chunk may follow at once: both leave in one write.
    process.nextTick(uncork, connection.socket)
    return this.#bodyRoom(connection.write('\r\n'))
  }

  #bodyRoom(room: boolean): boolean {
    if (this.head !== null) return room
    // With room, it is the client that is waited for; `client_body_timeout` sees to that.
    if (room) this.connection!.noTimeout()
    else this.connection!.awaitDrain(this.sendTimeout)
    return room
  }

  bodyEnd(): void {
    const connection = this.connection
    if (connection === null) return
    if (this.#chunkedRequest) connection.write(LAST_CHUNK)
    this.#requestComplete()
  }

  bodyFailed(status: number): void {
    this.abandon()
    if (this.x.headSent) this.x.keepAlive = false
    else this.x.status = status
    this.#resume(this.x.headSent ? Step.LOG : Step.ERROR)
  }

  drained(): void {
    const body = this.x.body
    if (this.requestDone) {
      if (this.head === null) this.connection!.awaitResponse(this.readTimeout)
    } else if (this.bodyStreamed) {
      if (body!.full) {
        body!.full = false
        if (this.head === null) this.connection!.noTimeout()
        this.x.client.resumeBody()
      }
    } else this.#pump()
  }

  // ---- UpstreamOwner: the way back ----

  connected(): void {
    this.record!.connectTime = Date.now() - this.record!.startedAt
    this.#resume(Step.SEND)
  }

  responseHead(head: ResponseHead): void {
    const connection = this.connection!
    if (head.status < 200 && head.status !== 101) {
      // 100 and other interim answers are not for our client: it got its own 100 when its body was read.
      connection.nextHead()
      return
    }
    const record = this.record!
    record.status = head.status
    record.headerTime = Date.now() - record.startedAt
    record.fields = head.fields
    this.head = head
    connection.touch(this.readTimeout)
    this.#resume(Step.RESPONSE_HEAD)
    if (this.connection === connection) connection.hold()
  }

  failed(event: 'error' | 'timeout' | 'invalid_header', reason: string): void {
    const { x } = this
    const connection = this.connection
    if (connection !== null) this.#forget(connection)
    x.log('error', reason)
    if (this.head !== null) {
      this.#settle('failed')
      this.#truncated()
      return
    }
    // RFC 9112 section 9.3.1: an idle connection may be closed at any time; that is no failure of the peer.
    const stale = this.#reused && event === 'error' && connection !== null && !connection.answered
    this.#resume(this.fail(event, stale))
  }

  responseEnd(): void {
    const decoder = this.#decoder
    this.#drop()
    if (this.#framing!.kind === 'close' && decoder === null) {
      this.#settle('ok')
      this.#resume(endResponse(this.x))
      return
    }
    this.failed('error', 'upstream prematurely closed connection while reading upstream')
  }

  /** The response cannot be completed: the client learns it from the missing end. */
  #truncated(): void {
    const { x } = this
    x.keepAlive = false
    // A filter may still hold the head back.
    if (!x.headSent) x.status = 502
    this.#resume(x.headSent ? Step.LOG : Step.ERROR)
  }

  // ---- deciding on another try ----

  /** Ends this try as failed; BALANCE for another one, or ERROR with the final status. */
  fail(event: TryEvent, stale = false): Step {
    const { x, selection } = this
    this.#drop()
    this.lastFailure = event
    const record = this.record!
    if (record.status === 0) record.status = finalStatus(event)
    this.#settle(stale ? 'next' : verdictOf(event))
    if (stale) selection.giveBackTry()
    if (!x.headSent && this.#mayRetry(event, stale, selection.tries)) return Step.BALANCE
    x.status = finalStatus(event)
    return Step.ERROR
  }

  /** Whether a response with this status should be tried elsewhere instead of being passed on. */
  retriesOn(event: TryEvent): boolean {
    // The peer is not released yet: this try still counts.
    return this.#mayRetry(event, false, this.selection.tries - 1)
  }

  #mayRetry(event: TryEvent, stale: boolean, triesLeft: number): boolean {
    const { plan } = this
    return mayRetry({
      event,
      configured: stale && !plan.nextUpstream.has('error') ? STALE : plan.nextUpstream,
      method: this.x.method,
      requestSent: this.requestSent,
      replayable: !this.bodyStreamed,
      triesLeft,
      startedAt: this.startedAt,
      now: Date.now(),
      timeout: plan.settings.proxyNextUpstreamTimeout,
    })
  }

  // ---- relaying the response ----

  /** Fixes how the response body is delimited; a fault means that the upstream cannot be believed. */
  frame(): HttpFault | null {
    const head = this.head!
    const framing = responseFraming(this.x.method, head)
    if (framing instanceof HttpFault) return framing
    this.#framing = framing
    if (framing.kind === 'length') {
      this.#remaining = framing.length
      this.x.headers.contentLength = this.#remaining
    } else if (framing.kind === 'none') {
      // The length of the body that is not sent: to HEAD, with 304.
      const length = head.fields.find(Field.CONTENT_LENGTH)
      if (length >= 0) this.x.headers.contentLength = Number(head.fields.value(length))
    }
    return null
  }

  /** Sends the head and what there is of the body; LOG when that was all. */
  relay(): Step {
    const { x } = this
    const framing = this.#framing!
    const rest = this.connection!.beginBody()
    this.connection!.resume(this.readTimeout)
    if (framing.kind === 'none' || x.headOnly) return this.#relayNoBody(framing, rest)
    if (framing.kind === 'chunked') {
      x.chunkedThrough =
        x.output === x.client &&
        x.headers.contentLength < 0 &&
        x.head.version === 11 &&
        x.location.settings.chunkedTransferEncoding &&
        x.parent === null
      this.#decoder = new ChunkedDecoder(x.chunkedThrough ? 'framed' : 'data', 'upstream')
    }
    if (rest === null || rest.length === 0) {
      x.output.sendHead(x, null)
      return this.#remaining === 0 && framing.kind === 'length' ? this.#complete(0) : Step.SUSPENDED
    }
    return this.#relayFirst(rest)
  }

  #relayNoBody(framing: Framing, rest: Buffer | null): Step {
    const { x } = this
    x.output.sendHead(x, null)
    const clean = framing.kind === 'none' || (framing.kind === 'length' && framing.length === 0)
    return this.#complete(clean ? (rest === null ? 0 : rest.length) : 1)
  }

  /** Fast path: a whole small response in one read leaves in one write. */
  #relayFirst(rest: Buffer): Step {
    const { x } = this
    const decoder = this.#decoder
    if (decoder === null) {
      const mine =
        this.#framing!.kind === 'length' && rest.length > this.#remaining
          ? rest.subarray(0, this.#remaining)
          : rest
      this.#count(mine.length)
      this.#sendOwned(mine, true)
      if (this.#framing!.kind === 'close') return Step.SUSPENDED
      this.#remaining -= mine.length
      return this.#remaining === 0 ? this.#complete(rest.length - mine.length) : Step.SUSPENDED
    }
    const fault = decoder.push(rest)
    if (fault !== null) return this.#brokenBody(fault)
    if (decoder.rangeCount === 0) x.output.sendHead(x, null)
    else this.#sendRanges(rest, true)
    return decoder.done ? this.#chunkedEnd(rest) : Step.SUSPENDED
  }

  responseData(chunk: Buffer): boolean {
    const { x } = this
    const decoder = this.#decoder
    if (decoder === null) {
      const length = this.#framing!.kind === 'length'
      const mine = length && chunk.length > this.#remaining ? chunk.subarray(0, this.#remaining) : chunk
      this.#count(mine.length)
      this.#sendOwned(mine, false)
      if (length) {
        this.#remaining -= mine.length
        if (this.#remaining === 0) {
          this.#resume(this.#complete(chunk.length - mine.length))
          return true
        }
      }
    } else {
      const fault = decoder.push(chunk)
      if (fault !== null) {
        this.#resume(this.#brokenBody(fault))
        return true
      }
      this.#sendRanges(chunk, false)
      if (decoder.done) {
        this.#resume(this.#chunkedEnd(chunk))
        return true
      }
    }
    this.connection!.touch(this.readTimeout)
    // `onDrained` follows only a write that found no room.
    if (this.#room || x.output.pendingBytes <= this.#bufferLimit) return true
    x.onDrained = resumeUpstream
    return false
  }

  #sendRanges(chunk: Buffer, first: boolean): void {
    const decoder = this.#decoder!
    for (let i = 0; i < decoder.rangeCount; i++) {
      const piece = chunk.subarray(decoder.ranges[2 * i], decoder.ranges[2 * i + 1])
      this.#count(piece.length)
      this.#sendOwned(piece, first && i === 0)
    }
  }

  /** Hands bytes of the read buffer to the client in a form that outlives this call. */
  #sendOwned(piece: Buffer, first: boolean): void {
    const { x } = this
    const connection = this.connection!
    if (piece.length <= SMALL) {
      this.#write(piece.toString('latin1'), first)
      return
    }
    if (connection.chunkOwned) {
      this.#write(piece, first)
      if (x.output.pendingBytes > 0) connection.swapBuffer()
      return
    }
    connection.ownBuffer()
    this.#write(Buffer.from(piece), first)
  }

  #write(piece: Buffer | string, first: boolean): void {
    const { x } = this
    if (first) this.#room = x.output.sendHead(x, piece)
    else if (x.chunkedThrough) this.#room = x.output.sendFramed(x, piece)
    else this.#room = x.output.sendBody(x, piece)
  }

  #chunkedEnd(chunk: Buffer): Step {
    const decoder = this.#decoder!
    const { x } = this
    this.record!.trailers = decoder.trailers
    if (decoder.trailers !== null && x.location.settings.proxyPassTrailers) {
      const trailers = (x.trailers ??= [])
      for (let i = 0; i < decoder.trailers.count; i++)
        trailers.push([decoder.trailers.name(i), decoder.trailers.value(i)])
    }
    return this.#complete(chunk.length - decoder.consumed)
  }

  #brokenBody(fault: HttpFault): Step {
    const { x } = this
    x.log('error', `${fault.reason} while reading upstream`)
    this.abandon()
    x.keepAlive = false
    if (x.headSent) return Step.LOG
    x.status = 502
    return Step.ERROR
  }

  /** The response has come in whole; `extra` bytes behind it make the connection unusable. */
  #complete(extra: number): Step {
    const connection = this.connection!
    this.#forget(connection)
    if (extra > 0)
      this.x.log(
        'warn',
        'upstream sent more data than specified in "Content-Length" header while reading upstream',
      )
    if (extra === 0 && this.requestDone && this.#mayKeep()) {
      const peer = this.peer!
      this.#settle('ok')
      connection.release(this.target.pool)
      this.target.pool.put(peer, connection)
    } else {
      connection.close()
      this.#settle('ok')
    }
    return endResponse(this.x)
  }

  /** RFC 9112 section 9.3: does the peer keep the connection open? */
  #mayKeep(): boolean {
    if (this.plan.bind !== null) return false
    const head = this.head!
    const fields = head.fields
    const index = fields.find(Field.CONNECTION)
    const word = index < 0 ? '' : fields.value(index).toLowerCase()
    const open = head.version === 11 ? !word.includes('close') : word.includes('keep-alive')
    return open && this.#framing!.kind !== 'close'
  }

  #count(bytes: number): void {
    this.record!.responseLength += bytes
  }

  /** The connection leaves HTTP: the tunnel has it now. */
  detach(): UpstreamConnection {
    const connection = this.connection!
    this.connection = null
    return connection
  }

  /** The tunnel is over. */
  tunnelClosed(bytes: number): void {
    this.record!.responseLength += bytes
    this.#settle('ok')
  }

  /** The client is gone, or the response comes from elsewhere: lets the try go without blame. */
  abandon(): void {
    this.#drop()
    this.#settle('next')
  }

  /** Closes the connection in use, if any. */
  #drop(): void {
    const connection = this.connection
    if (connection === null) return
    this.#forget(connection)
    connection.close()
  }

  #forget(connection: UpstreamConnection): void {
    this.connection = null
    this.record!.bytesReceived = connection.bytesReceived
  }

  #settle(verdict: 'ok' | 'failed' | 'next'): void {
    const peer = this.peer
    if (peer === null) return
    this.peer = null
    const record = this.record!
    record.responseTime = Date.now() - record.startedAt
    this.selection.release(peer, verdict)
  }

  #resume(step: Step): void {
    if (step !== Step.SUSPENDED) this.x.generation.services.resume(this.x, step)
  }
}

function uncork(socket: Socket): void {
  socket.uncork()
}

const STALE: ReadonlySet<string> = new Set(['error'])

function resumeUpstream(x: Exchange): void {
  const call = x.call
  if (call !== null && call.connection !== null) call.connection.resume(call.readTimeout)
}
