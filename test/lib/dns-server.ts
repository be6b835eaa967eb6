// A name server for tests (RFC 1035): UDP and TCP on loopback, A, AAAA, CNAME and SRV records with their time to live. It
// can be told to fail, to be silent, to know nothing of a name, or to answer in part. Knows nothing of who asks.

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, isIPv4, type Server, SocketAddress } from 'node:net'
import { parseIpv6 } from '../../runtime/lib/ip-address.ts'

export interface SrvRecord {
  readonly target: string
  readonly port: number
  readonly priority?: number
  readonly weight?: number
}

/** What is known of a name. */
export interface Zone {
  /** IPv4 and IPv6 addresses. */
  readonly addresses?: readonly string[]
  readonly srv?: readonly SrvRecord[]
  readonly cname?: string
  /** What it stands for is not looked up: the answer is the alias alone. */
  readonly bare?: boolean
  /** Over UDP the answer is empty, and said to be cut off. */
  readonly truncated?: boolean
  /** Seconds; default: 1. */
  readonly ttl?: number
  /** What it says instead. */
  readonly fails?: 'formerr' | 'servfail' | 'refused' | 'silent'
  /** The type of records that this holds for; default: all. */
  readonly failsFor?: 'A' | 'AAAA' | 'SRV'
}

const TYPES = { A: 1, CNAME: 5, AAAA: 28, SRV: 33 } as const
const NOERROR = 0
const RCODES = { formerr: 1, servfail: 2, refused: 5 } as const
const NXDOMAIN = 3
/** A response with recursion, as was asked for. */
const FLAGS = 0x8180
const TRUNCATED = 0x0200
const CLASS_IN = 1

export class DnsServer {
  /** What was asked, in order: `A app.test`, over TCP `tcp A app.test`. */
  readonly asked: string[] = []
  /** Answers before this one, to every question: what else comes from its address. */
  forge: ((reply: Buffer) => Buffer) | null = null
  readonly #zones = new Map<string, Zone>()
  readonly #socket: Socket
  readonly #server: Server
  readonly #waiting = new Set<() => void>()
  #closed = false

  private constructor(socket: Socket, server: Server) {
    this.#socket = socket
    this.#server = server
    socket.on('message', (message, from) => this.#onMessage(message, from))
    server.on('connection', (client) => {
      client.on('error', () => client.destroy())
      // Questions are small and come whole.
      client.on('data', (bytes) => {
        const reply = this.#reply(bytes.subarray(2), 'tcp ')
        if (reply === null) return
        const length = Buffer.alloc(2)
        length.writeUInt16BE(reply.length)
        client.end(Buffer.concat([length, reply]))
      })
    })
  }

  static async start(port = 0): Promise<DnsServer> {
    const server = createServer().listen(port, '127.0.0.1')
    await once(server, 'listening')
    const socket = createSocket('udp4')
    socket.bind((server.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'listening')
    return new DnsServer(socket, server)
  }

  get port(): number {
    return (this.#socket.address() as AddressInfo).port
  }

  /** As in `resolver`. */
  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  set(name: string, zone: Zone): void {
    this.#zones.set(name.toLowerCase(), zone)
  }

  /** There is no such name any more. */
  delete(name: string): void {
    this.#zones.delete(name.toLowerCase())
  }

  count(question: string): number {
    return this.asked.filter((other) => other === question).length
  }

  /** Resolves once this was asked `more` times more. */
  async untilAsked(question: string, more = 1): Promise<void> {
    const wanted = this.count(question) + more
    while (this.count(question) < wanted) await new Promise<void>((next) => this.#waiting.add(next))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#server.close()
    this.#socket.close()
    await once(this.#socket, 'close')
  }

  #onMessage(message: Buffer, { port, address }: RemoteInfo): void {
    const reply = this.#reply(message, '')
    if (reply === null) return
    if (this.forge !== null) this.#socket.send(this.forge(Buffer.from(reply)), port, address)
    this.#socket.send(reply, port, address)
  }

  #reply(message: Buffer, prefix: '' | 'tcp '): Buffer | null {
    const { name, type, end } = readQuestion(message)
    const typeName = Object.keys(TYPES).find((one) => TYPES[one as keyof typeof TYPES] === type) ?? `${type}`
    this.asked.push(`${prefix}${typeName} ${name}`)
    for (const next of this.#waiting) next()
    this.#waiting.clear()
    if (prefix === '' && this.#zones.get(name.toLowerCase())?.truncated)
      return response(message, TRUNCATED, message.subarray(12, end), [])
    return this.#answer(message, name.toLowerCase(), typeName, end)
  }

  #answer(message: Buffer, name: string, type: string, end: number): Buffer | null {
    const zone = this.#zones.get(name)
    const question = message.subarray(12, end)
    if (zone === undefined) return response(message, NXDOMAIN, question, [])
    const { fails, failsFor = type } = zone
    if (fails !== undefined && failsFor === type)
      return fails === 'silent' ? null : response(message, RCODES[fails], question, [])
    return response(message, NOERROR, question, this.#records(name, type, 0))
  }

  #records(name: string, type: string, depth: number): Buffer[] {
    const zone = this.#zones.get(name)
    if (zone === undefined || depth > 4) return []
    const { addresses = [], srv = [], cname, bare = false, ttl = 1 } = zone
    if (cname !== undefined)
      return [
        record(name, TYPES.CNAME, ttl, nameBytes(cname)),
        ...(bare ? [] : this.#records(cname.toLowerCase(), type, depth + 1)),
      ]
    if (type === 'SRV') return srv.map((one) => record(name, TYPES.SRV, ttl, srvBytes(one)))
    if (type !== 'A' && type !== 'AAAA') return []
    return addresses
      .filter((address) => isIPv4(address) === (type === 'A'))
      .map((address) => record(name, TYPES[type], ttl, addressBytes(address)))
  }
}

function readQuestion(message: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = message[at]!; length > 0; length = message[at]!) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.'), type: message.readUInt16BE(at + 1), end: at + 5 }
}

function response(message: Buffer, flags: number, question: Buffer, records: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(12)
  message.copy(head, 0, 0, 2)
  head.writeUInt16BE(FLAGS | flags, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(records.length, 6)
  return Buffer.concat([head, question, ...records])
}

function record(name: string, type: number, ttl: number, data: Buffer): Buffer {
  const head = Buffer.alloc(10)
  head.writeUInt16BE(type, 0)
  head.writeUInt16BE(CLASS_IN, 2)
  head.writeUInt32BE(ttl, 4)
  head.writeUInt16BE(data.length, 8)
  return Buffer.concat([nameBytes(name), head, data])
}

function nameBytes(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '')
  return Buffer.concat([
    ...labels.map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
    Buffer.of(0),
  ])
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  return Buffer.from(parseIpv6(new SocketAddress({ address, family: 'ipv6' }).address)!)
}

function srvBytes({ target, port, priority = 0, weight = 0 }: SrvRecord): Buffer {
  const numbers = Buffer.alloc(6)
  numbers.writeUInt16BE(priority, 0)
  numbers.writeUInt16BE(weight, 2)
  numbers.writeUInt16BE(port, 4)
  return Buffer.concat([numbers, nameBytes(target)])
}
