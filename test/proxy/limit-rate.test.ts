// limit_rate: how long responses take, where the rate comes from, and that a limited response still ends well.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { recordingUpstream } from '../lib/recording-upstream.ts'
import { openClient, residentMiB, until } from './journey-tools.ts'

const DATA = 'x'.repeat(30_000)

const port = await freePort()
const upstream = await recordingUpstream((_, { target }) => {
  if (target.includes('redirect'))
    return 'HTTP/1.1 200 OK\r\nX-Accel-Redirect: /data\r\nX-Accel-Limit-Rate: 13000\r\nContent-Length: 0\r\n\r\n'
  const field = target.includes('limited')
    ? 'X-Accel-Limit-Rate: 13000\r\n'
    : target.includes('free')
      ? 'X-Accel-Limit-Rate: 0\r\n'
      : ''
  if (target.includes('chunked'))
    return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7530\r\n${DATA}\r\n0\r\n\r\n`
  return `HTTP/1.1 200 OK\r\n${field}Content-Length: ${DATA.length}\r\n\r\n${DATA}`
})
const sluice = await startSluice(
  `
http {
  server {
    listen 127.0.0.1:${port};
    location /data { root files; }
    location /file { alias files/data; limit_rate 12k; limit_rate_after 256; }
    location /after { alias files/data; limit_rate 12k; limit_rate_after 40k; }
    location /variable { alias files/data; limit_rate $arg_rate; limit_rate_after $arg_after; }
    location /set { set $limit_rate 12k; alias files/data; }
    location /proxy/ { proxy_pass http://${upstream.address}; }
    location /slow/ { limit_rate 12k; proxy_pass http://${upstream.address}; }
    location /text { limit_rate 1k; return 200 ${'y'.repeat(1500)}; }
    location /gzip { alias files/page.html; default_type text/html; limit_rate 1m; gzip on; }
    location /crawl { alias files/large; limit_rate 1k; }
  }
}
`,
  { 'files/data': DATA, 'files/page.html': DATA, 'files/large': 'z'.repeat(50_000_000) },
)
test.after(async () => {
  await sluice.stop()
  await upstream.close()
})

/** Path, body, and the seconds that it takes at least and at most: the clock of the limit has whole seconds. */
const TIMES: readonly [path: string, body: string, least: number, most: number][] = [
  ['/data', DATA, 0, 0.5],
  ['/file', DATA, 1, 2.9],
  ['/after', DATA, 0, 0.5],
  ['/variable?rate=12k&after=256', DATA, 1, 2.9],
  ['/variable?rate=12k&after=40k', DATA, 0, 0.5],
  ['/variable', DATA, 0, 0.5],
  ['/variable?rate=nonsense', DATA, 0, 0.5],
  ['/set', DATA, 1, 2.9],
  ['/proxy/', DATA, 0, 0.5],
  ['/proxy/limited', DATA, 1, 2.9],
  ['/proxy/redirect', DATA, 1, 2.9],
  ['/slow/', DATA, 1, 2.9],
  ['/slow/free', DATA, 0, 0.5],
  ['/slow/chunked', DATA, 1, 2.9],
  ['/text', 'y'.repeat(1500), 0.5, 1.9],
]

// Side by side: what is measured is mostly waiting.
const measured = await Promise.all(
  TIMES.map(async ([path]) => {
    const client = new HttpClient(port)
    const started = performance.now()
    const { body } = await client.get(path)
    const seconds = (performance.now() - started) / 1000
    const again = await client.get('/data')
    client.close()
    return { body, seconds, again: again.body }
  }),
)

for (const [i, [path, body, least, most]] of TIMES.entries()) {
  test(`${path} takes ${least} to ${most} s, and the connection goes on`, () => {
    const { seconds, ...bodies } = measured[i]
    assert.equal(bodies, { body, again: DATA })
    assert.ok(seconds >= least - 0.05 && seconds <= most, `${seconds} s`)
  })
}

test('what is limited is the compressed response', async () => {
  const client = new HttpClient(port)
  const response = await client.get('/gzip', { 'Accept-Encoding': 'gzip' })
  assert.is(response.header('content-encoding'), 'gzip')
  client.close()
})

test('a large file at a low rate is not read ahead, and a client that leaves ends it', async () => {
  const before = residentMiB(sluice.pid)
  const clients = await Promise.all(
    Array.from({ length: 20 }, () => openClient(port, 'GET /crawl HTTP/1.1\r\nHost: a\r\n\r\n')),
  )
  let got = 0
  for (const client of clients) client.on('data', (chunk) => (got += chunk.length))
  await until('some bytes of each', () => got >= 20 * 1024)
  assert.ok(residentMiB(sluice.pid) - before < 60, `${residentMiB(sluice.pid) - before} MiB more`)
  const from = sluice.errorLog().length
  for (const client of clients) client.destroy()
  await sluice.waitForLog(/(client prematurely closed[\s\S]*?){20}/, from)
})

test.run()
