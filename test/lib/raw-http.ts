// Clients that send exactly the bytes a test writes: one-shot and keep-alive. All text is latin1.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type Message, MessageReader, valuesOf } from './message-reader.ts'

const DEFAULT_TIMEOUT = 5000

/** When a raw exchange is over. */
export interface RawOptions {
  /** `'close'` (default): the server closes; a pattern or a test over all text received; a number of bytes. */
  readonly until?: 'close' | RegExp | number | ((text: string) => boolean)
  /** ms until the exchange fails with an error that shows what was received. */
  readonly timeout?: number
  /** Send FIN after the last byte. */
  readonly halfClose?: boolean
}

/** Bytes to send; an array is sent part by part, so that the parts arrive as reads of their own. */
export type RawBytes = string | Buffer | readonly (string | Buffer)[]

/** Sends `bytes` to 127.0.0.1:`port` and returns all that comes back. */
export async function rawRequest(port: number, bytes: RawBytes, options: RawOptions = {}): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  const answer = collect(socket, options)
  try {
    await once(socket, 'connect')
    await sendParts(socket, bytes)
    if (options.halfClose) socket.end()
    return await answer
  } catch (error) {
    answer.catch(() => {}) // the same error, once is enough
    throw error
  } finally {
    socket.destroy()
  }
}

function collect(
  socket: Socket,
  { until = 'close', timeout = DEFAULT_TIMEOUT }: RawOptions,
): Promise<string> {
  let text = ''
  return new Promise((done, fail) => {
    const timer = setTimeout(() => {
      fail(new Error(`no end after ${timeout} ms; received ${JSON.stringify(text)}`))
      socket.destroy()
    }, timeout)
    const finish = () => {
      clearTimeout(timer)
      done(text)
    }
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (isOver(text, until)) finish()
    })
    socket.on('close', () => {
      if (until === 'close' || isOver(text, until)) finish()
      clearTimeout(timer)
      fail(new Error(`closed too early; received ${JSON.stringify(text)}`))
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // A reset after the answer is a close; a refused connection is a failure.
      if (error.code === 'ECONNREFUSED') fail(error)
    })
  })
}

function isOver(text: string, until: NonNullable<RawOptions['until']>): boolean {
  if (until === 'close') return false
  if (typeof until === 'number') return text.length >= until
  return until instanceof RegExp ? until.test(text) : until(text)
}

async function sendParts(socket: Socket, bytes: RawBytes): Promise<void> {
  const parts = typeof bytes === 'string' || Buffer.isBuffer(bytes) ? [bytes] : bytes
  for (const [i, part] of parts.entries()) {
    if (i > 0) await new Promise((next) => setTimeout(next, 2)) // lets the part before be read by itself
    if (socket.destroyed) return
    socket.write(toBytes(part))
  }
}

function toBytes(part: string | Buffer): Buffer {
  return typeof part === 'string' ? Buffer.from(part, 'latin1') : part
}

/** A response as `HttpClient` returns it. */
export interface ClientResponse extends Message {
  readonly status: number
  /** All values of a field joined with `, `; undefined when absent. Any case. */
  header(name: string): string | undefined
}

/** A keep-alive connection: one request after the other, responses read strictly. */
export class HttpClient {
  readonly #socket: Socket
  readonly #reader = new MessageReader('response')
  readonly #timeout: number
  #wake: () => void = () => {}
  /** True once the server has closed its side. */
  closed = false
  /** Interim (1xx) responses seen so far. */
  readonly interim: ClientResponse[] = []

  constructor(port: number, options: { readonly timeout?: number } = {}) {
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('data', (chunk) => {
      this.#reader.push(chunk)
      this.#wake()
    })
    this.#socket.on('close', () => {
      this.closed = true
      this.#wake()
    })
    this.#socket.on('end', () => {
      this.closed = true
      this.#wake()
    })
    this.#socket.on('error', () => {}) // 'close' follows
  }

  /** Sends bytes without waiting for an answer (pipelining, a body in parts). */
  send(bytes: string | Buffer): void {
    this.#socket.write(toBytes(bytes))
  }

  /** Sends one request given as bytes and returns the final response to it. */
  async request(bytes: string | Buffer): Promise<ClientResponse> {
    this.send(bytes)
    const text = typeof bytes === 'string' ? bytes : bytes.toString('latin1')
    return this.response(text.slice(0, text.indexOf(' ')))
  }

  /** `GET path` with `Host: localhost` unless the fields name another. */
  get(path: string, fields: Readonly<Record<string, string>> = {}): Promise<ClientResponse> {
    const lines = Object.entries({ Host: 'localhost', ...fields }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    )
    return this.request(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`)
  }

  /** The next final response; interim ones go to `interim`. */
  async response(method = 'GET'): Promise<ClientResponse> {
    const deadline = Date.now() + this.#timeout
    for (;;) {
      const message = this.#reader.next(method, this.closed)
      if (message === null) {
        await this.#more(deadline)
        continue
      }
      const response = describe(message)
      if (response.status >= 200 || response.status === 101) return response
      this.interim.push(response)
    }
  }

  /** Resolves once the server has closed the connection. */
  async waitForClose(): Promise<void> {
    const deadline = Date.now() + this.#timeout
    while (!this.closed) await this.#more(deadline)
  }

  /** Bytes received after the last response that was taken. */
  get rest(): string {
    return this.#reader.rest
  }

  close(): void {
    this.#socket.destroy()
  }

  #more(deadline: number): Promise<void> {
    const shown = () => JSON.stringify(this.#reader.rest.slice(0, 2000))
    if (this.closed) throw new Error(`connection closed; unread: ${shown()}`)
    return new Promise((done, fail) => {
      const timer = setTimeout(
        () => fail(new Error(`no response in time; unread: ${shown()}`)),
        deadline - Date.now(),
      )
      this.#wake = () => {
        clearTimeout(timer)
        done()
      }
    })
  }
}

function describe(message: Message): ClientResponse {
  return {
    ...message,
    status: Number(message.startLine.slice(9, 12)),
    header: (name) => {
      const values = valuesOf(message.fields, name.toLowerCase())
      return values.length === 0 ? undefined : values.join(', ')
    },
  }
}
