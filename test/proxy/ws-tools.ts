// What the WebSocket tests share: frames as bytes, both ends of a connection that speak them by hand, and a gateway in
// this process whose hooks are functions of the test. Independent of the codec under test.

import { createHash } from 'node:crypto'
import { connect, createServer, type Socket } from 'node:net'
import { createGateway, type Gateway } from '../../runtime/gateway.ts'
import type { PhaseHandler } from '../../runtime/phases.ts'
import type { Exchange } from '../../runtime/proxy/exchange.ts'
import type { Hooks } from '../../runtime/proxy/plan.ts'
import { modelOf } from '../config/parsed.ts'
import { freePort } from '../lib/ports.ts'
import { tempDir } from '../lib/temp.ts'
import { until } from './journey-tools.ts'

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
export const TEXT = 1
export const BINARY = 2
export const CLOSE = 8
export const PING = 9
export const PONG = 10

export interface Frame {
  readonly fin: boolean
  /** RSV1 to RSV3 as three bits. */
  readonly rsv: number
  readonly opcode: number
  readonly masked: boolean
  readonly payload: Buffer
}

interface FrameParts {
  readonly fin?: boolean
  readonly rsv?: number
  readonly mask?: boolean
}

/** One frame as bytes. */
export function frame(
  opcode: number,
  payload: string | Buffer = '',
  { fin = true, rsv = 0, mask = false }: FrameParts = {},
): Buffer {
  const data = Buffer.from(payload)
  const bit = mask ? 0x80 : 0
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode]
  if (data.length < 126) head.push(bit | data.length)
  else if (data.length < 65536) head.push(bit | 126, data.length >> 8, data.length & 255)
  else {
    const length = Buffer.alloc(8)
    length.writeBigUInt64BE(BigInt(data.length))
    head.push(bit | 127, ...length)
  }
  if (!mask) return Buffer.concat([Buffer.from(head), data])
  const key = [0x12, 0x34, 0xab, 0xcd]
  return Buffer.concat([Buffer.from(head), Buffer.from(key), data.map((byte, i) => byte ^ key[i & 3])])
}

export function closeFrame(code: number, reason = '', parts: FrameParts = {}): Buffer {
  return frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]), parts)
}

/** The frame at the front of the bytes, and how long it is; null: not all of it is there. */
export function readFrame(bytes: Buffer): { frame: Frame; size: number } | null {
  if (bytes.length < 2) return null
  const masked = bytes[1] >= 128
  let length = bytes[1] & 127
  let at = 2
  if (length === 126) {
    if (bytes.length < 4) return null
    length = bytes.readUInt16BE(2)
    at = 4
  } else if (length === 127) {
    if (bytes.length < 10) return null
    length = Number(bytes.readBigUInt64BE(2))
    at = 10
  }
  const key = bytes.subarray(at, masked ? (at += 4) : at)
  if (bytes.length < at + length) return null
  const payload = Buffer.from(bytes.subarray(at, at + length))
  if (masked) for (let i = 0; i < length; i++) payload[i] ^= key[i & 3]!
  const first = bytes[0]
  const read = {
    fin: first >= 128,
    rsv: (first >> 4) & 7,
    opcode: first & 15,
    masked,
    payload,
  }
  return { frame: read, size: at + length }
}

/** `text hello`, `binary 00ff`, `ping x`, `close 1000 bye`: a frame in words. */
export function inWords({ opcode, payload }: Frame): string {
  if (opcode === CLOSE)
    return payload.length < 2 ? 'close' : `close ${payload.readUInt16BE(0)} ${payload.subarray(2)}`.trim()
  if (opcode === BINARY) return `binary ${payload.toString('hex')}`
  const name = { [TEXT]: 'text', [PING]: 'ping', [PONG]: 'pong' }[opcode] ?? `opcode ${opcode}`
  return `${name} ${payload}`.trim()
}

/** One end of a WebSocket, by hand. Frames sent are masked when it is the client's end. */
export class End {
  readonly socket: Socket
  readonly head: string
  readonly frames: Frame[] = []
  /** Bytes behind the head. */
  received = 0
  ended = false
  readonly #mask: boolean
  #rest: Buffer

