/** The steps from a parsed request to the decision who answers it. The table stands in `steps.ts`. */
import type { HttpFault } from '../http1/fault.ts'
import { Field } from '../http1/fields.ts'
import { normalizePath } from '../http1/uri.ts'
import { Outcome } from '../phases.ts'
import { authorize } from './auth-request.ts'
import { serveGif } from './empty-gif.ts'
import type { Exchange } from './exchange.ts'
import { runHooks } from './hook-chain.ts'
import { limitConnections } from './limit-conn.ts'
import { limitRequest } from './limit-req.ts'
import { directoryRedirect } from './location-redirect.ts'
import { mirror } from './mirror.ts'
import type { RewriteProgram } from './plan.ts'
import { RewriteResult } from './plan.ts'
import type { RequestBody } from './request-body.ts'
import { serveStatic } from './static-files.ts'
import { Step } from './step.ts'
import { serveStatus } from './stub-status.ts'
import { tryFiles } from './try-files.ts'

/** Rules of the server block; also where an internal redirect starts over. */
export function serverRewrite(x: Exchange): Step {
  const { server } = x
  if (server.realIp !== null && !x.internal) server.realIp(x)
  if (server.rules === null) return Step.LOCATE
  x.location = server.root
  // A URI changed here needs no other round: the locations have not been searched yet.
  return ruled(x, server.rules, Step.LOCATE)
}

/** Finds the location and what follows from it alone: `internal`, body size, keep-alive. */
export function locate(x: Exchange): Step {
  const location = x.server.locations.find(x) ?? x.server.root
  x.location = location
  if (location.internal && !x.internal) return fail(x, 404)
  if (location.autoRedirect && x.path.length === location.name.length - 1) return directoryRedirect(x)
  return entered(x)
}

/** What a location's settings mean for the request, however it got there. */
function entered(x: Exchange): Step {
  const { settings } = x.location
  const body = x.body
  if (
    body !== null &&
    settings.clientMaxBodySize > 0 &&
    body.expected > settings.clientMaxBodySize &&
    !body.started
  ) {
    x.log('error', `client intended to send too large body: ${body.expected} bytes`)
    x.keepAlive = false
    return fail(x, 413)
  }
  if (x.keepAlive) x.keepAlive = keepsAlive(x)
  return Step.REWRITE
}

function keepsAlive(x: Exchange): boolean {
  const { settings } = x.location
  const { client } = x
  return (
    settings.keepaliveTimeout > 0 &&
    client.requests < settings.keepaliveRequests &&
    Date.now() - client.openedAt <= settings.keepaliveTime &&
    !(x.location.keepaliveDisabled?.(x) ?? false)
  )
}

/** The location's rewrite rules, then the rewrite hooks. */
export function rewrite(x: Exchange): Step {
  const { rules, hooks } = x.location
  if (rules !== null && x.settled === -1 && x.hookIndex === 0 && !x.ruled) {
    const next = ruled(x, rules, Step.LIMIT)
    if (next !== Step.LIMIT) return next
    x.ruled = x.location.hooks.rewrite !== null
  }
  const chain = x.location.hooks.rewrite ?? hooks.rewrite
  if (chain === null) return Step.LIMIT
  const outcome = runHooks(x, chain)
  if (outcome === Outcome.SUSPENDED) return Step.SUSPENDED
  x.ruled = false
  return outcome === Outcome.PASS ? Step.LIMIT : decided(x, outcome)
}

function ruled(x: Exchange, program: RewriteProgram, next: Step): Step {
  switch (program.run(x)) {
    case RewriteResult.NEXT:
      return next
    case RewriteResult.SEARCH:
      if (--x.uriChanges > 0) return Step.LOCATE
      return cycle(x)
    default:
      return x.status === 444 ? closeSilently(x) : answered(x)
  }
}

