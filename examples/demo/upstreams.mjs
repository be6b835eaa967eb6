// Three small servers that name themselves: A, B and C. HTTP requests are told where they are; WebSockets are greeted
// and echoed. Knows nothing of Sluice.

import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

const NAMES = ['A', 'B', 'C']

/**
 * Starts the servers on 127.0.0.1.
 * @param {number} first port of the first one; where a port is taken the system chooses
 * @returns {Promise<{ name: string, port: number, close: () => void }[]>}
 */
export function startUpstreams(first) {
  return Promise.all(NAMES.map((name, i) => startUpstream(name, first + i)))
}

async function startUpstream(name, wanted) {
  const server = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/plain')
    response.end(`${name} answers ${request.method} ${request.url}\n`)
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => {
    socket.send(`you are on ${name}`)
    socket.on('message', (data, isBinary) => socket.send(isBinary ? data : `${name} heard: ${data}`))
    socket.on('error', () => {}) // it closes by itself
  })
  sockets.on('error', () => {}) // of the server's, reported by `listen`
  const port = await listen(server, wanted).catch(() => listen(server, 0))
  const close = () => {
    for (const socket of sockets.clients) socket.terminate()
    server.close()
    server.closeAllConnections()
  }
  return { name, port, close }
}

function listen(server, port) {
  return new Promise((done, fail) => {
    server.once('error', fail)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', fail)
      done(server.address().port)
    })
  })
}
