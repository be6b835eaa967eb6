// An upstream that keeps every byte it gets and answers with what the test says. All text is latin1.

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { type Message, MessageReader } from './message-reader.ts'

/** One request that the upstream has read whole. */
export interface RecordedRequest extends Message {
  readonly method: string
  readonly target: string
  /** Value of the first field of that name (any case). */
  header(name: string): string | undefined
  /** Index into `connections`. */
  readonly connection: number
}

/** Bytes to answer with; null closes the connection without an answer. `Connection: close` in it closes afterwards. */
export type Answer = string | Buffer | null

export type Respond = (head: string, request: RecordedRequest) => Answer | Promise<Answer>

/** See `recordingUpstream`. */
export interface RecordingUpstream {
  readonly port: number
  /** `127.0.0.1:port` */
  readonly address: string
  readonly requests: readonly RecordedRequest[]
  /** All bytes of each connection, in order of arrival. */
  readonly connections: readonly string[]
  /** What was not strict HTTP/1, if anything. */
  readonly faults: readonly string[]
  /** Resolves with the first `count` requests as soon as so many have come. */
  waitForRequests(count: number, timeout?: number): Promise<readonly RecordedRequest[]>
  close(): Promise<void>
}

/** `200` with a body, keep-alive. */
export function ok(body = 'ok', fields = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`
}

/**
 * Listens on a free port of 127.0.0.1 and answers each complete request with what `respond` returns.
 * @param respond gets the head as text and the whole request
 */
export async function recordingUpstream(respond: Respond = () => ok()): Promise<RecordingUpstream> {
  const recorder = new Recorder(respond)
  await recorder.listen()
  return recorder
}

class Recorder implements RecordingUpstream {
  readonly requests: RecordedRequest[] = []
  readonly connections: string[] = []
  readonly faults: string[] = []
  port = 0
  readonly #respond: Respond
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #onRequest: (() => void)[] = []

  constructor(respond: Respond) {
    this.#respond = respond
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket))
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  listen(): Promise<void> {
    return new Promise((done, fail) => {
      this.#server.once('error', fail)
      this.#server.listen(0, '127.0.0.1', () => {
        this.port = (this.#server.address() as AddressInfo).port
        done()
      })
    })
  }

  waitForRequests(count: number, timeout = 5000): Promise<readonly RecordedRequest[]> {
    return new Promise((done, fail) => {
      const late = () => fail(new Error(`${this.requests.length} of ${count} requests in ${timeout} ms`))
      const timer = setTimeout(late, timeout)
      const check = () => {
        if (this.requests.length < count) return
        clearTimeout(timer)
        done(this.requests.slice(0, count))
      }
      this.#onRequest.push(check)
      check()
    })
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    return new Promise((done) => this.#server.close(() => done()))
  }

  #accept(socket: Socket): void {
    const connection = this.connections.push('') - 1
    const reader = new MessageReader('request')
    let turn = Promise.resolve()
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {}) // 'close' follows
    socket.on('end', () => {
      turn = turn.then(() => void socket.end())
    })
    socket.on('data', (chunk) => {
      this.connections[connection] += chunk.toString('latin1')
      reader.push(chunk)
      turn = turn.then(() => this.#answerAll(reader, socket, connection))
    })
  }

  async #answerAll(reader: MessageReader, socket: Socket, connection: number): Promise<void> {
    try {
      for (let message = reader.next(); message !== null; message = reader.next()) {
        const request = describe(message, connection)
        this.requests.push(request)
        for (const check of this.#onRequest) check()
        this.#answer(socket, await this.#respond(request.head, request))
      }
    } catch (error) {
      this.faults.push(String(error))
      socket.destroy()
    }
  }

  #answer(socket: Socket, answer: Answer): void {
    if (answer === null) {
      socket.destroy()
      return
    }
    const bytes = typeof answer === 'string' ? Buffer.from(answer, 'latin1') : answer
    socket.write(bytes)
    const headEnd = bytes.indexOf('\r\n\r\n')
    const head = bytes.toString('latin1', 0, headEnd === -1 ? bytes.length : headEnd)
    if (/^connection:[^\r\n]*\bclose\b/im.test(head)) socket.end()
  }
}

function describe(message: Message, connection: number): RecordedRequest {
  const [method = '', target = ''] = message.startLine.split(' ')
  const header = (wanted: string) =>
    message.fields.find(([name]) => name.toLowerCase() === wanted.toLowerCase())?.[1]
  return { ...message, method, target, header, connection }
}
