// A process of its own: WebSockets through a proxy to an upstream that echoes, one message under way on each. Runs
// until it is stopped; at each SIGUSR2 it prints how many round trips there have been so far.
//   node echo-client.js PORT CONNECTIONS

import { connect } from 'node:net'

const [port, connections] = [Number(process.argv[2]), Number(process.argv[3])]
const HANDSHAKE =
  'GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'
const PAYLOAD = Buffer.from('0123456789abcdef'.repeat(4))
const MESSAGE = masked(PAYLOAD, Buffer.from([0x12, 0x34, 0x56, 0x78]))
const ANSWER = Buffer.concat([Buffer.from([0x81, PAYLOAD.length]), PAYLOAD])
let trips = 0
let open = 0

for (let i = 0; i < connections; i++) begin()
process.on('SIGUSR2', () => process.stdout.write(`TRIPS ${trips}\n`))

function begin(): void {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let head = ''
  let missing = ANSWER.length
  const onAnswer = (chunk: Buffer) => {
    if (
      chunk.length > missing ||
      ANSWER.compare(
        chunk,
        0,
        chunk.length,
        ANSWER.length - missing,
        ANSWER.length - missing + chunk.length,
      ) !== 0
    )
      fail(`unexpected bytes: ${chunk.toString('hex')}`)
    missing -= chunk.length
    if (missing > 0) return
    missing = ANSWER.length
    trips++
    socket.write(MESSAGE)
  }
  const onHead = (chunk: Buffer) => {
    head += chunk.toString('latin1')
    if (!head.endsWith('\r\n\r\n')) return
    if (!head.startsWith('HTTP/1.1 101 ')) fail(head)
    socket.off('data', onHead)
    socket.on('data', onAnswer)
    if (++open === connections) process.stdout.write('READY\n')
    socket.write(MESSAGE)
  }
  socket.on('data', onHead)
  socket.on('error', (error) => fail(error.message))
  socket.on('close', () => fail('a connection was closed'))
  socket.write(HANDSHAKE)
}

function masked(payload: Buffer, key: Buffer): Buffer {
  const body = payload.map((byte, i) => byte ^ key[i & 3]!)
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), key, body])
}

function fail(reason: string): void {
  process.stdout.write(`${reason}\n`, () => process.exit(1))
}
