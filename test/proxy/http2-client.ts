// HTTP/2 clients for tests: Node's own, and one that sends frames as a test writes them.

import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { Socket } from 'node:net'
import { openClient, until } from './journey-tools.ts'

/** A response, as far as it came. */
export interface Http2Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly trailers: IncomingHttpHeaders | null
  /** Statuses of 1xx responses before. */
  readonly interim: readonly number[]
  /** Error code that the stream was closed with; 0: none. */
  readonly code: number
}

/** A session to 127.0.0.1:`port`; errors of it are for the test to look at. */
export function session(port: number): ClientHttp2Session {
  const client = connect(`http://127.0.0.1:${port}`)
  client.on('error', () => {})
  return client
}

/** Sends a request and reads the answer to its end; `body` null: none, an array: piece by piece. */
export function ask(
  client: ClientHttp2Session,
  headers: OutgoingHttpHeaders | string,
  body: string | readonly string[] | null = null,
): Promise<Http2Answer> {
  const fields = typeof headers === 'string' ? { ':path': headers } : headers
  const stream = client.request(fields, { endStream: body === null })
  const answer = {
    status: 0,
    headers: {} as IncomingHttpHeaders,
    body: '',
    trailers: null as IncomingHttpHeaders | null,
  }
  const interim: number[] = []
  stream.setEncoding('latin1')
  stream.on('headers', (received) => interim.push(received[':status']!))
  stream.on('response', (received) => {
    answer.status = received[':status']!
    answer.headers = received
  })
  stream.on('data', (text: string) => {
    answer.body += text
  })
  stream.on('trailers', (received) => {
    answer.trailers = received
  })
  stream.on('error', () => {})
  if (typeof body === 'string') stream.end(body, 'latin1')
  else if (body !== null) {
    for (const piece of body) stream.write(piece, 'latin1')
    stream.end()
  }
  return new Promise((done) => stream.on('close', () => done({ ...answer, interim, code: stream.rstCode })))
}

/** One exchange on a session of its own. */
export async function askOnce(
  port: number,
  headers: OutgoingHttpHeaders | string,
  body: string | readonly string[] | null = null,
): Promise<Http2Answer> {
  const client = session(port)
  try {
    return await ask(client, headers, body)
  } finally {
    client.destroy()
  }
}

export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
export const Frame = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
} as const

export interface RawFrame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** The bytes of one frame. */
export function frame(type: number, flags: number, stream: number, payload: Buffer | string = ''): Buffer {
  const content = Buffer.from(payload as string, 'latin1')
  const head = Buffer.alloc(9)
  head.writeUIntBE(content.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, content])
}

/** Header block of literal fields without indexing or Huffman (RFC 7541 section 6.2.2); short ones only. */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): string {
  return fields
    .map(
      ([name, value]) =>
        `\0${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`,
    )
    .join('')
}

/** The pseudo-headers of a request. */
export function pseudo(path: string, method = 'GET'): [string, string][] {
  return [
    [':method', method],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'a'],
  ]
}

/** HEADERS that begin and end a request. */
export function get(stream: number, path: string): Buffer {
  return frame(Frame.HEADERS, 5, stream, headerBlock(pseudo(path)))
}

/** A connection whose frames the test writes itself. */
export class RawHttp2 {
  readonly socket: Socket
  readonly frames: RawFrame[] = []
  closed = false
  #rest = Buffer.alloc(0)

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk) => this.#read(chunk))
    socket.on('end', () => {
      this.closed = true
      socket.end()
    })
    socket.on('close', () => {
      this.closed = true
    })
  }

  static async open(port: number, ...first: (string | Buffer)[]): Promise<RawHttp2> {
    const client = new RawHttp2(await openClient(port))
    client.socket.write(Buffer.concat(first.map((bytes) => Buffer.from(bytes as string, 'latin1'))))
    return client
  }

  /** For a socket that was opened before and has not been read. */
  static on(socket: Socket): RawHttp2 {
    return new RawHttp2(socket)
  }

  send(...frames: Buffer[]): void {
    this.socket.write(Buffer.concat(frames))
  }

  /** The first frame of this type, now or later. */
  async first(type: number, stream?: number): Promise<RawFrame> {
    const find = () =>
      this.frames.find((seen) => seen.type === type && (stream === undefined || seen.stream === stream))
    await until(`frame of type ${type}`, () => find() !== undefined)
    return find()!
  }

  async untilClosed(): Promise<void> {
    await until('close', () => this.closed)
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= 9) {
      const length = this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < 9 + length) return
      const [type, flags] = [this.#rest[3], this.#rest[4]]
      this.frames.push({
        type,
        flags,
        stream: this.#rest.readUInt32BE(5),
        payload: this.#rest.subarray(9, 9 + length),
      })
      this.#rest = this.#rest.subarray(9 + length)
    }
  }
}
