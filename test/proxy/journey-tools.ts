// What the journey tests share: an upstream that is a bare socket, a client that reads when it is told to, and what the
// kernel knows of a process. Knows nothing of HTTP.

import { readdirSync, readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

const POLL = 10

/** See `socketUpstream`. */
export interface SocketUpstream {
  readonly port: number
  /** `127.0.0.1:port` */
  readonly address: string
  /** Every connection so far, in order. */
  readonly sockets: readonly Socket[]
  close(): Promise<void>
}

/** Listens on a free port of 127.0.0.1; the test itself speaks on each connection. */
export function socketUpstream(serve: (socket: Socket, index: number) => void): Promise<SocketUpstream> {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on('error', () => {})
    serve(socket, sockets.push(socket) - 1)
  })
  const close = () => {
    for (const socket of sockets) socket.destroy()
    return new Promise<void>((done) => server.close(() => done()))
  }
  return new Promise((done) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      done({ port, address: `127.0.0.1:${port}`, sockets, close })
    })
  })
}

/** Calls back once with all that came, as soon as it holds `end`. */
export function once(socket: Socket, end: string, then: (text: string) => void): void {
  let text = ''
  const onData = (chunk: Buffer) => {
    text += chunk.toString('latin1')
    if (!text.includes(end)) return
    socket.off('data', onData)
    then(text)
  }
  socket.on('data', onData)
}

/** A client socket that has sent `bytes` and reads nothing until the test does. */
export function openClient(port: number, bytes: string | Buffer = ''): Promise<Socket> {
  return new Promise((done, fail) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
    socket.once('error', fail)
    socket.once('connect', () => {
      socket.off('error', fail)
      socket.on('error', () => {})
      if (bytes.length > 0) socket.write(bytes, 'latin1')
      done(socket)
    })
  })
}

/** All that comes until the other side ends; null after `ms` without an end. */
export function readToEnd(socket: Socket, ms = 5000): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  return new Promise((done) => {
    const timer = setTimeout(() => done(null), ms)
    const finish = () => {
      clearTimeout(timer)
      done(Buffer.concat(chunks))
    }
    socket.on('data', (chunk) => chunks.push(chunk))
    if (socket.readableEnded || socket.destroyed) finish()
    socket.once('end', finish)
    socket.once('close', finish)
  })
}

/** Resolves when `done()` is true; fails with `what` after `ms`. */
export async function until(what: string, done: () => boolean, ms = 5000): Promise<void> {
  const deadline = Date.now() + ms
  while (!done()) {
    if (Date.now() > deadline) throw new Error(`${what}: not after ${ms} ms`)
    await new Promise((next) => setTimeout(next, POLL))
  }
}

/** Open descriptors of a process. */
export function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** Resident memory of a process in MiB. */
export function residentMiB(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
  return Number(match![1]) / 1024
}

/** Head and body of one response given as text. */
export function split(response: string): { head: string; body: string } {
  const end = response.indexOf('\r\n\r\n') + 4
  return { head: response.slice(0, end), body: response.slice(end) }
}

/** A response head without what changes from run to run: `Server` and `Date`. */
export function plainHead(response: string): string {
  return split(response).head.replace(/^(Server|Date): .*\r\n/gm, '')
}