/** An answer of our own: error statuses without a body of their own get the error page. */
function answered(x: Exchange): Step {
  if (x.parts === null && x.status >= 300 && x.status !== 304) return Step.ERROR
  x.parts ??= []
  return Step.HEADER_FILTER
}

/** nginx `return 444`: the connection closes without an answer. */
function closeSilently(x: Exchange): Step {
  x.keepAlive = false
  x.closed = true
  x.client.abort(x)
  return Step.LOG
}

function cycle(x: Exchange): Step {
  x.log('error', 'rewrite or internal redirection cycle')
  return fail(x, 500)
}

/** Who the client is, then `limit_req` and `limit_conn`, in nginx's order: what waits its turn is not counted as under way. */
export function limit(x: Exchange): Step {
  const { realIp, limitReq, limitConn } = x.location
  if (realIp !== null && x.parent === null) realIp(x)
  if (limitReq !== null) {
    const status = limitRequest(x, limitReq)
    if (status === null) return Step.SUSPENDED
    if (status !== 0) return fail(x, status)
  }
  if (limitConn !== null) {
    const status = limitConnections(x, limitConn)
    if (status === null) return Step.SUSPENDED
    if (status !== 0) return fail(x, status)
  }
  return Step.ACCESS
}

/**
 * `allow`/`deny`, `auth_request`, `limit_except`, then the access hooks; `satisfy any` lets the later ones allow what
 * the earlier ones refuse. Who may see a part of a response is decided by the whole: subrequests pass.
 */
export function access(x: Exchange): Step {
  const { location } = x
  if (x.parent !== null) return Step.TRY_FILES
  if ((location.access !== null || location.authRequest !== null) && x.hookIndex === 0 && x.settled === -1) {
    const next = admit(x)
    if (next !== Step.ACCESS) return next
  }
  const { limitExcept } = location
  if (limitExcept !== null && !limitExcept.methods.has(x.method) && !limitExcept.access(x))
    return forbidden(x)
  const chain = location.hooks.access
  if (chain === null) return Step.TRY_FILES
  const outcome = runHooks(x, chain)
  if (outcome === Outcome.PASS) return Step.TRY_FILES
  return outcome === Outcome.SUSPENDED ? Step.SUSPENDED : decided(x, outcome)
}

/** Rules and `auth_request`; ACCESS: neither refuses for good. */
function admit(x: Exchange): Step {
  const { location } = x
  const any = location.settings.satisfy === 'any'
  const refused = location.access !== null && !location.access(x)
  const hooksMayAllow = any && location.hooks.access !== null
  if (location.authRequest === null || (refused && !any))
    return refused && !hooksMayAllow ? forbidden(x) : Step.ACCESS
  if (any && location.access !== null && !refused) return Step.ACCESS
  const status = authorize(x, location.authRequest)
  if (status === null) return Step.SUSPENDED
  if (status === 0 || (hooksMayAllow && status !== 500)) return Step.ACCESS
  return status === 403 && refused ? forbidden(x) : fail(x, status)
}

function forbidden(x: Exchange): Step {
  x.log('error', 'access forbidden by rule')
  return fail(x, 403)
}

/** `mirror`, then `try_files`. */
export function tryFilesStep(x: Exchange): Step {
  const { mirror: copies, tryFiles: files } = x.location
  if (copies !== null && x.parent === null && !x.mirrored) {
    const { body } = x
    if (copies.body && body !== null && !body.done && !body.lost) {
      expectContinue(x)
      return readWhole(x, body, Step.TRY_FILES)
    }
    x.mirrored = true
    if (!mirror(x, copies)) return fail(x, 500)
  }
  return files === null ? Step.CONTENT : tryFiles(x)
}

