/**
 * The upstream half of an exchange: the connection in use, the request going out, the response coming in, and what
 * becomes of a try that ends. One per proxied request; the steps in `upstream-steps.ts` drive it, socket events resume
 * them. Which peer is tried is `upstream-choice.ts`'s, the way of the response's body `upstream-body.ts`'s.
 */
import type { Socket } from 'node:net'
import { encodeChunkHead, LAST_CHUNK } from '../http1/chunked.ts'
import type { HttpFault } from '../http1/fault.ts'
import { Field } from '../http1/fields.ts'
import type { ResponseHead } from '../http1/response-reader.ts'
import { finalStatus, mayRetry, type TryEvent, verdictOf } from '../upstream/next-upstream.ts'
import type { Verdict } from '../upstream/selection.ts'
import type { BodySink } from './request-body.ts'
import { endResponse } from './response-end.ts'
import { Step } from './step.ts'
import { UpstreamBody } from './upstream-body.ts'
import { UpstreamChoice } from './upstream-choice.ts'
import { UpstreamConnection, type UpstreamOwner } from './upstream-connection.ts'

/** A request body up to this size leaves in one write with the head. */
const SMALL = 16384

export class UpstreamCall extends UpstreamChoice implements UpstreamOwner, BodySink {
  /** When the first try began, ms; for `proxy_next_upstream_timeout`. */
  readonly startedAt = Date.now()
  connection: UpstreamConnection | null = null
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
  readonly #body = new UpstreamBody(this)

  /** For the error log: `http://address/uri`. */
  get url(): string {
    const address = this.record === null ? this.target.host : this.record.address
    return `${this.target.scheme}://${address}${this.x.unparsedUri}`
  }

  // ---- the way out ----

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
      this.record!.reused = true
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
    this.resume(this.x.headSent ? Step.LOG : Step.ERROR)
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
    this.resume(Step.SEND)
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
    this.resume(Step.RESPONSE_HEAD)
    if (this.connection === connection) connection.hold()
  }

  failed(event: 'error' | 'timeout' | 'invalid_header', reason: string): void {
    const { x } = this
    const connection = this.connection
    if (connection !== null) this.#forget(connection)
    x.log('error', reason)
    if (this.head !== null) {
      this.#end('failed')
      this.resume(this.#truncated())
      return
    }
    // RFC 9112 section 9.3.1: an idle connection may be closed at any time; that is no failure of the peer.
    const stale = this.#reused && event === 'error' && connection !== null && !connection.answered
    this.resume(this.fail(event, stale))
  }

  responseData(chunk: Buffer): boolean {
    return this.#body.data(chunk)
  }

  responseEnd(): void {
    this.#drop()
    if (this.#body.endsByClose) {
      this.#end('ok')
      this.resume(endResponse(this.x))
      return
    }
    this.failed('error', 'upstream prematurely closed connection while reading upstream')
  }

  /** The response cannot be completed: the client learns it from the missing end. */
  #truncated(): Step {
    const { x } = this
    x.keepAlive = false
    // A filter may still hold the head back.
    if (x.headSent) return Step.LOG
    x.status = 502
    return Step.ERROR
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

  // ---- the response's body ----

  /** Fixes how the response body is delimited; a fault means that the upstream cannot be believed. */
  frame(): HttpFault | null {
    return this.#body.frame(this.head!)
  }

  /** Sends the head and what there is of the body; LOG when that was all. */
  relay(): Step {
    return this.#body.relay()
  }

  /** More of the response's body may come. */
  get bodyMayFollow(): boolean {
    return this.connection !== null && this.#body.mayFollow
  }

  /** The body cannot be read on. */
  broken(fault: HttpFault): Step {
    this.x.log('error', `${fault.reason} while reading upstream`)
    this.abandon()
    return this.#truncated()
  }

  /** The response has come in whole; `extra` bytes behind it make the connection unusable. */
  complete(extra: number): Step {
    const connection = this.connection!
    this.#forget(connection)
    if (extra > 0)
      this.x.log(
        'warn',
        'upstream sent more data than specified in "Content-Length" header while reading upstream',
      )
    if (extra === 0 && this.requestDone && this.#mayKeep()) {
      const peer = this.peer!
      this.#end('ok')
      connection.release(this.target.pool)
      this.target.pool.put(peer, connection)
    } else {
      connection.close()
      this.#end('ok')
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
    return open && !this.#body.endsByClose
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
    this.#end('ok')
  }

  /** The peer has gone from under an open WebSocket: the next try knows. */
  tunnelLost(bytes: number): void {
    this.record!.responseLength += bytes
    this.lastFailure = 'error'
    this.#settle('failed')
  }

  /** The client is gone, or the response comes from elsewhere: lets the try go without blame. */
  abandon(): void {
    this.#drop()
    this.#end('next')
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

  /** Ends the last try, whose response, if there is one, was the client's. */
  #end(verdict: Verdict): void {
    if (this.head !== null && this.peer !== null) this.target.sticky?.ended?.(this, this.peer)
    this.#settle(verdict)
  }

  #settle(verdict: Verdict): void {
    const peer = this.peer
    if (peer === null) return
    this.peer = null
    const record = this.record!
    record.responseTime = Date.now() - record.startedAt
    this.selection.release(peer, verdict)
  }

  /** Goes on with the journey. */
  resume(step: Step): void {
    if (step !== Step.SUSPENDED) this.x.generation.services.resume(this.x, step)
  }
}

function uncork(socket: Socket): void {
  socket.uncork()
}

const STALE: ReadonlySet<string> = new Set(['error'])
