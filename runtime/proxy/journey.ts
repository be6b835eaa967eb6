/**
 * Drives an exchange through the steps: how a journey begins, is resumed, and ends when the client leaves. One loop;
 * no step calls another.
 */
import { ClientFault, HttpFault } from '../http1/fault.ts'
import { Field } from '../http1/fields.ts'
import { requestFraming } from '../http1/framing.ts'
import { parseTarget, validateHost } from '../http1/uri.ts'
import { abandon, waitsInVain } from './abandon.ts'
import type { Exchange } from './exchange.ts'
import { RequestBody } from './request-body.ts'
import { Step } from './step.ts'
import { STEPS } from './steps.ts'

/** Runs the journey from this step until it is over or waits for something. */
export function run(x: Exchange, from: Step): void {
  let step: Step = from
  try {
    while (step !== Step.SUSPENDED && step !== Step.DONE) {
      x.step = step
      step = STEPS[step].run(x)
    }
  } catch (error) {
    broken(x, error)
  }
}

/** A defect of ours must not hang or take down anything but this request. */
function broken(x: Exchange, error: unknown): void {
  const at = STEPS[x.step].name
  x.log(
    'alert',
    `step "${at}" failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  )
  x.keepAlive = false
  if (x.step === Step.LOG) return
  const answerable = !x.headSent && x.step !== Step.ERROR && x.errorStatus !== 500
  x.call?.abandon()
  if (answerable) {
    x.status = 500
    run(x, Step.ERROR)
    return
  }
  x.client.abort(x)
  run(x, Step.LOG)
}

/** A request head has been read. */
export function beginExchange(x: Exchange): void {
  const fault = readRequest(x)
  if (fault === null) run(x, Step.SERVER_REWRITE)
  else refuse(x, fault)
}

/** What the head means, before any step: target, host, server, framing of the body. The first of its faults, or null. */
export function readRequest(x: Exchange): HttpFault | null {
  enter(x)
  const fault = readTarget(x) ?? readHost(x) ?? readBody(x)
  x.keepAlive = wantsKeepAlive(x)
  x.headOnly = x.head.method === 'HEAD'
  return fault
}

/** A head that could not be read. */
export function beginFaulty(x: Exchange, fault: HttpFault): void {
  enter(x)
  refuse(x, fault)
}

function enter(x: Exchange): void {
  x.generation.acquire()
  x.generation.services.stats.requests++
  x.requestLength = x.head.fields.text.length
}

function refuse(x: Exchange, fault: HttpFault): void {
  x.keepAlive = false
  x.status = fault.status
  x.log('info', `${fault.reason} while reading client request headers`)
  run(x, Step.ERROR)
}

function readTarget(x: Exchange): HttpFault | null {
  const { head } = x
  const target = parseTarget(head.method, head.target, x.server.settings.mergeSlashes)
  if (target instanceof HttpFault) return target
  x.path = target.path
  x.args = target.args
  x.hasArgs = target.hasArgs
  x.unparsedUri = target.unparsed
  x.unparsedValid = target.unparsedValid
  if (target.host !== null) {
    x.host = target.host
    x.hostPort = target.port
  }
  return null
}

/** The last valid Host field seen: most requests of a connection, and of a site, have the same. */
let lastHostField: string | null = null
let lastHost = ''
let lastPort = ''

/** RFC 9112 section 3.2; an absolute-form target's authority wins over the field. */
function readHost(x: Exchange): HttpFault | null {
  const { fields } = x.head
  const index = fields.find(Field.HOST)
  if (index >= 0) {
    const value = fields.value(index)
    if (value === '') return ClientFault.HOST
    if (value !== lastHostField) {
      const host = validateHost(value)
      if (host instanceof HttpFault) return host
      lastHostField = value
      lastHost = host.host
      lastPort = host.port
    }
    if (x.host === '') {
      x.host = lastHost
      x.hostPort = lastPort
    }
  }
  x.server = x.client.listener.findServer(x.host, x)
  x.location = x.server.root
  return x.head.version === 20 && !servesHttp2(x) ? ClientFault.MISDIRECTED : null
}

/** The default server spoke for the address when the connection began; the one asked for may have `http2 off`. */
function servesHttp2(x: Exchange): boolean {
  return x.server.settings.http2 || x.client.listener.http2
}

function readBody(x: Exchange): HttpFault | null {
  const framing = requestFraming(x.head)
  if (framing instanceof HttpFault) return framing
  if (framing.kind === 'length') {
    if (framing.length > 0) x.body = new RequestBody(framing.length)
  } else if (framing.kind === 'chunked') x.body = new RequestBody(-1)
  return null
}

/** RFC 9112 section 9.3. */
function wantsKeepAlive(x: Exchange): boolean {
  const { head } = x
  if (head.version === 9) return false
  const index = head.fields.find(Field.CONNECTION)
  if (index < 0) return head.version === 11
  const value = head.fields.value(index)
  if (value === 'keep-alive') return true
  const lower = value.toLowerCase()
  if (lower.includes('close')) return false
  return head.version === 11 || lower.includes('keep-alive')
}

/** The client closed its side (`half`), or its connection is gone. */
export function clientClosed(x: Exchange, half: boolean): void {
  // Only copies of the request are under way: they go on.
  if (x.completed || x.mirrors?.awaited) return
  const call = x.call
  const waiting = call !== null && call.connection !== null
  if (half && !waitsInVain(x)) return
  if (!half && waiting && call.plan.settings.proxyIgnoreClientAbort && !x.headSent) {
    x.keepAlive = false
    return
  }
  x.log(
    'info',
    `client prematurely closed connection${waiting ? ', so upstream connection is closed too' : ''}`,
  )
  abandon(x)
}

/** The body did not come within `client_body_timeout`. */
export function clientTimedOut(x: Exchange): void {
  if (x.completed) {
    x.client.abort(x)
    return
  }
  x.keepAlive = false
  x.log('info', 'client timed out (110: Connection timed out) while reading client request body')
  if (x.call !== null) x.call.abandon()
  x.closed = true
  x.status = x.headSent ? x.status : 408
  x.client.abort(x)
  run(x, Step.LOG)
}