/** Who answers: a content hook, the upstream, or a file. */
export function content(x: Exchange): Step {
  const { location } = x
  const chain = location.hooks.content
  if (chain !== null) {
    const outcome = runHooks(x, chain)
    if (outcome === Outcome.SUSPENDED) return Step.SUSPENDED
    if (outcome !== Outcome.PASS) return decided(x, outcome)
  }
  switch (location.content.kind) {
    case 'proxy':
      expectContinue(x)
      return x.body === null ? Step.BALANCE : Step.REQUEST_BODY
    case 'stub_status':
      return serveStatus(x)
    case 'empty_gif':
      return serveGif(x)
    default:
      return serveStatic(x)
  }
}

/** Reads the whole body first, unless it is to be streamed. */
export function requestBody(x: Exchange): Step {
  const body = x.body!
  const content = x.location.content
  if (content.kind !== 'proxy') return Step.CONTENT
  const { settings } = x.location
  // HTTP/1.0 upstreams cannot be sent a body of unknown length.
  const mustBuffer = body.expected < 0 && settings.proxyHttpVersion === '1.0'
  if (!settings.proxyRequestBuffering && !mustBuffer && !body.started) {
    const fault = x.client.prereadBody()
    if (fault !== null) return badBody(x, fault)
    x.streamsBody = !body.done
    return Step.BALANCE
  }
  if (body.done || body.lost) return Step.BALANCE
  return readWhole(x, body, Step.BALANCE)
}

/** Reads the body into memory or a file, then goes on with this step. */
function readWhole(x: Exchange, body: RequestBody, then: Step): Step {
  let waiting = false
  let next: Step = then
  body.buffer(x.location.body, (fault) => {
    if (fault !== null) {
      if (x.closed) return
      next = badBody(x, fault)
    }
    if (waiting) x.generation.services.resume(x, next)
  })
  x.client.readBody()
  if (body.done || next !== then) return next
  waiting = true
  return Step.SUSPENDED
}

function badBody(x: Exchange, fault: HttpFault): Step {
  x.log('error', fault.reason)
  x.keepAlive = false
  return fail(x, fault.status)
}

/** RFC 9110 section 10.1.1: the client may wait for leave to send its body. */
export function expectContinue(x: Exchange): void {
  const { fields, version } = x.head
  const index = fields.find(Field.EXPECT)
  if (index < 0 || version < 11 || x.continued) return
  x.continued = true
  if (fields.value(index).toLowerCase() === '100-continue')
    x.client.sendInformational(x, 'HTTP/1.1 100 Continue\r\n\r\n')
}

/** An internal redirect, to a URI or a named location. */
export function redirect(x: Exchange): Step {
  const target = x.redirectTarget!
  x.redirectTarget = null
  x.internal = true
  x.triesBroken = true
  x.call = null
  x.authorization = null
  x.mirrored = false
  // What has gone to one upstream is not there for another.
  x.streamsBody = false
  x.ruled = false
  if (--x.uriChanges <= 0) return cycle(x)
  if (target.startsWith('@')) return redirectNamed(x, target)
  const query = target.indexOf('?')
  const path = normalizePath(query < 0 ? target : target.slice(0, query), x.server.settings.mergeSlashes)
  if (path === null) return fail(x, 500)
  x.path = path
  x.args = query < 0 ? '' : target.slice(query + 1)
  x.hasArgs = query >= 0
  x.unparsedValid = false
  x.locationValid = true
  x.belowAlias = false
  x.location = x.server.root
  return Step.SERVER_REWRITE
}

function redirectNamed(x: Exchange, name: string): Step {
  const location = x.server.locations.named(name)
  if (location === null) {
    x.log('error', `could not find named location "${name}"`)
    return fail(x, 500)
  }
  x.location = location
  return Step.REWRITE
}

/** What a hook decided, other than to go on. */
export function decided(x: Exchange, outcome: Outcome): Step {
  switch (outcome) {
    case Outcome.ANSWER:
      return x.status === 444 ? closeSilently(x) : answered(x)
    case Outcome.REDIRECT:
      return Step.REDIRECT
    default:
      return fail(x, 500)
  }
}

export function fail(x: Exchange, status: number): Step {
  x.status = status
  return Step.ERROR
}
