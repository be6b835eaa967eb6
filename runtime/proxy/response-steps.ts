/** The steps from a decided response to the log line. The table stands in `steps.ts`. */
import { Outcome } from '../phases.ts'
import { closeParts, isFileSlice, partLength } from './body-parts.ts'
import { applyConditional } from './conditional.ts'
import type { BodyPart, Exchange } from './exchange.ts'
import { sendFileSlice } from './file-sender.ts'
import { applyHeaderRules } from './header-rules.ts'
import { runHooks } from './hook-chain.ts'
import type { ErrorPagePlan } from './plan.ts'
import { applyRanges } from './ranges.ts'
import { decided, expectContinue } from './request-steps.ts'
import { endResponse } from './response-end.ts'
import { removeFilters } from './response-filter.ts'
import { installFilters } from './response-filters.ts'
import { specialPage } from './special-page.ts'
import { Step } from './step.ts'
import type { Subrequest } from './subrequest.ts'
import { startTunnel } from './tunnel.ts'

/** A status of ours: the configured error page, or the built-in one. */
export function error(x: Exchange): Step {
  const { status } = x
  if (x.headSent) {
    if (x.relay?.reconnecting) return x.relay.reconnection.failed()
    x.keepAlive = false
    return Step.LOG
  }
  if (x.lastFilter !== null) removeFilters(x)
  if (status === 499 || x.closed) return Step.LOG
  const stub = x.parent === null ? null : (x.client as Subrequest).stubInstead()
  if (stub !== null) return stub
  if (status === 408) return closeUnanswered(x)
  if (closesConnection(status)) x.keepAlive = false
  const { settings, errorPages } = x.location
  x.errorStatus = status
  if (errorPages !== null && (!x.inErrorPage || settings.recursiveErrorPages)) {
    const page = errorPages.find(status)
    if (page !== undefined) return errorPage(x, page, status)
  }
  x.call?.abandon()
  const { headers } = x
  const authenticate = status === 401 ? headers.get('www-authenticate') : undefined
  const location = headers.location
  headers.clearBody()
  if (authenticate !== undefined) headers.set('WWW-Authenticate', authenticate)
  headers.location = status >= 300 && status < 400 ? location : null
  specialPage(x, status)
  // nginx's own 494 to 497 are 400 to everybody else.
  x.errorStatus = x.status
  return Step.HEADER_FILTER
}

/** After these the bytes that follow on the connection cannot be trusted, or should not be waited for. */
function closesConnection(status: number): boolean {
  return (
    status === 400 ||
    status === 413 ||
    status === 414 ||
    status === 431 ||
    (status >= 494 && status <= 497) ||
    status === 500 ||
    status === 501
  )
}

function closeUnanswered(x: Exchange): Step {
  x.keepAlive = false
  x.closed = true
  x.client.abort(x)
  return Step.LOG
}

function errorPage(x: Exchange, page: ErrorPagePlan, status: number): Step {
  const target = page.target(x)
  x.call?.abandon()
  const authenticate = status === 401 ? x.headers.get('www-authenticate') : undefined
  const { location } = x.headers
  x.headers.clear()
  x.parts = null
  if (status >= 300 && status < 400) x.headers.location = location
  if (authenticate !== undefined) x.headers.append('WWW-Authenticate', authenticate)
  x.errorStatus = page.status === 'answer' ? 0 : (page.status ?? status)
  x.inErrorPage = true
  if (target.startsWith('@')) {
    x.redirectTarget = target
    return Step.REDIRECT
  }
  if (target.startsWith('/')) {
    if (x.method !== 'HEAD') x.method = 'GET'
    x.redirectTarget = target
    return Step.REDIRECT
  }
  return errorRedirect(x, target, page)
}

/** `error_page 404 https://example.com/`: a redirect, 302 unless another redirect status was given. */
function errorRedirect(x: Exchange, target: string, page: ErrorPagePlan): Step {
  const given = typeof page.status === 'number' ? page.status : 302
  const status = given === 301 || given === 303 || given === 307 || given === 308 ? given : 302
  x.errorStatus = status
  x.headers.location = target
  specialPage(x, status)
  x.status = status
  return Step.HEADER_FILTER
}

