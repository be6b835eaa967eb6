/**
 * One fetch of a script, carried out: judged, sent to a peer or an address, sent elsewhere when a connection fails or an
 * answer redirects, its body passed on as it is asked for.
 *
 *     begin -> judge -> look up -> try -> connected -> response -> body -> over
 *                ^                  ^--- failed ---'       |
 *                '------------------------ redirect -------'
 *
 * Never reads guest memory and knows no sandbox.
 */
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { FetchRule } from '../config/model.ts'
import type { FetchCall, FetchEvents, FetchRequest, ScriptHost } from '../phases.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import type { NameResolver } from '../upstream/name-resolver.ts'
import type { Address } from '../upstream/options.ts'
import type { FetchAgents } from './agents.ts'
import { Allowance, AllowList, portOf } from './allow-list.ts'
import { BodyReader } from './body-reader.ts'
import { failureText } from './failure-text.ts'
import { isRedirect, type Outgoing, quoted, Refusal, readOutgoing, redirected } from './outgoing.ts'
import { AddressRoute, GroupRoute, type Route } from './route.ts'
import { wireRequest } from './wire-request.ts'

export interface FetchSurroundings {
  /** The upstream group of that name and the key by which it is balanced for a request; null: there is none. */
  readonly findGroup: (
    name: string,
    request: FetchRequest['request'],
  ) => { readonly group: UpstreamGroup; readonly key: string } | null
  readonly resolver: Pick<NameResolver, 'cached' | 'lookUp'>
  readonly agents: FetchAgents
  /** Of requests that bring no `User-Agent`. */
  readonly userAgent: string
}

/** `ScriptHost.fetch` for scripts that these rules of `script_allow_fetch` hold for. */
export function fetchWithin(rules: readonly FetchRule[], around: FetchSurroundings): ScriptHost['fetch'] {
  const allow = new AllowList(rules)
  return (request, events) => new NetworkFetch(around, allow, request, events)
}

const MAX_REDIRECTS = 5
/** ms to one address; then the next one is tried. */
const CONNECT_TIMEOUT = 5_000
/** ms; Node fires longer timers at once. */
const MAX_WAIT = 2 ** 31 - 1
/** Not sent again over a new connection when a kept one turns out to be closed. */
const NON_IDEMPOTENT = /^(?:POST|PATCH|LOCK)$/

class NetworkFetch implements FetchCall {
  readonly #around: FetchSurroundings
  readonly #allow: AllowList
  readonly #request: FetchRequest
  readonly #events: FetchEvents
  readonly #timer: NodeJS.Timeout
  #connectTimer: NodeJS.Timeout | null = null
  #over = false
  #redirects = 0
  #out: Outgoing | null = null
  #route: Route | null = null
  #http: ClientRequest | null = null
  #reader: BodyReader | null = null
  #connected = false
  // the streamed body
  /** Came before there was a connection. */
  #held: Uint8Array | null = null
  #awaitsDrain = false
  #complete = false

