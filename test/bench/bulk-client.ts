// A process of its own: moves one large body through a proxy with as little work as possible and checks that all of it
// arrived.   node bulk-client.js download|upload PORT BYTES

import { connect, type Socket } from 'node:net'

const [direction, port, size] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const started = process.hrtime.bigint()
const read = Buffer.allocUnsafe(256 * 1024)
let head = ''
let headDone = false
let bodyBytes = 0

const socket: Socket = connect({
  port,
  host: '127.0.0.1',
  onread: {
    buffer: read,
    callback: (length, buffer) => {
      onBytes(Buffer.from(buffer.buffer, buffer.byteOffset, length))
      return true
    },
  },
})
socket.on('error', (error) => fail(error.message))
socket.on('close', () =>
  fail(`closed after ${bodyBytes} bytes of body; head ${JSON.stringify(head.slice(0, 200))}`),
)

if (direction === 'download') {
  socket.write('GET /big HTTP/1.1\r\nHost: bench\r\n\r\n')
} else {
  socket.write(`POST /sink HTTP/1.1\r\nHost: bench\r\nContent-Length: ${size}\r\n\r\n`)
  sendBody()
}

function sendBody(): void {
  const chunk = Buffer.alloc(64 * 1024, 'x')
  let left = size
  const more = () => {
    while (left > 0) {
      const part = left < chunk.length ? chunk.subarray(0, left) : chunk
      left -= part.length
      if (!socket.write(part)) return
    }
    socket.off('drain', more)
  }
  socket.on('drain', more)
  more()
}

function onBytes(bytes: Buffer): void {
  if (headDone) {
    bodyBytes += bytes.length
  } else {
    head += bytes.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    if (end === -1) return
    headDone = true
    bodyBytes = head.length - end - 4
    if (!head.startsWith('HTTP/1.1 200 ')) fail(JSON.stringify(head.slice(0, 200)))
  }
  if (direction === 'download' ? bodyBytes === size : head.includes(`\r\n\r\n${size}`)) finish()
}

function finish(): void {
  process.stdout.write(`SECONDS ${Number(process.hrtime.bigint() - started) / 1e9}\n`, () => process.exit(0))
}

function fail(reason: string): void {
  process.stdout.write(`${reason}\n`, () => process.exit(1))
}
