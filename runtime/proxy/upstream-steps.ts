/** The steps from "this goes to an upstream" to its response head. The table stands in `steps.ts`. */
import { Field } from '../http1/fields.ts'
import type { ResponseHead } from '../http1/response-reader.ts'
import { Outcome } from '../phases.ts'
import type { TryEvent } from '../upstream/next-upstream.ts'
import type { Exchange } from './exchange.ts'
import { runHooks } from './hook-chain.ts'
import { PENDING, type ProxyPlan } from './plan.ts'
import { decided, fail } from './request-steps.ts'
import { Step } from './step.ts'
import { UpstreamCall } from './upstream-call.ts'
import { WebSocketRelay } from './web-socket.ts'
import { hasWebSocketHooks, readOffer } from './web-socket-offer.ts'

/** Chooses the peer of this try: the balancer hook first, else the configured method. */
export function balance(x: Exchange): Step {
  // A name was looked up for a WebSocket that has ended meanwhile.
  if (x.headSent && !x.relay?.reconnecting) return Step.SUSPENDED
  if (x.call === null && (x.relay !== null || hasWebSocketHooks(x.location.hooks))) {
    const refused = offerWebSocket(x)
    if (refused !== 0) return fail(x, refused)
  }
  const call = x.call ?? begin(x)
  if (call === PENDING) return Step.SUSPENDED
  if (call === null) return fail(x, 502)
  const { sticky } = call.target
  const chain = sticky === null ? x.location.hooks.balancer : sticky.after(x.location.hooks.balancer)
  if (chain !== null) {
    x.balancer = call
    const outcome = runHooks(x, chain)
    if (outcome === Outcome.SUSPENDED) return Step.SUSPENDED
    x.balancer = null
    if (outcome !== Outcome.PASS && outcome !== Outcome.PEER)
      return x.headSent ? fail(x, 502) : decided(x, outcome)
  }
  if (call.nextPeer() !== null) return Step.CONNECT
  x.log('error', 'no live upstreams while connecting to upstream')
  call.noPeer()
  return fail(x, 502)
}

function begin(x: Exchange): UpstreamCall | null | typeof PENDING {
  const plan = (x.location.content as { proxy: ProxyPlan }).proxy
  const target = plan.fixed ?? plan.resolve!(x)
  if (target === null || target === PENDING) return target
  x.call = new UpstreamCall(x, plan, target)
  if (x.headSent) x.call.lastFailure = 'error'
  return x.call
}

/** The proxy speaks WebSocket itself where hooks want to. A status to refuse the request with, or 0. */
function offerWebSocket(x: Exchange): number {
  if (x.headSent) return 0
  x.relay = x.webSocket = null
  const { request } = (x.location.content as { proxy: ProxyPlan }).proxy
  if (!hasWebSocketHooks(x.location.hooks) || !x.upgrade || !request.upgrades(x)) return 0
  const offer = readOffer(x)
  if (offer === null) return 0
  if (typeof offer === 'number') {
    x.log('info', 'client sent a bad WebSocket handshake')
    if (offer === 426) x.headers.append('Sec-WebSocket-Version', '13')
    return offer
  }
  x.relay = new WebSocketRelay(x, offer)
  x.webSocket = x.relay.view
  return 0
}

export function connect(x: Exchange): Step {
  return x.call!.connect() ? Step.SEND : Step.SUSPENDED
}

export function send(x: Exchange): Step {
  x.call!.send()
  return Step.SUSPENDED
}

/** Statuses that `proxy_next_upstream` may name. */
const RETRY_EVENTS: ReadonlyMap<number, TryEvent> = new Map([
  [500, 'http_500'],
  [502, 'http_502'],
  [503, 'http_503'],
  [504, 'http_504'],
  [403, 'http_403'],
  [404, 'http_404'],
  [429, 'http_429'],
])

