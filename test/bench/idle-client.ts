// A process of its own: opens connections through a proxy, one exchange on each, and keeps them open, silent.
// Prints READY when all are.   node idle-client.js keepalive|websocket PORT COUNT

import { connect, type Socket } from 'node:net'

const [kind, port, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const AT_A_TIME = 100
const REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\nX-Api-Key: k1\r\n\r\n'
const HANDSHAKE =
  'GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'
const EXPECTED =
  kind === 'websocket' ? /^HTTP\/1\.1 101 [\s\S]*\r\n\r\n$/ : /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nupstream.{35}$/
const held: Socket[] = []
let opened = 0

for (let i = 0; i < Math.min(AT_A_TIME, count); i++) openNext()

function openNext(): void {
  if (opened === count) return
  opened++
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('error', (error) => fail(error.message))
  socket.on('close', () =>
    fail(`connection ${held.length} closed; received ${JSON.stringify(text.slice(0, 200))}`),
  )
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    if (!EXPECTED.test(text)) return
    if (held.push(socket) === count) process.stdout.write('READY\n')
    openNext()
  })
  socket.write(kind === 'websocket' ? HANDSHAKE : REQUEST)
}

function fail(reason: string): void {
  process.stdout.write(`${reason}\n`, () => process.exit(1))
}