  constructor(around: FetchSurroundings, allow: AllowList, request: FetchRequest, events: FetchEvents) {
    this.#around = around
    this.#allow = allow
    this.#request = request
    this.#events = events
    this.#timer = setTimeout(() => this.#onTimeout(), Math.min(request.timeout, MAX_WAIT))
    process.nextTick(() => this.#attempt(() => this.#begin()))
  }

  // ---- FetchCall ----

  read(whole: boolean): void {
    if (!this.#over) this.#reader?.read(whole)
  }

  write(chunk: Uint8Array): boolean {
    if (this.#over || this.#out?.body === null) return true
    if (!this.#connected) {
      this.#held = this.#held === null ? chunk : Buffer.concat([this.#held, chunk])
      return false
    }
    this.#awaitsDrain = !this.#http!.write(chunk)
    return !this.#awaitsDrain
  }

  finish(): void {
    this.#complete = true
    if (this.#connected && !this.#over && this.#out!.body === 'stream') this.#http!.end()
  }

  abort(): void {
    this.#end('ok')
  }

  // ---- the way to a response ----

  /** Whatever is thrown ends the fetch: a Refusal, or Node refusing to send something. */
  #attempt(action: () => void): void {
    if (this.#over) return
    try {
      action()
    } catch (error) {
      this.#fail(error instanceof Refusal ? error.message : failureText(error as Error))
    }
  }

  #begin(): void {
    this.#out = readOutgoing(this.#request)
    this.#judge(null)
  }

  /** @param from the request that was redirected here */
  #judge(from: Outgoing | null): void {
    const { url } = this.#out!
    const found = this.#groupOf(url)
    if (found !== null) {
      // What others answer must not reach into the groups that only this configuration knows.
      if (from !== null && from.url.origin !== url.origin) {
        throw new Refusal(`a redirect to the upstream group ${found.group.name} is not followed`)
      }
      this.#route = new GroupRoute(found.group, found.key)
      this.#try()
      return
    }
    const allowance = this.#allow.allows(url)
    if (allowance === Allowance.NO) throw notAllowed(url)
    this.#lookUp(url, allowance)
  }

  #groupOf(url: URL): { readonly group: UpstreamGroup; readonly key: string } | null {
    if (url.protocol !== 'http:' || url.port !== '' || !this.#allow.allowsGroup(url)) return null
    return this.#around.findGroup(url.hostname, this.#request.request)
  }

  #lookUp(url: URL, allowance: Allowance): void {
    const { resolver } = this.#around
    const port = portOf(url)
    const name = `${url.hostname}:${port}`
    const known = resolver.cached(name)
    if (known !== null) this.#judgeAddresses(known, url, allowance)
    else {
      resolver.lookUp(name, port, (addresses) =>
        this.#attempt(() => this.#judgeAddresses(addresses, url, allowance)),
      )
    }
  }

  #judgeAddresses(addresses: readonly Address[], url: URL, allowance: Allowance): void {
    if (addresses.length === 0) throw new Refusal(`${url.hostname} could not be resolved`)
    const allowed = addresses.filter(({ host = '' }) => this.#allow.allowsAddress(allowance, url, host))
    if (allowed.length === 0) throw addressNotAllowed(url, addresses[0])
    this.#route = new AddressRoute(allowed)
    this.#try()
  }

  #try(reason: string | null = null): void {
    const route = this.#route!
    const address = route.next()
    if (address === null) throw new Refusal(reason ?? route.nowhere)
    this.#open(address, true)
  }