/** Another try, an error page of ours, an internal redirect of the upstream's wish — or its response. */
export function responseHead(x: Exchange): Step {
  const call = x.call!
  const head = call.head!
  if (x.relay?.reconnecting) return x.relay.answered(call)
  if (head.status >= 400) {
    const event = RETRY_EVENTS.get(head.status)
    if (event !== undefined && call.retriesOn(event)) return call.fail(event)
  }
  const fault = call.frame()
  if (fault !== null) {
    x.log('error', `${fault.reason} while reading response header from upstream`)
    return call.fail('invalid_header')
  }
  call.target.sticky?.answered?.(call, call.peer!)
  const { settings } = call.plan
  if (
    settings.proxyInterceptErrors &&
    head.status >= 300 &&
    x.location.errorPages?.find(head.status) !== undefined
  ) {
    return intercept(x, head.status)
  }
  takeLimitRate(x, head)
  const accel = head.fields.find(Field.X_ACCEL_REDIRECT)
  if (accel >= 0 && !call.plan.ignores.has('x-accel-redirect')) return accelerate(x, head.fields.value(accel))
  if (head.status === 101 && !(x.upgrade && call.plan.request.upgrades(x))) {
    x.log('error', 'upstream switched protocols unasked while reading response header from upstream')
    return call.fail('invalid_header')
  }
  if (hasWebSocketHooks(x.location.hooks)) {
    const wrong = webSocketFault(x, head)
    if (wrong !== null) {
      x.log('error', `upstream ${wrong} while reading response header from upstream`)
      return call.fail('invalid_header')
    }
  }
  call.plan.response(x, head)
  x.relay?.offer.answerClient(x)
  return Step.HEADER_FILTER
}

/** What is wrong with an upstream's answer where hooks read messages: bytes that they cannot read do not pass. */
function webSocketFault(x: Exchange, head: ResponseHead): string | null {
  if (head.status !== 101) {
    x.relay = x.webSocket = null
    return null
  }
  if (x.relay === null) return 'switched to a protocol that the hooks of this location cannot read'
  return x.relay.offer.take(head, false)
}

/** `X-Accel-Limit-Rate`: bytes per second for this response; 0: no limit. */
function takeLimitRate(x: Exchange, { fields }: ResponseHead): void {
  const at = fields.find(Field.X_ACCEL_LIMIT_RATE)
  if (at < 0 || x.call!.plan.ignores.has('x-accel-limit-rate')) return
  const value = fields.value(at)
  if (/^\d{1,15}$/.test(value)) x.limitRate = Number(value)
}

/** `proxy_intercept_errors`: our error page instead of the upstream's. */
function intercept(x: Exchange, status: number): Step {
  const call = x.call!
  const authenticate = status === 401 ? call.head!.fields.joined('www-authenticate') : undefined
  call.abandon()
  if (authenticate !== undefined) x.headers.append('WWW-Authenticate', authenticate)
  return fail(x, status)
}

/** `X-Accel-Redirect`: the upstream names an internal URI that answers instead; the body's own fields stay. */
function accelerate(x: Exchange, uri: string): Step {
  const call = x.call!
  const { fields } = call.head!
  for (const name of KEPT_OVER_ACCEL) {
    const lower = name.toLowerCase()
    for (let i = fields.findName(lower); i >= 0; i = fields.findName(lower, i + 1)) {
      x.headers.append(name, fields.value(i))
    }
  }
  x.keptContentType = fields.joined('content-type') ?? null
  call.abandon()
  if (x.method !== 'HEAD') x.method = 'GET'
  if (isUnsafe(uri)) {
    x.log(
      'error',
      `unsafe URI in "X-Accel-Redirect" was detected while reading response header from upstream`,
    )
    return fail(x, 404)
  }
  x.redirectTarget = uri
  return Step.REDIRECT
}

/** An upstream may name what is internal, but not climb out of it. */
function isUnsafe(uri: string): boolean {
  if (!/^[/@]/.test(uri) || /[\x00-\x1f\x7f]/.test(uri)) return true
  const path = uri.split('?', 1)[0].replace(/%2e/gi, '.').replace(/%2f/gi, '/')
  return /(^|\/)\.\.(\/|$)/.test(path) || /%00/.test(path)
}

const KEPT_OVER_ACCEL = ['Set-Cookie', 'Content-Disposition', 'Cache-Control', 'Expires', 'Accept-Ranges']
