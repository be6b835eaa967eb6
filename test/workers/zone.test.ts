// Passive failures of peers in a `zone`: all workers know of them, and one tries the peer again.

import { createServer, type Server } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { Crew, until } from './crew.ts'

/** Counts the connections that come, and ends each at once. */
class Dead {
  tries = 0
  readonly #server: Server

  constructor() {
    this.#server = createServer((socket) => {
      this.tries++
      socket.on('error', () => undefined)
      socket.destroy()
    })
  }

  listen(): Promise<number> {
    return new Promise((done) => {
      this.#server.listen(0, '127.0.0.1', () => done((this.#server.address() as { port: number }).port))
    })
  }

  close(): Promise<void> {
    return new Promise((done) => void this.#server.close(() => done()))
  }
}

const WORKERS = 2

/** Asks all workers for what one of the two peers cannot give; what the dead one sees of it. */
async function withDeadPeer(
  zone: string,
  rest: string,
  work: (dead: Dead, ask: () => Promise<void>, crew: Crew) => Promise<void>,
): Promise<void> {
  const dead = new Dead()
  const port = await dead.listen()
  const live = await recordingUpstream(() => ok('fine'))
  const crew = await Crew.start(
    WORKERS,
    'location /u { proxy_pass http://u; }',
    {},
    `upstream u { ${zone} server 127.0.0.1:${port} weight=100 ${rest}; server ${live.address}; }`,
  )
  const ask = async () => {
    for (const answer of await crew.ofEach('/u', WORKERS)) assert.is(answer, 'fine')
  }
  await work(dead, ask, crew)
  assert.is(await crew.sluice.stop(), 0)
  await Promise.all([dead.close(), live.close()])
}

test('in a zone, a peer that failed in one worker rests in all, and one of them tries it afterwards', async () => {
  await withDeadPeer('zone u 64k;', 'fail_timeout=4s', async (dead, ask, crew) => {
    await crew.get('/u')
    await new Promise((next) => setTimeout(next, 50))
    await ask()
    assert.is(dead.tries, 1)
    await until('it is tried again', async () => {
      await ask()
      return dead.tries > 1
    })
    for (let round = 0; round < 5; round++) await ask()
    assert.is(dead.tries, 2)
  })
})

test('a worker that joins a zone knows what failed before', async () => {
  await withDeadPeer('zone u 64k;', 'fail_timeout=1h', async (dead, ask, crew) => {
    await crew.get('/u')
    const [victim] = await crew.pids(WORKERS)
    process.kill(victim, 'SIGKILL')
    await crew.sluice.waitForLog(/exited on signal 9/)
    await ask()
    await crew.tell('SIGUSR2', /new worker processes serve/)
    await ask()
    assert.is(dead.tries, 1)
  })
})

test('without a zone each worker finds out by itself', async () => {
  await withDeadPeer('', 'fail_timeout=1h', async (dead, ask) => {
    await ask()
    assert.ok(dead.tries >= WORKERS, String(dead.tries))
  })
})

test.run()
