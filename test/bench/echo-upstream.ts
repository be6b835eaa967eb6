// A process of its own: an upstream that accepts every WebSocket handshake and sends each message back.
//   node echo-upstream.js PORT

import { createHash } from 'node:crypto'
import { createServer, type Socket } from 'node:net'

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11' // RFC 6455 section 1.3
/** Two bytes and the key; messages are shorter than 126 bytes. */
const HEADER = 6

const server = createServer({ noDelay: true }, (socket) => {
  let head = ''
  socket.on('error', () => {}) // 'close' follows
  const onHead = (chunk: Buffer) => {
    head += chunk.toString('latin1')
    if (!head.endsWith('\r\n\r\n')) return
    socket.off('data', onHead)
    const key = /^sec-websocket-key: *(\S+)/im.exec(head)?.[1] ?? ''
    const accept = createHash('sha1')
      .update(key + GUID)
      .digest('base64')
    socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    echo(socket)
  }
  socket.on('data', onHead)
})
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 })

function echo(socket: Socket): void {
  let rest: Buffer = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (bytes.length - at >= HEADER) {
      const size = bytes[at + 1]! & 127
      if (bytes.length - at < HEADER + size) break
      socket.write(answer(bytes.subarray(at, at + HEADER + size)))
      at += HEADER + size
    }
    rest = bytes.subarray(at)
  })
}

/** The same frame without its mask. */
function answer(frame: Buffer): Buffer {
  const back = Buffer.allocUnsafe(frame.length - 4)
  back[0] = frame[0]!
  back[1] = frame[1]! & 127
  for (let i = 0; i < back.length - 2; i++) back[2 + i] = frame[HEADER + i]! ^ frame[2 + (i & 3)]!
  return back
}
