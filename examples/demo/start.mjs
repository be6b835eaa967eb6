// `npm start`: three small servers and Sluice in front of them, in one terminal. Installs and builds what is missing,
// says what to try, and ends everything with Ctrl-C.
//
//   npm start                       on 127.0.0.1:8080 with scripts/balancer.js
//   PORT=9000 npm start             on another port
//   npm start -- my-balancer.js     with another script
//
// SLUICE names a built program (dist/runtime/cli/main.js) to run instead of building it.

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { ensureBuilt, ROOT } from '../../test/setup.mjs'

const PORT = readPort(process.env.PORT ?? '8080')
const SCRIPT = resolve(process.argv[2] ?? join(ROOT, 'scripts/balancer.js'))
const CONFIG = join(ROOT, 'examples/demo/sluice.conf')

if (process.env.SLUICE === undefined) ensureBuilt()
if (!(await isFree(PORT))) {
  fail(`127.0.0.1:${PORT} is taken by another program; choose another port: PORT=${PORT + 1000} npm start`)
}
// The packages are there only now.
const { startUpstreams } = await import('./upstreams.mjs')
const upstreams = await startUpstreams(PORT + 1)
const folder = mkdtempSync(join(tmpdir(), 'sluice-demo-'))
writeFileSync(join(folder, 'sluice.conf'), configuration())
const program = process.env.SLUICE ?? join(ROOT, 'dist/runtime/cli/main.js')
const sluice = spawn(process.execPath, [program, '-p', folder, '-c', 'sluice.conf'], { stdio: 'inherit' })

let stopping = false
sluice.on('exit', end)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop)
await listening(PORT)
if (!stopping) process.stdout.write(instructions())

/** The demo's configuration with the ports and the script of this run. */
function configuration() {
  const ports = new Map([['8080', PORT], ...upstreams.map(({ port }, i) => [String(8081 + i), port])])
  return readFileSync(CONFIG, 'utf8')
    .replace(/127\.0\.0\.1:(\d+)/g, (_, port) => `127.0.0.1:${ports.get(port)}`)
    .replace('../../scripts/balancer.js', JSON.stringify(SCRIPT))
}

function instructions() {
  const path = relative(process.cwd(), SCRIPT)
  const script = path.startsWith('..') ? SCRIPT : path
  const names = upstreams.map(({ name, port }) => `${name} (127.0.0.1:${port})`).join(', ')
  return `
Sluice listens on http://127.0.0.1:${PORT}
in front of ${names}.
${script} says which of them a user belongs to.

1. The same user always reaches the same server:

     for user in 1 2 3 4 5 6 7 8; do curl -s "http://127.0.0.1:${PORT}/chat?userId=$user"; done

2. So does a WebSocket; type a line and see who heard it:

     npx wscat -c 'ws://127.0.0.1:${PORT}/chat?userId=7'

3. Change the rule while it runs. In ${script} write

     return upstream.peers[0]

   instead of the other return, save, and repeat 1: everybody is on ${upstreams[0].name} now, and a wscat that is
   open has not been cut. Save a mistake: it is refused here with file and line, and nothing else changes.

Ctrl-C ends it.

`
}

/** Ends Sluice; the rest follows when it has ended. */
function stop() {
  stopping = true
  sluice.kill('SIGTERM')
}

function end(code) {
  for (const upstream of upstreams) upstream.close()
  rmSync(folder, { recursive: true, force: true })
  process.exitCode = stopping ? 0 : code || 1
  // What listens has been closed, but `listening` may still be asking.
  stopping = true
}

/** Resolves when something accepts connections on the port, or when Sluice has ended. */
async function listening(port) {
  while (!stopping && !(await accepts(port))) await new Promise((next) => setTimeout(next, 20))
}

function accepts(port) {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.on('error', () => done(false))
  })
}

function isFree(port) {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
  })
}

function readPort(text) {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port < 1 || port > 64_000) fail(`PORT=${text} is not a port from 1 to 64000`)
  return port
}

function fail(text) {
  process.stderr.write(`sluice: ${text}\n`)
  process.exit(1)
}