  constructor(socket: Socket, head: string, rest: Buffer, mask: boolean) {
    this.socket = socket
    this.head = head
    this.#mask = mask
    this.#rest = Buffer.alloc(0)
    socket.on('data', (chunk) => this.#take(chunk))
    socket.on('end', () => (this.ended = true))
    socket.on('close', () => (this.ended = true))
    this.#take(rest)
  }

  #take(chunk: Buffer): void {
    this.received += chunk.length
    this.#rest = Buffer.concat([this.#rest, chunk])
    for (let next = readFrame(this.#rest); next !== null; next = readFrame(this.#rest)) {
      this.#rest = this.#rest.subarray(next.size)
      this.frames.push(next.frame)
    }
  }

  get words(): string[] {
    return this.frames.map(inWords)
  }

  send(opcode: number, payload: string | Buffer = '', parts: FrameParts = {}): void {
    this.socket.write(frame(opcode, payload, { mask: this.#mask, ...parts }))
  }

  text(text: string): void {
    this.send(TEXT, text)
  }

  close(code: number, reason = ''): void {
    this.socket.write(closeFrame(code, reason, { mask: this.#mask }))
  }

  /** Waits until this many frames have come in all, or until the connection has ended; in words. */
  async seen(count: number, ms = 5000): Promise<string[]> {
    await until(
      `frame ${count} (have ${JSON.stringify(this.words).slice(0, 300)})`,
      () => this.frames.length >= count,
      ms,
    )
    return this.words
  }

  gone(ms = 5000): Promise<void> {
    return until(`the end (have ${JSON.stringify(this.words).slice(0, 300)})`, () => this.ended, ms)
  }
}

/** A client's handshake; answers with its end once the 101 has come, or with the whole response when it is another. */
export function openEnd(port: number, path: string, fields = ''): Promise<End> {
  const request = `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n${fields}\r\n`
  return new Promise((done, fail) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    socket.on('error', () => {})
    socket.once('error', fail)
    socket.once('connect', () => socket.write(request))
    let bytes = Buffer.alloc(0)
    const onData = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      const end = bytes.indexOf('\r\n\r\n')
      if (end < 0) return
      socket.off('data', onData)
      done(new End(socket, bytes.toString('latin1', 0, end + 4), bytes.subarray(end + 4), true))
    }
    socket.on('data', onData)
  })
}

export function acceptFor(head: string): string {
  const key = /\r\nSec-WebSocket-Key: (.*)\r\n/i.exec(head)?.[1] ?? ''
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

export interface HandUpstream {
  readonly port: number
  readonly address: string
  /** Each connection that was switched, in order. */
  readonly ends: End[]
  /** More fields of the 101. */
  fields: string
  /** Answers in place of the 101. */
  answer: ((head: string) => string) | null
  next(count: number): Promise<End>
  close(): Promise<void>
}

/** An upstream that switches every connection. */
export function handUpstream(port = 0): Promise<HandUpstream> {
  const sockets: Socket[] = []
  const ends: End[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    let bytes = Buffer.alloc(0)
    const onData = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      const at = bytes.indexOf('\r\n\r\n')
      if (at < 0) return
      socket.off('data', onData)
      const head = bytes.toString('latin1', 0, at + 4)
      if (upstream.answer !== null) socket.write(upstream.answer(head), 'latin1')
      else {
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptFor(head)}\r\n${upstream.fields}\r\n`,
        )
      }
      ends.push(new End(socket, head, bytes.subarray(at + 4), false))
    }
    socket.on('data', onData)
  })
  const upstream: HandUpstream = {
    port: 0,
    address: '',
    ends,
    fields: '',
    answer: null,
    async next(count) {
      await until(`upstream connection ${count}`, () => ends.length >= count)
      return ends[count - 1]!
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise<void>((done) => server.close(() => done()))
    },
  }
  return new Promise((done) => {
    server.listen(port, '127.0.0.1', () => {
      const address = server.address() as { port: number }
      done(Object.assign(upstream, { port: address.port, address: `127.0.0.1:${address.port}` }))
    })
  })
}

const NONE: Hooks = {
  rewrite: null,
  access: null,
  content: null,
  balancer: null,
  headerFilter: null,
  bodyFilter: null,
  wsOpen: null,
  wsMessage: null,
  wsClose: null,
  log: null,
}

/** A gateway in this process. */
export class HookedGateway {
  readonly port: number
  readonly gateway: Gateway
  readonly log: string[]
  readonly #text: string
  /** Set anew after a reload too. */
  readonly #hooks = new Map<string, { readonly [P in keyof Hooks]?: PhaseHandler }>()

  constructor(port: number, gateway: Gateway, text: string, log: string[]) {
    this.port = port
    this.gateway = gateway
    this.#text = text
    this.log = log
  }

  /** The hooks of a location, from the next request on. */
  hook(path: string, hooks: { readonly [P in keyof Hooks]?: PhaseHandler }): void {
    this.#hooks.set(path, hooks)
    this.#install(path)
  }

  #install(path: string): void {
    const listener = this.gateway.generation.listener(`127.0.0.1:${this.port}`, { localAddress: '127.0.0.1' })
    const plan = listener.defaultServer.locations.find({ path, captures: null } as Exchange)!
    const chains = Object.entries(this.#hooks.get(path)!).map(([phase, hook]) => [phase, [hook]])
    Object.assign(plan, { hooks: { ...NONE, ...Object.fromEntries(chains) } })
  }

  /** Another generation, in which this path has these hooks. */
  async swap(path: string, hooks: { readonly [P in keyof Hooks]?: PhaseHandler }): Promise<void> {
    this.#hooks.set(path, hooks)
    await this.gateway.reload(modelOf(this.#text))
    for (const known of this.#hooks.keys()) this.#install(known)
  }

  close(): Promise<void> {
    return this.gateway.close()
  }
}

/** Locations in a server of their own; every one is an exact or prefix location with `proxy_pass`. */
export async function hookedGateway(locations: string, http = '', main = ''): Promise<HookedGateway> {
  const port = await freePort()
  const text = `${main} http { ${http} server { listen 127.0.0.1:${port}; ${locations} } }`
  const log: string[] = []
  const gateway = createGateway(modelOf(text), {
    prefix: tempDir('sluice-ws-'),
    log: (level, message) => void log.push(`[${level}] ${message}`),
  })
  await gateway.listen()
  return new HookedGateway(port, gateway, text, log)
}
