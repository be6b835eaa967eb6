// The two-tier chat: users stay with their server through both tiers, and move when it stops, and only then.

import { once } from 'node:events'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type WebSocket as Connection, WebSocket, WebSocketServer } from 'ws'
import { freePort } from '../lib/ports.ts'
import { Application, type Example, http, startExample } from './example.ts'

/** A chat server: tells its name over HTTP and on each new WebSocket, then sends back what it gets. */
class ChatServer {
  readonly application: Application
  readonly #name: string

  constructor(name: string, port: number) {
    this.#name = name
    this.application = new Application(port, (_, response) => response.end(name))
  }

  async start(): Promise<void> {
    const server = await this.application.start()
    new WebSocketServer({ server }).on('connection', (connection) => {
      connection.send(this.#name)
      connection.on('message', (data, binary) => connection.send(data, { binary }))
    })
  }
}

const [portA, portB] = [await freePort(), await freePort()]
const servers: Record<string, ChatServer> = { a: new ChatServer('a', portA), b: new ChatServer('b', portB) }
const users = Array.from({ length: 40 }, (_, i) => `user-${i}`)
let example: Example

test.before(async () => {
  for (const server of Object.values(servers)) await server.start()
  example = await startExample('sticky-chat', { 9080: portA, 9081: portB })
})

test.after(async () => {
  await example.sluice.stop()
  for (const server of Object.values(servers)) await server.application.stop()
})

/** The server that answers this user over HTTP. */
async function serverOf(user: string): Promise<string> {
  const { status, body } = await http(example.port(9090), `/chat/hello?userId=${user}`)
  assert.is(status, 200, body)
  return body
}

async function allServers(): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const user of users) found[user] = await serverOf(user)
  return found
}

/** Connects a user's WebSocket; resolves with it and with the name of its server. */
async function connect(user: string): Promise<{ connection: Connection; server: string }> {
  const connection = new WebSocket(`ws://127.0.0.1:${example.port(9090)}/chat/websocket?userId=${user}`)
  const [greeting] = (await once(connection, 'message')) as [Buffer]
  return { connection, server: greeting.toString() }
}

async function echo(connection: Connection, data: string | Buffer): Promise<[data: Buffer, binary: boolean]> {
  const answer = once(connection, 'message')
  connection.send(data)
  return (await answer) as [Buffer, boolean]
}

test('a user reaches the same server every time, by HTTP and by WebSocket', async () => {
  const first = await allServers()
  assert.equal(new Set(Object.values(first)), new Set(['a', 'b']))
  assert.equal(await allServers(), first)
  for (const user of users.slice(0, 10)) {
    const { connection, server } = await connect(user)
    assert.is(server, first[user])
    connection.close()
    await once(connection, 'close')
  }
})

test('a message arrives as it was sent, text and binary, small and large', async () => {
  const { connection } = await connect('user-1')
  for (const data of ['hello', 'grüße 日本', '', Buffer.from([0, 1, 255]), Buffer.alloc(300_000, 7)]) {
    const [answer, binary] = await echo(connection, data)
    assert.is(binary, typeof data !== 'string')
    assert.ok(answer.equals(Buffer.from(data as string)))
  }
  connection.close(1000, 'done')
  const [code] = await once(connection, 'close')
  assert.is(code, 1000)
})

test('when a server stops its users move, the others stay, and when it is back they return', async () => {
  const before = await allServers()
  const ofA = users.find((user) => before[user] === 'a')!
  const ofB = users.find((user) => before[user] === 'b')!
  const [leaving, staying] = [await connect(ofA), await connect(ofB)]

  const closed = once(leaving.connection, 'close')
  await servers.a!.application.stop()
  await closed
  const moved = await connect(ofA)
  assert.is(moved.server, 'b')
  assert.equal(new Set(Object.values(await allServers())), new Set(['b']))
  assert.equal((await echo(staying.connection, 'still here'))[0].toString(), 'still here')

  await servers.a!.start()
  await settled(ofA, 'a')
  assert.equal(await allServers(), before)
  assert.equal((await echo(staying.connection, 'still here'))[0].toString(), 'still here')
  for (const { connection } of [moved, staying]) {
    connection.close()
    await once(connection, 'close')
  }
})

/** Asks until the user reaches this server: `fail_timeout` is over within a few seconds. */
async function settled(user: string, server: string): Promise<void> {
  const deadline = Date.now() + 10_000
  while ((await serverOf(user)) !== server) {
    assert.ok(Date.now() < deadline, `${user} is not back on ${server} after 10 s`)
    await new Promise((next) => setTimeout(next, 100))
  }
}

test('what is not the chat is told where it is', async () => {
  const { status, body } = await http(example.port(9090), '/')
  assert.is(status, 404)
  assert.is(body, 'The chat is at /chat/?userId=YOU\n')
})

test.run()
