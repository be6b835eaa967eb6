// One lane: a recording upstream, and one case at a time through the proxy in front of it. What the upstream gets on a
// connection is one request as the proxy meant it, because every answer closes the connection.

import { connect, createServer } from 'node:net'

const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
/** ms without bytes after which an upstream answers whatever it got, and a client has seen enough. */
const UPSTREAM_QUIET = 40
const CLIENT_QUIET = 120
const CLIENT_LIMIT = 600

/** A recording upstream and the port of the proxy's server in front of it. */
export class Lane {
  #server = createServer((socket) => this.#accept(socket))
  #sockets = new Set()
  #received = []
  proxyPort = 0

  get upstreamPort() {
    return this.#server.address().port
  }

  listen() {
    return new Promise((done) => this.#server.listen(0, '127.0.0.1', done))
  }

  /**
   * Sends `bytes` (latin1) as a client. Returns what came back and what the upstream got, connection by connection.
   * @returns {Promise<{ answer: string, forwarded: string[] }>}
   */
  async send(bytes) {
    this.#received = []
    const answer = await exchange(this.proxyPort, bytes)
    const deadline = Date.now() + CLIENT_LIMIT
    while (this.#sockets.size > 0 && Date.now() < deadline) await new Promise((next) => setTimeout(next, 5))
    for (const socket of this.#sockets) socket.destroy()
    return { answer, forwarded: this.#received.map(({ text }) => text) }
  }

  close() {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #accept(socket) {
    const record = { text: '' }
    this.#received.push(record)
    this.#sockets.add(socket)
    const answer = () => socket.writable && socket.end(ANSWER)
    let timer = setTimeout(answer, UPSTREAM_QUIET * 5)
    socket.on('data', (chunk) => {
      record.text += chunk.toString('latin1')
      clearTimeout(timer)
      timer = setTimeout(answer, UPSTREAM_QUIET)
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', () => {
      clearTimeout(timer)
      this.#sockets.delete(socket)
    })
  }
}

function exchange(port, bytes) {
  return new Promise((done) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1')
    const finish = () => {
      clearTimeout(limit)
      clearTimeout(quiet)
      socket.destroy()
      done(answer)
    }
    let quiet
    const limit = setTimeout(finish, CLIENT_LIMIT)
    socket.on('connect', () => socket.write(Buffer.from(bytes, 'latin1')))
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1')
      clearTimeout(quiet)
      quiet = setTimeout(finish, CLIENT_QUIET)
    })
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', finish)
  })
}