  /** @param kept a connection that was used before may be used again */
  #open(address: Address, kept: boolean): void {
    const { agents, userAgent } = this.#around
    const request = wireRequest(this.#out!, { address, agents, userAgent, kept })
    this.#http = request
    this.#connected = false
    const current = (action: () => void) => {
      if (this.#http === request) this.#attempt(action)
    }
    request.on('socket', (socket) => current(() => this.#onSocket(socket)))
    request.on('response', (response) => current(() => this.#onResponse(response)))
    request.on('error', (error) => current(() => this.#onError(error, address, kept)))
    request.on('drain', () => current(() => this.#onDrain()))
    // Without listeners Node would wait for the tunnel's end.
    request.on('upgrade', (_response, socket) => {
      socket.destroy()
      current(() => this.#fail(this.#said('the answer switches protocols unasked'), 'failed'))
    })
    const { body } = this.#out!
    if (body === 'stream') request.flushHeaders()
    else if (body === null) request.end()
    else request.end(body)
  }

  // ---- what the connection tells ----

  #onSocket(socket: Socket): void {
    if (!socket.connecting) {
      this.#onConnected()
      return
    }
    const request = this.#http!
    this.#connectTimer = setTimeout(
      () => request.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' })),
      CONNECT_TIMEOUT,
    )
    socket.once('connect', () => {
      if (this.#http === request && !this.#over) this.#onConnected()
    })
  }

  #onConnected(): void {
    this.#stopConnectTimer()
    this.#connected = true
    if (this.#out!.body !== 'stream') return
    const held = this.#held
    this.#held = null
    if (held !== null) this.#awaitsDrain = !this.#http!.write(held)
    if (this.#complete) this.#http!.end()
    else if (held !== null && !this.#awaitsDrain) this.#events.drained()
  }

  #onDrain(): void {
    if (!this.#awaitsDrain) return
    this.#awaitsDrain = false
    this.#events.drained()
  }

  #onError(error: NodeJS.ErrnoException, address: Address, kept: boolean): void {
    this.#stopConnectTimer()
    const reason = this.#said(failureText(error))
    const { method, body } = this.#out!
    if (this.#reader === null && !this.#connected) {
      this.#route!.end('failed')
      this.#try(reason)
      return
    }
    const wasStale = this.#reader === null && kept && this.#http!.reusedSocket
    if (wasStale && body !== 'stream' && !NON_IDEMPOTENT.test(method)) this.#open(address, false)
    else this.#fail(reason, 'failed')
  }

  #onResponse(response: IncomingMessage): void {
    const { statusCode = 0, headers } = response
    response.on('error', () => {
      this.#attempt(() => this.#fail(this.#said('the answer was cut off'), 'failed'))
    })
    const { redirect } = this.#request
    if (redirect !== 'manual' && isRedirect(statusCode) && headers.location !== undefined) {
      this.#onRedirect(statusCode, headers.location)
      return
    }
    const out = this.#out!
    const empty =
      out.method === 'HEAD' || statusCode === 204 || statusCode === 304 || headers['content-length'] === '0'
    if (empty) {
      response.resume()
      this.#end('ok', true)
    } else {
      this.#reader = new BodyReader(response, (chunk, last) => this.#onData(chunk, last))
      response.on('end', () => this.#route?.end('ok'))
    }
    this.#events.response({
      url: out.url.href,
      redirected: this.#redirects > 0,
      status: statusCode,
      statusText: response.statusMessage ?? '',
      headers: pairs(response.rawHeaders),
      empty,
    })
  }

  #onRedirect(status: number, location: string): void {
    const last = this.#out!
    if (this.#request.redirect === 'error') throw new Refusal(this.#said(`redirected to ${quoted(location)}`))
    if (++this.#redirects > MAX_REDIRECTS)
      throw new Refusal(this.#said(`more than ${MAX_REDIRECTS} redirects`))
    const request = this.#http!
    this.#route!.end('ok')
    this.#http = null
    request.destroy()
    this.#out = redirected(last, status, location)
    this.#judge(last)
  }

  #onData(chunk: Uint8Array, last: boolean): void {
    if (this.#over) return
    if (last) this.#end('ok', true)
    this.#events.data(chunk, last)
  }

  // ---- ends ----

  /** The failure, with the URL that it is of. */
  #said(what: string): string {
    const { origin, pathname } = this.#out!.url
    const shown = origin + pathname
    return `${shown.length > 200 ? `${shown.slice(0, 200)}...` : shown}: ${what}`
  }

  #onTimeout(): void {
    // Scripts choose this time: it says nothing about the peer.
    this.#end('ok')
    const { timeout, url } = this.#request
    const message = `${quoted(url)}: no complete answer within ${timeout} ms`
    this.#events.failed({ kind: 'TimeoutError', message })
  }

  #fail(message: string, verdict: 'ok' | 'failed' = 'ok'): void {
    this.#end(verdict)
    this.#events.failed({ kind: 'TypeError', message })
  }

  /** @param whole the answer has come whole: its connection is left to the next fetch, if the request went out whole too */
  #end(verdict: 'ok' | 'failed', whole = false): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#timer)
    this.#stopConnectTimer()
    this.#route?.end(verdict)
    this.#held = null
    const request = this.#http
    if (request !== null && !(whole && request.writableEnded)) request.destroy()
  }

  #stopConnectTimer(): void {
    if (this.#connectTimer !== null) clearTimeout(this.#connectTimer)
    this.#connectTimer = null
  }
}

function pairs(raw: readonly string[]): [name: string, value: string][] {
  const fields: [string, string][] = []
  for (let i = 0; i < raw.length; i += 2) fields.push([raw[i], raw[i + 1]])
  return fields
}

function notAllowed({ origin }: URL): Refusal {
  return new Refusal(`${origin} is not allowed; "script_allow_fetch ${origin};" would allow it`)
}

function addressNotAllowed({ hostname }: URL, { host }: Address): Refusal {
  return new Refusal(
    `${hostname} has the address ${host}, which is not allowed; "script_allow_fetch ${host};" would allow it`,
  )
}
