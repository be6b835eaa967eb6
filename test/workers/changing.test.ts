// What changes with the workers: addresses, their number, the program itself.

import { existsSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { tempDir } from '../lib/temp.ts'
import { Crew, isAlive, Load, until } from './crew.ts'

const script = (name: string) =>
  `export function content(r) { r.return(200, '${name} ' + sluice.generation + ' ' + sluice.worker) }\n`
const SCRIPTED = 'location /s { script s.js; }'

test('an address that one worker cannot open keeps all from changing', async () => {
  const crew = await Crew.start(2, 'location /v { return 200 one; }')
  const other = await Crew.start(2, '')
  const said = await crew.reload((config) =>
    config
      .replace('200 one', '200 two')
      .replace('server {', `server { listen 127.0.0.1:${other.port}; return 204; }\nserver {`),
  )
  assert.match(said, 'emerg')
  assert.match(crew.sluice.errorLog(), `bind() to 127.0.0.1:${other.port} failed`)
  assert.equal(await crew.ofEach('/v', 2), ['one', 'one'])
  for (const { sluice } of [crew, other]) assert.is(await sluice.stop(), 0)
})

test('an address that is taken fails the start, once', async () => {
  const other = await Crew.start(2, '')
  const failure = await Crew.start(2, `} server { listen 127.0.0.1:${other.port};`).then(
    () => 'it started',
    (error: Error) => error.message,
  )
  const told = failure.match(/bind\(\) to 127\.0\.0\.1:\d+ failed.*EADDRINUSE/g)
  assert.is(told?.length, 1, failure)
  assert.is(await other.sluice.stop(), 0)
})

test('HUP opens and closes addresses, and takes worker_processes as it is then', async () => {
  const crew = await Crew.start(2, '')
  const port = await freePort()
  await crew.reload((config) =>
    config
      .replace('worker_processes 2', 'worker_processes 3')
      .replace('server {', `server { listen 127.0.0.1:${port}; return 200 new; }\nserver {`),
  )
  const pids = await crew.pids(3)
  await crew.reload((config) => config)
  await until('one ends', () => pids.filter(isAlive).length === 2)
  assert.is(await crew.sluice.stop(), 0)
})

test('USR2 under load: new processes take over, and no connection is refused', async () => {
  const crew = await Crew.start(2, SCRIPTED, { 's.js': script('one') })
  const before = await crew.pids(2)
  const keeping = new Load(crew.port, 6)
  const coming = new Load(crew.port, 2, '/who', 5)
  await until('load', () => keeping.requests > 100)
  await crew.tell('SIGUSR2', /new worker processes serve/)
  await until('the ones before end', () => !before.some(isAlive))
  const after = await crew.pids(2)
  assert.not.ok(after.some((pid) => before.includes(pid)))
  await Promise.all([keeping.stop(), coming.stop()])
  assert.equal([keeping.failures, coming.failures], [[], []])
  assert.ok([...keeping.closed, ...coming.closed].every((pid) => before.includes(pid)))
  assert.equal((await crew.ofEach('/s', 2)).sort(), ['one 1 0', 'one 1 1'])
  assert.is(await crew.sluice.stop(), 0)
})

test('a unix socket that a dead process left behind is taken over, for everybody to connect to', async () => {
  const path = `${tempDir()}/s.sock`
  const left = await Crew.start(2, `listen unix:${path};`)
  const victims = await left.pids(2)
  for (const pid of [left.sluice.pid, ...victims]) process.kill(pid, 'SIGKILL')
  await until('they are gone', () => !victims.some(isAlive))
  assert.ok(existsSync(path))
  const crew = await Crew.start(2, `listen unix:${path};`)
  assert.is(statSync(path).mode & 0o777, 0o666)
  const answer = await new Promise<string>((done, failed) => {
    const socket = connect(path, () => socket.end('GET /who HTTP/1.0\r\n\r\n'))
    let text = ''
    socket.on('data', (chunk) => (text += chunk))
    socket.on('end', () => done(text))
    socket.on('error', failed)
  })
  assert.match(answer, '200 OK')
  assert.is(await crew.sluice.stop(), 0)
})

test.run()
