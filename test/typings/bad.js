// What is a type error: each line below a comment that expects one. A comment without its error is an error itself.

import * as cookie from 'sluice:cookie'
import { hmac, sha256 } from 'sluice:hash'
import { vary } from 'sluice:headers'
// @ts-expect-error there is no such module
import { nothing } from 'sluice:nothing'
import { abTest, allowIf, canary, hash, headers } from 'sluice:policy'

/** @type {Sluice.Rewrite} */
export function rewrite(r) {
  // @ts-expect-error the status belongs to headerFilter
  r.status = 200
  // @ts-expect-error fields are texts
  r.headersIn.set('X-Count', 1)
  // @ts-expect-error the method cannot be changed
  r.method = 'POST'
}

/** @type {Sluice.Access} */
export function access(r) {
  // @ts-expect-error the uri is rewritten in rewrite
  r.uri = '/other'
  // @ts-expect-error an answer has a status
  return { body: 'x' }
}

/** @type {Sluice.Content} */
export function content(r) {
  // @ts-expect-error there is no upstream that would see it
  r.headersIn.set('X-A', 'b')
}

/** @type {Sluice.Balancer} */
export function balancer(r, upstream) {
  // @ts-expect-error in this phase there is nothing to add a cookie to
  cookie.set(r, 'a', 'b')
  // @ts-expect-error the body is read before a peer is chosen
  r.readText()
  // @ts-expect-error the option is a flag
  upstream.hash('key', { consistent: 'yes' })
  // @ts-expect-error peers cannot be changed
  upstream.peers[0].weight = 2
  // @ts-expect-error a peer, not its index
  return 1
}

/** @type {Sluice.HeaderFilter} */
export function headerFilter(r) {
  // @ts-expect-error the answer is there already
  r.return(403)
  // @ts-expect-error the request has been sent
  r.headersIn['X-A'] = 'b'
  // @ts-expect-error names are texts
  vary(r, 1)
  // @ts-expect-error spelled sameSite: 'Lax'
  cookie.set(r, 'a', 'b', { sameSite: 'Laxer' })
}

/** @type {Sluice.BodyFilter} */
export function bodyFilter(r, chunk, { last }) {
  // @ts-expect-error the head has been sent
  r.headersOut.set('X-A', 'b')
  // @ts-expect-error so has the status
  r.status = 500
  // @ts-expect-error the answer is under way
  r.return(403)
  // @ts-expect-error a chunk is bytes
  if (chunk === 'text') return
  // @ts-expect-error the options of a decoder are flags
  new TextDecoder().decode(chunk, { stream: 'yes' })
  // @ts-expect-error text or bytes
  return last ? 1 : undefined
}

/** @type {Sluice.WsOpen} */
export function wsOpen(r, ws) {
  // @ts-expect-error the handshake is over
  r.headersOut.set('X-A', 'b')
  // @ts-expect-error the sides are client and upstream
  ws.send('server', 'x')
  // @ts-expect-error text or bytes
  ws.send('client', { type: 'x' })
  // @ts-expect-error both sides agreed on it already
  ws.protocol = 'chat'
  // @ts-expect-error codes are numbers
  ws.close('1000')
}

/** @type {Sluice.WsMessage} */
export function wsMessage(r, msg, ws) {
  // @ts-expect-error bytes have no toUpperCase
  msg.data.toUpperCase()
  // @ts-expect-error a message is replaced by what is returned
  msg.data = 'x'
  // @ts-expect-error the body was read before
  r.readText()
  // @ts-expect-error there is no peer to choose
  ws.hash('key')
  // @ts-expect-error text or bytes, not an answer
  return { status: 403 }
}

/** @type {Sluice.WsClose} */
export function wsClose(r, info) {
  // @ts-expect-error it has ended so
  info.code = 1000
  // @ts-expect-error client, upstream, proxy or script
  if (info.by === 'server') r.log('server')
}

/** @type {Sluice.Log} */
export function log(r) {
  // @ts-expect-error the response has been sent
  r.headersOut['X-A'] = 'b'
  // @ts-expect-error a sandbox is not Node
  process.exit()
  // @ts-expect-error nor a browser
  document.title = r.uri
}

// @ts-expect-error an interval and a function
sluice.every('10s')
// @ts-expect-error a number is no body
fetch('http://a/', { body: 5 })
// @ts-expect-error there is no such mode
fetch('http://a/', { redirect: 'maybe' })

// @ts-expect-error the option is consistent
export const misspelt = hash('$arg_userId', { consistant: true })
// @ts-expect-error names and values, not a list
export const listed = headers({ set: ['X-A'] })
// @ts-expect-error percent is missing
export const shareless = canary('$arg_userId', { to: '/x' })
// @ts-expect-error a number is no test
export const untested = allowIf('$arg_userId', 5)
// @ts-expect-error weights are numbers
export const weighed = abTest('$arg_userId', { variants: { a: 'much', b: 'little' } })
/** @type {string} */
// @ts-expect-error asked for bytes
export const digest = sha256('x', 'bytes')
// @ts-expect-error there is no such algorithm
export const mac = hmac('sha3', 'key', 'data')
/** @type {Sluice.Hooks} */
// @ts-expect-error a headerFilter hook in the place of a log hook
export const wrongPlace = { log: headers({ remove: ['Server'] }) }
/** @type {Sluice.Hooks} */
// @ts-expect-error there is no such phase
export const wrongName = { headersFilter: headers({ remove: ['Server'] }) }

export { nothing }
