/**
 * One question put to name servers until one of them answers or time is over: over UDP, over TCP where an answer does not
 * fit. As nginx's resolver: an answer is final, be it that the server failed; who is silent, or is not there, is left
 * for the next one. Knows no aliases and keeps nothing.
 */
import { randomInt } from 'node:crypto'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { connect, isIPv6, type Socket as TcpSocket } from 'node:net'
import {
  FORMAT_ERROR,
  LAST_CODE,
  type NameMessage,
  type NameQuestion,
  readMessage,
  writeQuestion,
} from './name-message.ts'

/** Nobody knows; the message is nginx's, `2: Server failure`. */
export class LookupError extends Error {}

export interface NameServer {
  /** IP address. */
  readonly host: string
  readonly port: number
}

export interface InquiryPlan {
  readonly servers: readonly NameServer[]
  /** Index of the server that is asked first. */
  readonly first: number
  /** ms in all. */
  readonly timeout: number
}

/** ms after which the next server is asked, at most; nginx's. With little time, all are asked and the first one twice. */
const RESEND = 5_000

const TIMEOUT_REASON = '110: Operation timed out'
const REASONS: Readonly<Record<string, string>> = {
  ETIMEDOUT: TIMEOUT_REASON,
  ECONNREFUSED: '111: Connection refused',
}
const FORMAT_REASON = '1: Format error'

interface Line {
  readonly udp: UdpSocket
  /** It is connected. */
  ready: boolean
  tcp: TcpSocket | null
}

export class NameInquiry {
  readonly #question: NameQuestion
  readonly #plan: InquiryPlan
  /** RFC 5452 section 9: neither the number nor the port (each line has its own) can be guessed. */
  readonly #id = randomInt(0x10000)
  readonly #bytes: Buffer | null
  /** By index of the server. */
  readonly #lines = new Map<number, Line>()
  /** Servers that are not there or do not understand, as far as is known. */
  readonly #useless = new Set<number>()
  readonly #end: NodeJS.Timeout
  #resend: NodeJS.Timeout | undefined
  #server: number
  #settled = false
  #done: (message: NameMessage | null) => void = () => undefined
  #failed: (error: LookupError) => void = () => undefined
  /** null: there can be no such name. Fails with a `LookupError`. */
  readonly answer = new Promise<NameMessage | null>((done, failed) => {
    this.#done = done
    this.#failed = failed
  })

  /** Asks at once. */
  constructor(question: NameQuestion, plan: InquiryPlan) {
    this.#question = question
    this.#plan = plan
    this.#server = plan.first % plan.servers.length
    this.#bytes = writeQuestion(this.#id, question)
    this.#end = setTimeout(() => this.fail(TIMEOUT_REASON), Math.max(0, plan.timeout))
    if (this.#bytes === null) this.#settle(() => this.#done(null))
    else this.#ask()
  }

  /** Gives it up. */
  fail(reason: string): void {
    this.#settle(() => this.#failed(new LookupError(reason)))
  }

  #ask(): void {
    const index = this.#server
    const { timeout, servers } = this.#plan
    this.#useless.delete(index)
    const line = this.#lines.get(index)
    if (line === undefined) this.#open(index)
    else if (line.ready) line.udp.send(this.#bytes!)
    clearTimeout(this.#resend)
    this.#resend = setTimeout(() => this.#askNext(), Math.min(RESEND, timeout / (servers.length + 1)))
  }

  #askNext(): void {
    this.#server = (this.#server + 1) % this.#plan.servers.length
    this.#ask()
  }

  /** A connected socket takes datagrams of this server alone, and hears that nobody listens there. */
  #open(index: number): void {
    const { host, port } = this.#plan.servers[index]!
    const udp = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
    const line: Line = { udp, ready: false, tcp: null }
    this.#lines.set(index, line)
    udp.on('error', (error) => this.#giveUp(index, line, reasonOf(error)))
    udp.on('message', (bytes) => this.#onMessage(index, line, bytes))
    udp.connect(port, host, (error?: Error) => {
      if (error != null) return this.#giveUp(index, line, reasonOf(error))
      if (this.#lines.get(index) !== line) return
      line.ready = true
      udp.send(this.#bytes!)
    })
  }

  #onMessage(index: number, line: Line, bytes: Buffer): void {
    const message = readMessage(bytes, this.#id, this.#question)
    if (message === null || message.code > LAST_CODE) return
    if (message.code === FORMAT_ERROR) this.#giveUp(index, line, FORMAT_REASON)
    else if (!message.truncated) this.#settle(() => this.#done(message))
    else line.tcp ??= this.#openTcp(index, line)
  }

  /** RFC 7766: the same question, with its length before it, and so the answer. */
  #openTcp(index: number, line: Line): TcpSocket {
    const { host, port } = this.#plan.servers[index]!
    const tcp = connect({ host, port })
    const length = Buffer.alloc(2)
    length.writeUInt16BE(this.#bytes!.length)
    tcp.write(Buffer.concat([length, this.#bytes!]))
    let received: Buffer = Buffer.alloc(0)
    tcp.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2 || received.length < 2 + received.readUInt16BE()) return
      const message = readMessage(received.subarray(2, 2 + received.readUInt16BE()), this.#id, this.#question)
      if (message === null || message.truncated || message.code > LAST_CODE) tcp.destroy()
      else if (message.code === FORMAT_ERROR) this.#giveUp(index, line, FORMAT_REASON)
      else this.#settle(() => this.#done(message))
    })
    tcp.on('error', (error) => this.#giveUp(index, line, reasonOf(error)))
    tcp.on('end', () => tcp.destroy())
    tcp.on('close', () => {
      if (line.tcp === tcp) line.tcp = null
    })
    return tcp
  }

  /** The next server is asked at once, unless none is left. */
  #giveUp(index: number, line: Line, reason: string): void {
    if (this.#lines.get(index) !== line) return
    this.#close(index)
    this.#useless.add(index)
    if (this.#useless.size === this.#plan.servers.length) this.fail(reason)
    else if (index === this.#server) this.#askNext()
  }

  #settle(tell: () => void): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#resend)
    clearTimeout(this.#end)
    for (const index of [...this.#lines.keys()]) this.#close(index)
    tell()
  }

  #close(index: number): void {
    const line = this.#lines.get(index)
    if (line === undefined) return
    this.#lines.delete(index)
    line.udp.close()
    line.tcp?.destroy()
  }
}

function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return REASONS[code ?? ''] ?? code ?? error.message
}
