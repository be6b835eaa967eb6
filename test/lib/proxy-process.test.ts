// The helper that starts Sluice for every journey test: starts, answers, reloads, ends, and says why it does not.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from './ports.ts'
import { runSluice, startSluice } from './proxy-process.ts'
import { HttpClient } from './raw-http.ts'
import { tempDir } from './temp.ts'

const answering = (port: number, text: string) => `events {}
http { server { listen 127.0.0.1:${port}; location / { return 200 "${text}"; } } }
`

test('Sluice answers once it is started, with the new configuration after a reload, and ends when stopped', async () => {
  const port = await freePort()
  const sluice = await startSluice(answering(port, 'first'))
  const client = new HttpClient(port)
  assert.is((await client.get('/')).body, 'first')
  client.close()
  sluice.write({ 'sluice.conf': answering(port, 'second') })
  await sluice.reload()
  const again = new HttpClient(port)
  assert.is((await again.get('/')).body, 'second')
  again.close()
  assert.is(await sluice.stop(), 0)
})

test('a configuration that is refused fails the start with what was said', async () => {
  const message = await startSluice('events {}\nhttp { no_such_directive on; }\n').then(
    () => 'started',
    (error: Error) => error.message,
  )
  assert.match(message, /sluice ended \(1\) before it listened/)
  assert.match(message, /no_such_directive/)
})

test('the program runs to its end and gives its output', async () => {
  const { code, stderr, stdout } = await runSluice(['-v'], tempDir())
  assert.is(code, 0)
  assert.match(stdout + stderr, /\d+\.\d+\.\d+/)
})

test.run()
