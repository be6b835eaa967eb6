/** The client of a dry run: comes in on a listening address, has a body to give, and keeps what it would be sent. */
import type { Generation } from '../compile.ts'
import type { ListenAddress } from '../listen/listen-sockets.ts'
import type { ClientTransport, Exchange, Listener } from '../proxy/exchange.ts'
import { chooseFraming, responseHead } from '../proxy/response-writer.ts'
import { Step } from '../proxy/step.ts'
import { ArgumentError } from './arguments.ts'
import type { DryRequest } from './try-arguments.ts'

/** Where a request comes in. */
export interface Entrance {
  readonly listener: Listener
  /** As the socket would say; no port for a unix socket. */
  readonly address: string
  readonly port: string
}

/**
 * The listening address of a request: the one asked for, else the one with the port of its Host, else the first.
 * @param at `8080`, `127.0.0.1:8080`, `unix:/path`, or null
 * @throws ArgumentError when nothing listens there
 */
export function findEntrance(generation: Generation, at: string | null, request: DryRequest): Entrance {
  const { addresses } = generation
  if (addresses.length === 0) throw new ArgumentError('try: the configuration has no server')
  const found = at === null ? (byPort(addresses, hostPort(request)) ?? addresses[0]) : byText(addresses, at)
  if (found === undefined) {
    const all = addresses.map(({ text }) => text).join(', ')
    throw new ArgumentError(`try: no server listens on "${at}"; addresses are ${all}`)
  }
  const address = localAddress(found, at)
  const listener = generation.listener(found.text, {
    localAddress: found.path === undefined ? address : undefined,
  })
  return { listener, address, port: found.port === undefined ? '' : String(found.port) }
}

function byText(addresses: readonly ListenAddress[], at: string): ListenAddress | undefined {
  const [, host = '', port] = /^(?:(.*):)?(\d+)$/.exec(at) ?? []
  const covers = (address: ListenAddress) =>
    host === '' || isWildcard(address) || address.host === host.replace(/^\[|\]$/g, '')
  return (
    addresses.find(({ text }) => text === at) ??
    addresses.find((address) => String(address.port) === port && covers(address))
  )
}

function byPort(addresses: readonly ListenAddress[], port: string): ListenAddress | undefined {
  return addresses.find((address) => String(address.port) === port)
}

/** The port that the target's authority or the Host field names. */
function hostPort({ target, fields }: DryRequest): string {
  const host = fields.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? ''
  return /^[a-z]+:\/\/[^/?#]*:(\d+)(?:[/?#]|$)/i.exec(target)?.[1] ?? /:(\d+)$/.exec(host)?.[1] ?? ''
}

function isWildcard({ host }: ListenAddress): boolean {
  return host === '0.0.0.0' || host === '::'
}

function localAddress(address: ListenAddress, at: string | null): string {
  if (address.path !== undefined) return 'unix:'
  if (!isWildcard(address)) return address.host!
  const asked = /^\[?([^[\]*]+?)\]?:\d+$/.exec(at ?? '')?.[1]
  return asked ?? (address.host === '::' ? '::1' : '127.0.0.1')
}

export class DryClient implements ClientTransport {
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1'
  readonly remoteAddress: string
  readonly remotePort = '50000'
  readonly serverAddress: string
  readonly serverPort: string
  readonly connectionId = 1
  readonly requests = 1
  readonly openedAt = Date.now()
  readonly listener: Listener
  readonly pendingBytes = 0
  /** The head of the response; null: none was sent. */
  head: string | null = null
  /** The response was given up before its end. */
  cut = false
  readonly #body: Buffer
  readonly #sent: Buffer[] = []
  #exchange: Exchange | null = null

  constructor(request: DryRequest, entrance: Entrance) {
    this.protocol = `HTTP/${request.version}`
    this.remoteAddress = request.from
    this.serverAddress = entrance.address
    this.serverPort = entrance.port
    this.listener = entrance.listener
    this.#body = Buffer.from(request.body ?? '', 'latin1')
  }

  /** Whose body this client gives. */
  serves(x: Exchange): void {
    this.#exchange = x
  }

  readBody(): void {
    const body = this.#exchange?.body
    if (body != null && !body.done) body.push(this.#body)
  }

  /** The body of the response, as a byte string. */
  get sent(): string {
    return Buffer.concat(this.#sent).toString('latin1')
  }

  sendHead(x: Exchange, first: Uint8Array | string | null): boolean {
    x.headSent = true
    this.head = responseHead(x, chooseFraming(x))
    return first === null || this.sendBody(x, first)
  }

  sendBody(_x: Exchange, chunk: Uint8Array | string): boolean {
    this.#sent.push(typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : Buffer.from(chunk))
    return true
  }

  sendFramed(x: Exchange, chunk: Uint8Array | string): boolean {
    return this.sendBody(x, chunk)
  }

  sendEnd(): Step {
    return Step.LOG
  }

  prereadBody(): null {
    return null
  }

  sendInformational(): void {}

  abort(): void {
    this.cut = true
  }

  finished(): void {}

  discardBody(): null {
    return null
  }

  pauseBody(): void {}

  resumeBody(): void {}
}
