// What a script may do in each phase, as the typings see it: this file has no type error.

import * as cookie from 'sluice:cookie'
import { crc32, hmac, ketama, sha256 } from 'sluice:hash'
import { negotiate, parseBasic, parseCacheControl, vary } from 'sluice:headers'
import { abTest, allowIf, canary, denyIf, hash, headers, maintenance, requestHeaders } from 'sluice:policy'
import { match, parse, setQuery } from 'sluice:url'

/** @type {Sluice.Init} */
export function init({ params, worker }) {
  if (!params.secret) throw new Error(`worker ${worker}: no secret`)
}

/** @type {Sluice.Rewrite} */
export function rewrite(r) {
  const user = match('/users/:id', r.uri)?.id ?? ''
  r.rawArgs = setQuery(r.rawArgs, 'user', user)
  r.uri = '/users'
  r.headersIn.set('X-User', user)
  r.headersIn['X-Raw'] = r.headersIn.get('accept')
  r.variables.pool = 'new'
  r.ctx.user = user
  if (user === '') return r.internalRedirect('@login')
  if (user === '0') return { status: 404 }
}

/** @type {Sluice.Access} */
export async function access(r) {
  const given = parseBasic(r.headersIn.get('Authorization'))
  if (given?.password !== sluice.params.password) {
    await new Promise((resume) => setTimeout(resume, 100))
    return { status: 401, headers: { 'WWW-Authenticate': 'Basic' }, body: new Uint8Array(1) }
  }
}

/** @type {Sluice.Content} */
export async function content(r) {
  const { name = '' } = await r.readForm()
  const body = await r.readJSON()
  if (Array.isArray(name) || body.x) return r.return(400)
  if (new URL(body.url).searchParams.has('x')) return r.decline()
  return { status: 200, body: `${name.trim()} ${parse(body.url)?.host}` }
}

/** @type {Sluice.Balancer} */
export function balancer(r, upstream) {
  if (upstream.tries > 0 && upstream.lastFailure === 'timeout') upstream.setTimeouts({ connect: 100 })
  const idle = upstream.peers.find((peer) => !peer.down && peer.connections === 0)
  return idle ?? upstream.hash(r.variables.arg_userId, { consistent: true })
}

const minutely = sluice.every('1m', async () => {
  const { signal } = new AbortController()
  const response = await fetch('http://users/all', {
    headers: { accept: 'text/plain' },
    signal,
    timeout: 500,
  })
  if (!response.ok) minutely.stop()
  for await (const piece of response.body ?? []) console.log(piece.length)
})

/** @type {Sluice.Content} */
export async function upload(r) {
  async function* pieces() {
    yield 'a'
    yield await r.readBytes()
  }
  const url = new URL('http://users/new')
  const made = await fetch(url, { method: 'POST', body: pieces(), redirect: 'manual' })
  return { status: made.status, headers: { ETag: made.headers.get('etag') ?? '' }, body: await made.text() }
}

/** @type {Sluice.Balancer} */
export const byAddress = (r) => (crc32(r.uri) % 2 === 0 ? '10.0.0.1:80' : undefined)

/** @type {Sluice.HeaderFilter} */
export function headerFilter(r) {
  r.status = 200
  r.headersOut.set('X-Served', r.variables.upstream_addr ?? '-')
  r.headersOut['X-Age'] = String(parseCacheControl(r.headersOut.get('Cache-Control'))['max-age'])
  for (const [name, value] of r.headersOut) console.log(name.toLowerCase(), value.length)
  vary(r, 'Accept')
  cookie.set(r, 'id', sha256('x'), { sameSite: 'Lax' })
  cookie.delete(r, 'old')
}

/** @type {Sluice.BodyFilter} */
export function bodyFilter(r, chunk, { last }) {
  r.ctx.decoder ??= new TextDecoder('utf-8', { fatal: true })
  const text = r.ctx.decoder.decode(chunk, { stream: !last })
  if (r.status === 204 || r.headersOut.has('Content-Encoding')) return
  return text === '' ? null : text.replaceAll('http:', 'https:')
}

/** @type {Sluice.BodyFilter} */
export const masked = async (_r, chunk) => chunk.map((byte) => byte ^ 1)

/** @type {Sluice.WsOpen} */
export async function wsOpen(r, ws) {
  ws.state.user = r.args.user
  ws.send('upstream', JSON.stringify({ user: ws.state.user, again: ws.reconnects > 0 }))
  if (ws.protocol !== 'chat') ws.close(1002, 'chat only')
}

/** @type {Sluice.WsMessage} */
export function wsMessage(r, msg, ws) {
  if (msg.from === 'upstream') return
  if (msg.binary) return msg.data.subarray(1)
  if (msg.data === 'ping') {
    ws.send('client', 'pong')
    return null
  }
  r.ctx.count = (r.ctx.count ?? 0) + msg.data.length
  return msg.data.trim()
}

/** @type {Sluice.WsClose} */
export function wsClose(r, info, ws) {
  if (info.by !== 'client') r.warn(info.code, info.reason, ws.state)
}

/** @type {Sluice.Migrate} */
export function migrate(old) {
  return { user: old.name }
}

/** @type {Sluice.Log} */
export function log(r) {
  r.log(r.status, r.headersOut.get('etag'), r.ctx.user)
}

/** @type {Sluice.Hooks} */
export const declared = {
  rewrite: canary('$arg_userId', { percent: 5, to: '@canary' }),
  access: allowIf('$http_x_api_key', ['k1'], { status: 401 }),
  content: maintenance({ until: '2030-01-01' }),
  balancer: hash('$arg_userId', { consistent: true }),
  headerFilter: headers({ set: { 'X-Peer': '$upstream_addr', 'X-Status': (r) => String(r.status) } }),
}

/** @type {Sluice.Hooks} */
export const others = {
  rewrite: requestHeaders({ set: { 'X-Client': '$remote_addr' } }),
  access: denyIf('$http_user_agent', (value, r) => value === '' && r.method === 'POST'),
}

/** @type {Sluice.Hooks} */
export const test = abTest('$arg_userId', { variants: { a: 1, b: 1 }, set: 'variant', cookie: 'ab' })

/** @type {Uint8Array} */
export const bytes = hmac('sha256', 'key', 'data', 'bytes')
/** @type {string} */
export const text = hmac('sha256', 'key', 'data')
/** @type {string} */
export const shard = ketama(['a:1', { name: 'b:1', weight: 2 }]).get('key')
/** @type {'br' | 'gzip' | null} */
export const encoding = negotiate('br', /** @type {const} */ (['br', 'gzip']))
