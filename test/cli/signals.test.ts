// Signals as nginx takes them: TERM and INT at once, QUIT after the requests under way, HUP a new configuration or none,
// USR1 new log files. By kill and by `sluice -s`.

import { existsSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { runSluice, type SluiceProcess, startSluice } from '../lib/proxy-process.ts'
import { HttpClient, rawRequest } from '../lib/raw-http.ts'
import { ok, type RecordingUpstream, recordingUpstream } from '../lib/recording-upstream.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

/** An upstream that answers when it is told to, and a Sluice in front of it. */
interface Slow {
  readonly port: number
  readonly sluice: SluiceProcess
  readonly upstream: RecordingUpstream
  answer(): void
}

async function startSlow(settings = ''): Promise<Slow> {
  let answer = () => {}
  const told = new Promise<string>((done) => {
    answer = () => done(ok('at last'))
  })
  const upstream = await recordingUpstream(() => told)
  const port = await freePort()
  const sluice = await startSluice(slowConfig(port, upstream, settings))
  return { port, sluice, upstream, answer }
}

function slowConfig(port: number, upstream: RecordingUpstream, settings = ''): string {
  return `${settings}
server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://${upstream.address}; }
    location = /version { return 200 "one"; }
}
`
}

const answering = (port: number, text: string) =>
  `server { listen 127.0.0.1:${port}; access_log access.log; location / { return 200 "${text}"; } }\n`

async function body(port: number, path = '/'): Promise<string> {
  const client = new HttpClient(port)
  const response = await client.get(path)
  client.close()
  return response.body
}

/** How connecting fails. */
function refused(port: number): Promise<string> {
  return rawRequest(port, GET).then(
    (text) => `answered ${text}`,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  )
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends at once, whatever is under way`, async () => {
    const { port, sluice, upstream } = await startSlow()
    const answer = rawRequest(port, GET)
    await upstream.waitForRequests(1)
    assert.is(await sluice.stop(signal), 0)
    assert.is(await answer, '')
    assert.not.ok(existsSync(join(sluice.folder, 'sluice.pid')))
    await upstream.close()
  })
}

test('QUIT accepts nothing more and ends when the last request has its answer', async () => {
  const { port, sluice, upstream, answer } = await startSlow()
  const waiting = rawRequest(port, GET)
  await upstream.waitForRequests(1)
  sluice.child.kill('SIGQUIT')
  await sluice.waitForLog(/gracefully shutting down/)
  assert.is(await refused(port), 'ECONNREFUSED')
  answer()
  assert.match(await waiting, /^HTTP\/1\.1 200 OK\r\n[\s\S]*at last$/)
  assert.is(await sluice.exited, 0)
  await upstream.close()
})

test('QUIT closes connections that wait for a next request', async () => {
  const port = await freePort()
  const sluice = await startSluice(answering(port, 'one'))
  const client = new HttpClient(port)
  assert.is((await client.get('/')).body, 'one')
  sluice.child.kill('SIGQUIT')
  await client.waitForClose()
  assert.is(await sluice.exited, 0)
})

test('QUIT tells a client that keeps its connection that this was the last answer', async () => {
  const { port, sluice, upstream, answer } = await startSlow()
  const client = new HttpClient(port)
  const response = client.get('/')
  await upstream.waitForRequests(1)
  sluice.child.kill('SIGQUIT')
  await sluice.waitForLog(/gracefully shutting down/)
  answer()
  assert.is((await response).header('connection'), 'close')
  assert.is(await sluice.exited, 0)
  await upstream.close()
})

test('worker_shutdown_timeout ends what QUIT would wait for', async () => {
  const { port, sluice, upstream } = await startSlow('worker_shutdown_timeout 100ms;')
  const waiting = rawRequest(port, GET)
  await upstream.waitForRequests(1)
  sluice.child.kill('SIGQUIT')
  assert.is(await sluice.exited, 0)
  assert.is(await waiting, '')
  await upstream.close()
})

test('TERM after QUIT does not wait any more', async () => {
  const { port, sluice, upstream } = await startSlow()
  const waiting = rawRequest(port, GET)
  await upstream.waitForRequests(1)
  sluice.child.kill('SIGQUIT')
  await sluice.waitForLog(/gracefully shutting down/)
  assert.is(await sluice.stop('SIGTERM'), 0)
  assert.is(await waiting, '')
  await upstream.close()
})

test('HUP serves new requests by the new configuration while old ones end by the old', async () => {
  const { port, sluice, upstream, answer } = await startSlow()
  const waiting = rawRequest(port, GET)
  await upstream.waitForRequests(1)
  assert.is(await body(port, '/version'), 'one')
  sluice.write({ 'sluice.conf': answering(port, 'two') })
  await sluice.reload(/serves after/)
  assert.is(await body(port), 'two')
  answer()
  assert.match(await waiting, /at last$/)
  await sluice.waitForLog(/exited with code 0/)
  assert.is(await sluice.stop(), 0)
  await upstream.close()
})

test('HUP opens addresses that are new and closes those that are gone', async () => {
  const [first, second] = [await freePort(), await freePort()]
  const sluice = await startSluice(answering(first, 'one'))
  sluice.write({ 'sluice.conf': answering(second, 'two') })
  await sluice.reload()
  assert.is(await body(second), 'two')
  assert.is(await refused(first), 'ECONNREFUSED')
  assert.is(await sluice.stop(), 0)
})

test('HUP with a configuration that is wrong says where, and changes nothing', async () => {
  const port = await freePort()
  const sluice = await startSluice(answering(port, 'one'))
  sluice.write({ 'sluice.conf': `server {\n    listen 127.0.0.1:${port};\n    retrun 200 two;\n}\n` })
  const said = await sluice.reload()
  assert.match(said, /\[emerg\] .*sluice\.conf:3:5: unknown directive "retrun"/)
  assert.is(await body(port), 'one')
  sluice.write({ 'sluice.conf': answering(port, 'three') })
  await sluice.reload(/serves after/)
  assert.is(await body(port), 'three')
  assert.is(await sluice.stop(), 0)
})

test('HUP with an address that is taken changes nothing', async () => {
  const port = await freePort()
  const other = await recordingUpstream()
  const sluice = await startSluice(answering(port, 'one'))
  sluice.write({ 'sluice.conf': answering(port, 'two') + answering(other.port, 'two') })
  assert.match(await sluice.reload(), `bind() to 127.0.0.1:${other.port} failed`)
  assert.is(await body(port), 'one')
  assert.is(await sluice.stop(), 0)
  await other.close()
})

test('USR1 goes on in new log files of the same names', async () => {
  const port = await freePort()
  const sluice = await startSluice(answering(port, 'one'))
  const log = (name: string) => join(sluice.folder, name)
  assert.is(await body(port, '/before'), 'one')
  renameSync(log('access.log'), log('access.log.1'))
  renameSync(log('error.log'), log('error.log.1'))
  sluice.child.kill('SIGUSR1')
  await until(() => existsSync(log('access.log')) && existsSync(log('error.log')))
  assert.is(await body(port, '/after'), 'one')
  assert.is(await sluice.stop(), 0)
  assert.match(readFileSync(log('access.log.1'), 'latin1'), 'GET /before')
  assert.match(readFileSync(log('access.log'), 'latin1'), 'GET /after')
  assert.not.match(readFileSync(log('access.log'), 'latin1'), 'GET /before')
  assert.match(readFileSync(log('error.log'), 'latin1'), 'exiting')
})

test('the pid file holds the process id for as long as it runs', async () => {
  const sluice = await startSluice(`pid run/my.pid;\n${answering(await freePort(), 'one')}`)
  const file = join(sluice.folder, 'run/my.pid')
  assert.is(readFileSync(file, 'latin1'), `${sluice.pid}\n`)
  assert.is(await sluice.stop(), 0)
  assert.not.ok(existsSync(file))
})

test('-s sends the signals of stop, quit, reload and reopen to the process of the pid file', async () => {
  const port = await freePort()
  // `-s` reads the configuration for the pid file, so the name has to stand in it.
  const config = (text: string) => `pid sluice.pid;\n${answering(port, text)}`
  const sluice = await startSluice(config('one'))
  const send = (signal: string) => runSluice(['-s', signal, '-p', sluice.folder], tempDir())
  sluice.write({ 'sluice.conf': config('two') })
  assert.equal(await send('reload'), { code: 0, stdout: '', stderr: '' })
  await sluice.waitForLog(/serves after/)
  assert.is(await body(port), 'two')
  assert.is((await send('reopen')).code, 0)
  await sluice.waitForLog(/reopening logs/)
  assert.is((await send('quit')).code, 0)
  assert.is(await sluice.exited, 0)
  assert.match(sluice.errorLog(), /gracefully shutting down/)
  const again = await startSluice(config('one'))
  assert.is((await runSluice(['-sstop', '-p', again.folder], tempDir())).code, 0)
  assert.is(await again.exited, 0)
})

test('-s says when nothing runs', async () => {
  const folder = tempDir()
  writeFiles(folder, { 'sluice.conf': `pid sluice.pid;\n${answering(8080, 'one')}`, 'empty/.keep': '' })
  const none = await runSluice(['-s', 'stop', '-p', folder], tempDir())
  assert.is(none.code, 1)
  assert.match(none.stderr, `open() "${folder}/sluice.pid" failed (2: No such file or directory)`)
  writeFiles(folder, { 'sluice.pid': 'nobody\n' })
  const wrong = await runSluice(['-s', 'stop', '-p', folder], tempDir())
  assert.is(wrong.code, 1)
  assert.match(wrong.stderr, 'invalid PID number')
})

test('an address that is taken is named at the start, and the exit code is 1', async () => {
  const other = await recordingUpstream()
  const folder = tempDir()
  writeFiles(folder, { 'sluice.conf': `pid sluice.pid; error_log stderr;\n${answering(other.port, 'one')}` })
  const { code, stderr } = await runSluice(['-p', folder], tempDir())
  assert.is(code, 1)
  assert.match(
    stderr,
    new RegExp(`\\[emerg\\] bind\\(\\) to 127\\.0\\.0\\.1:${other.port} failed .*EADDRINUSE`),
  )
  assert.not.ok(existsSync(join(folder, 'sluice.pid')))
  await other.close()
})

/** Waits for what happens in another process and has no event here. */
async function until(happened: () => boolean): Promise<void> {
  for (let tries = 0; !happened(); tries++) {
    if (tries > 500) throw new Error('it did not happen within 5 s')
    await new Promise((next) => setTimeout(next, 10))
  }
}

test.run()
