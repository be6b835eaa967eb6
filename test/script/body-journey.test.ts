// What a client gets whose body is not what a script asks for, by way of a running proxy.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { type SluiceProcess, startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'

let sluice: SluiceProcess
let port = 0

test.before(async () => {
  port = await freePort()
  sluice = await startSluice(
    `server { listen 127.0.0.1:${port};
      client_body_buffer_size 100; client_max_body_size 1000; script_on_error open;
      location = /json { script json.js; }
      location = /form { script form.js; }
      location = /own { script own.js; }
      location = /page { script json.js; error_page 400 = @sorry; }
      location @sorry { return 200 "sorry $status"; }
    }`,
    {
      'json.js': 'export async function content(r) { r.return(200, String((await r.readJSON()).a)) }',
      'form.js': 'export async function content(r) { r.return(200, (await r.readForm()).a) }',
      'own.js': `export async function content(r) {
        try { await r.readJSON() } catch (e) { return { status: 422, body: \`\${e.name} \${e.status}\` } }
      }`,
    },
  )
})
test.after(async () => {
  await sluice.stop()
})

interface Case {
  readonly path: string
  readonly fields?: string
  readonly body: string
  readonly answer: readonly [status: number, body?: RegExp]
}

const chunked = (size: number) =>
  ({
    fields: 'Transfer-Encoding: chunked\r\n',
    body: `${size.toString(16)}\r\n${'1'.repeat(size)}\r\n0\r\n\r\n`,
  }) as const

const CASES: readonly Case[] = [
  { path: '/json', body: '{"a":1}', answer: [200, /^1$/] },
  { path: '/json', body: '{"a":', answer: [400, /400 Bad Request/] },
  { path: '/json', body: '', answer: [400] },
  { path: '/json', body: ' '.repeat(101), answer: [413] },
  { path: '/json', body: ' '.repeat(1001), answer: [413] },
  { path: '/json', ...chunked(101), answer: [413] },
  { path: '/json', ...chunked(1001), answer: [413] },
  {
    path: '/form',
    fields: 'Content-Type: application/x-www-form-urlencoded\r\n',
    body: 'a=x',
    answer: [200, /^x$/],
  },
  { path: '/form', fields: 'Content-Type: text/plain\r\n', body: 'a=x', answer: [415] },
  { path: '/form', body: 'a=x', answer: [415] },
  { path: '/own', body: '{', answer: [422, /^SyntaxError 400$/] },
  { path: '/own', body: ' '.repeat(101), answer: [422, /^Error 413$/] },
  { path: '/page', body: '{', answer: [200, /^sorry/] },
]

for (const { path, fields = '', body, answer } of CASES)
  test(`${path} with ${fields.trim() || 'a body'} of ${body.length} bytes ${body.slice(0, 8).trim()}: ${answer[0]}`, async () => {
    const client = new HttpClient(port)
    const length = fields.startsWith('Transfer') ? '' : `Content-Length: ${body.length}\r\n`
    const response = await client.request(`POST ${path} HTTP/1.1\r\nHost: x\r\n${fields}${length}\r\n${body}`)
    assert.is(response.status, answer[0])
    if (answer[1] !== undefined) assert.match(response.body, answer[1])
    client.close()
  })

test('nothing of it counts as a failure of the script', () => {
  assert.not.match(sluice.errorLog(), /\[error\].*\.js:/)
  assert.match(sluice.errorLog(), /\[info\].*json\.js:1:\d+: SyntaxError: .* in content/)
})

test.run()