/** Conditional requests, script hooks, add_header, filters, ranges — in nginx's order — on a head that is not sent yet. */
export function headerFilter(x: Exchange): Step {
  if (x.hookIndex === 0 && x.settled === -1) {
    if (x.errorStatus !== 0) x.status = x.errorStatus
    if (x.parts !== null && x.call?.connection == null && !ownResponse(x)) return Step.ERROR
  }
  const chain = x.location.hooks.headerFilter
  if (chain !== null && x.failedPhase !== 'headerFilter') {
    const outcome = runHooks(x, chain)
    if (outcome === Outcome.SUSPENDED) return Step.SUSPENDED
    if (outcome !== Outcome.PASS) {
      x.call?.abandon()
      if (outcome === Outcome.ANSWER) return answeredInFilter(x)
      return decided(x, outcome)
    }
  }
  const { headerRules, filters, hooks } = x.location
  if (headerRules !== null && x.parent === null) applyHeaderRules(x, headerRules)
  if (filters !== null || hooks.bodyFilter !== null || x.limitRate > 0) installFilters(x)
  if (x.allowRanges && x.parent === null && applyRanges(x) !== 0) return Step.ERROR
  const { status } = x
  if (x.method === 'HEAD' || status === 204 || status === 304 || status < 200) x.headOnly = true
  return Step.RELAY
}

/** A header filter replaced the response: no second round through the hooks. */
function answeredInFilter(x: Exchange): Step {
  x.parts ??= []
  prepareOwn(x)
  x.headOnly = x.method === 'HEAD'
  return Step.RELAY
}

/** A response of our own: the request's body is read away first, as nginx does, and may turn out to be malformed. */
function ownResponse(x: Exchange): boolean {
  const { body } = x
  // A refusal is no leave to send the body.
  if (x.status < 400 && !x.inErrorPage) expectContinue(x)
  if (body !== null && !body.started && !x.inErrorPage) {
    const fault = x.client.discardBody()
    if (fault !== null) {
      x.log('info', `${fault.reason} while reading client request body`)
      x.status = fault.status
      return false
    }
  }
  return prepareOwn(x) === 0
}

/** Length and conditional headers of a response of our own; 412 when its preconditions fail. */
function prepareOwn(x: Exchange): 0 | 412 {
  let length = 0
  for (const part of x.parts!) length += partLength(part)
  x.headers.contentLength = length
  if (x.keptContentType !== null && x.status === 200) x.headers.contentType = x.keptContentType
  return x.status === 200 && x.parent === null ? applyConditional(x) : 0
}

/** Sends the response: ours part by part, the upstream's as it comes, or the tunnel after 101. */
export function relay(x: Exchange): Step {
  const { call } = x
  if (call !== null && call.connection !== null) {
    if (x.status !== 101) return call.relay()
    const { traffic } = x.generation.services
    if (traffic && x.wantsWebSocket) traffic.webSockets.opened++
    return x.relay === null ? startTunnel(x, call) : x.relay.open(call)
  }
  return sendParts(x)
}

function sendParts(x: Exchange): Step {
  const parts = x.parts!
  x.parts = null
  if (x.headOnly || parts.length === 0) {
    closeParts(parts)
    x.output.sendHead(x, null)
    return endResponse(x)
  }
  const first = parts[0]
  if (isFileSlice(first)) x.output.sendHead(x, null)
  else {
    parts.shift()
    x.lastPiece = parts.length === 0
    x.output.sendHead(x, first)
  }
  return sendNext(x, parts)
}

function sendNext(x: Exchange, parts: BodyPart[]): Step {
  while (parts.length > 0) {
    const part = parts.shift()!
    if (!isFileSlice(part)) {
      x.lastPiece = parts.length === 0
      x.output.sendBody(x, part)
      continue
    }
    sendFileSlice(x, part, () => {
      if (x.closed) {
        closeParts(parts)
        return
      }
      const next = sendNext(x, parts)
      if (next !== Step.SUSPENDED) x.generation.services.resume(x, next)
    })
    return Step.SUSPENDED
  }
  return endResponse(x)
}

/** The journey is over: log hooks, log lines, then the connection may go on. */
export function log(x: Exchange): Step {
  if (x.completed) return Step.DONE
  if (x.mirrors !== null && !x.mirrors.end()) return Step.SUSPENDED
  x.completed = true
  if (x.parent === null) x.limits?.releaseAll()
  if (x.hookOwner !== null) abandonHooks(x)
  const { location, client, generation } = x
  const hooks = location.hooks.log
  if (x.parent === null || location.settings.logSubrequest) {
    if (hooks !== null) for (const hook of hooks) if (hook(x) === Outcome.SUSPENDED) x.keepForLog()
    for (const entry of location.logs) entry.write(x)
  }
  const { traffic } = generation.services
  if (traffic) {
    traffic.count(x)
    if (x.status === 101 && x.wantsWebSocket) traffic.webSockets.closed++
  }
  if (x.scriptState !== null) generation.releaseScripts(x)
  if (x.lastFilter !== null) removeFilters(x)
  x.authorization?.abandon()
  // A subrequest has only borrowed its parent's.
  if (x.parent === null) x.body?.dispose()
  client.finished(x)
  generation.release()
  return Step.DONE
}

/** The response is over, whatever a hook on its body still waits for. */
function abandonHooks(x: Exchange): void {
  x.hookOwner = null
  x.bodyChunk = null
  x.generation.services.abandonHook(x)
}
