// Case `sessions`: resident memory of a Sluice that has made many sessions through a script: in its own memory, and in Redis,
// where it remembers only so many. Redis's own memory is Redis's.

import { freePort } from '../lib/ports.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { RedisServer } from '../lib/redis.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { PROXY_CORE, startPinned, waitUntilListening } from './process.ts'
import { markdownTable, type Row } from './table.ts'
import { SLUICE } from './tools.ts'

/** Of one request: as many calls of maps as one may have at a time. */
const AT_ONCE = 50
const PER_REQUEST = 1000
const CONNECTIONS = 4
/** ms for one request. */
const PATIENCE = 60_000
const KIBIBYTES = 1024

const FILL = `import { map } from 'sluice:store'
const users = map('users')
export async function content(r) {
  const first = Number(r.args.first)
  for (let at = first; at < first + ${PER_REQUEST}; at += ${AT_ONCE}) {
    const all = []
    for (let i = at; i < at + ${AT_ONCE}; i++) all.push(users.set('user-' + (10000000 + i), '10.0.0.' + (10 + i % 90) + ':8080'))
    await Promise.all(all)
  }
  r.return(204)
}`

const config = (port: number, store: string, max: number) => `
  error_log error.log; pid sluice.pid;
  http {
    access_log off;
    store ${store};
    store_timeout 10s;
    session_map users ttl=24h max=${max};
    script_limits cpu=2s wall=60s;
    server { listen 127.0.0.1:${port}; keepalive_requests 1000000; location / { script fill.js; } }
  }`

/** MiB at the start, with a tenth of the sessions, and with all. */
export async function sessionsCase(count: number): Promise<string> {
  const redis = await RedisServer.start()
  const rows = [
    await grow('`store memory size=512m`', 'memory size=512m', count),
    await grow('`store redis`', `redis://127.0.0.1:${redis.port}/0`, count),
  ]
  const there = Number(redis.command('dbsize'))
  if (there < count) throw new Error(`Redis has ${there} of ${count} sessions`)
  await redis.stop()
  const tenth = count / 10
  return markdownTable(['MiB of the Sluice process', 'none', `${tenth} sessions`, `${count} sessions`], rows)
}

async function grow(name: string, store: string, count: number): Promise<Row> {
  const folder = tempDir('sluice-bench-')
  const port = await freePort()
  writeFiles(folder, { 'sluice.conf': config(port, store, count), 'fill.js': FILL })
  const command = [process.execPath, SLUICE, '-p', `${folder}/`, '-c', 'sluice.conf', '-e', 'error.log']
  const measured = startPinned(name, PROXY_CORE, command)
  await waitUntilListening(measured, port)
  const mebibytes = () => measured.memory().now / KIBIBYTES
  const none = mebibytes()
  await fill(port, 0, count / 10)
  const tenth = mebibytes()
  await fill(port, count / 10, count)
  const all = mebibytes()
  await measured.stop()
  return { name, values: [none, tenth, all] }
}

async function fill(port: number, from: number, to: number): Promise<void> {
  let next = from
  const worker = async () => {
    const client = new HttpClient(port, { timeout: PATIENCE })
    while (next < to) {
      const first = next
      next += PER_REQUEST
      const { status } = await client.get(`/?first=${first}`)
      if (status !== 204) throw new Error(`status ${status}`)
    }
    client.close()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
}
