// `sluice upstreams …` against a running proxy, alone and with workers: each command, and what clients see of it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ask } from '../admin/site.ts'
import { freePort } from '../lib/ports.ts'
import { runSluice, type SluiceProcess, startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, type RecordingUpstream, recordingUpstream } from '../lib/recording-upstream.ts'
import { tempDir } from '../lib/temp.ts'

const upstreams: RecordingUpstream[] = []
for (const name of ['one', 'two', 'three']) upstreams.push(await recordingUpstream(() => ok(name)))
const [one, two, three] = upstreams.map(({ address }) => address) as [string, string, string]
test.after(async () => {
  for (const upstream of upstreams) await upstream.close()
})

class Running {
  readonly sluice: SluiceProcess
  readonly port: number
  readonly #admin: number

  private constructor(sluice: SluiceProcess, port: number, admin: number) {
    this.sluice = sluice
    this.port = port
    this.#admin = admin
  }

  /** @param http upstreams */
  static async start(workers: number, http: string): Promise<Running> {
    const [port, admin] = [await freePort(), await freePort()]
    const config = `worker_processes ${workers};
http { access_log off; admin 127.0.0.1:${admin}; ${http}
  server { listen 127.0.0.1:${port}; location / { proxy_pass http://chat; } } }
`
    return new Running(await startSluice(config), port, admin)
  }

  /** Names of those who answer, over many connections: every worker takes some of them. */
  async answers(): Promise<string> {
    const found = new Set<string>()
    for (let round = 0; round < 2; round++) {
      const clients = Array.from({ length: 16 }, () => new HttpClient(this.port))
      await Promise.all(
        clients.map(async (client) => {
          for (let i = 0; i < 3; i++) {
            const { status, body } = await client.get('/')
            found.add(status === 200 ? body : String(status))
          }
          client.close()
        }),
      )
    }
    return [...found].sort().join(' ')
  }

  run(...args: string[]) {
    return runSluice(['upstreams', ...args], this.sluice.folder)
  }

  /** As the commands do it, without a process for each. */
  async change(method: string, server: string, body?: object): Promise<void> {
    const path = `/api/v1/upstreams/chat/servers${server === '' ? '' : `/${encodeURIComponent(server)}`}`
    const headers = { 'Content-Type': 'application/json' }
    const asked = body === undefined ? {} : { headers, body: JSON.stringify(body) }
    const { status, text } = await ask(this.#admin, method, path, asked)
    assert.ok(status < 300, text)
  }

  /** @returns the rows of the table, without the columns that move */
  async done(...args: string[]): Promise<string[]> {
    const { code, stdout, stderr } = await this.run(...args)
    assert.equal([code, stderr], [0, ''])
    const rows = stdout.trimEnd().split('\n').slice(1)
    return rows.map((row) => row.split(/ +/).slice(2, 5).join(' '))
  }

  async refused(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args)
    assert.equal([code, stdout], [1, ''])
    return stderr
  }
}

for (const workers of [1, 2]) {
  test(`every command holds at once, in ${workers} process(es)`, async () => {
    const running = await Running.start(workers, `upstream chat { server ${one}; server ${two}; }`)
    assert.is(await running.answers(), 'one two')
    assert.equal(await running.done('add', 'chat', three, 'weight=2', 'max_conns=900'), [
      `${one} up 1`,
      `${two} up 1`,
      `${three} up 2`,
    ])
    assert.is(await running.answers(), 'one three two')
    assert.equal(await running.done('drain', 'chat', one), [
      `${one} draining 1`,
      `${two} up 1`,
      `${three} up 2`,
    ])
    assert.is(await running.answers(), 'three two')
    assert.equal(await running.done('down', 'chat', two), [
      `${one} draining 1`,
      `${two} down 1`,
      `${three} up 2`,
    ])
    assert.is(await running.answers(), 'three')
    await running.done('up', 'chat', one)
    assert.equal(await running.done('weight', 'chat', one, '7'), [
      `${one} up 7`,
      `${two} down 1`,
      `${three} up 2`,
    ])
    assert.is(await running.answers(), 'one three')
    assert.equal(await running.done('remove', 'chat', three), [`${one} up 7`, `${two} down 1`])
    assert.is(await running.answers(), 'one')
    assert.is(await running.sluice.stop(), 0)
  })

  test(`what cannot be done is said, and changes nothing, in ${workers} process(es)`, async () => {
    const folder = tempDir()
    const running = await Running.start(
      workers,
      `upstream chat { server ${one}; } upstream hashed { ip_hash; server ${one}; server ${two}; }
       upstream kept { state ${folder}/${'k'.repeat(250)}; }`,
    )
    const cases: [string[], string][] = [
      [['add', 'nobody', three], 'there is no upstream "nobody"; there are: chat, hashed, kept'],
      [['add', 'chat', one], `upstream "chat" has the server "${one}" already`],
      [['add', 'chat', 'nowhere.invalid:80'], 'host not found in upstream "nowhere.invalid:80"'],
      [['add', 'chat', '10.0.0.1:70000'], 'invalid port in "10.0.0.1:70000"'],
      [['add', 'chat', 'a b'], '"server" is the address of a server, such as "10.0.0.7:8080"'],
      [
        ['add', 'hashed', three, 'backup'],
        'upstream "hashed": balancing method "ip_hash" does not allow backup servers',
      ],
      [['remove', 'chat', one], `"${one}" is the last server of upstream "chat"`],
      [['remove', 'chat', three], `upstream "chat" has no server "${three}"`],
      [['weight', 'chat', one, '0'], '"weight" is a whole number from 1 to 1000000000'],
      [
        ['add', 'kept', one],
        `the state of upstream "kept" cannot be written: ENAMETOOLONG: name too long, open '${folder}/`,
      ],
    ]
    const said = await Promise.all(cases.map(([args]) => running.refused(...args)))
    for (const [i, [, message]] of cases.entries())
      assert.is(said[i]!.slice(0, 8 + message.length), `sluice: ${message}`)
    // The last one is the group without servers.
    assert.equal(await running.done('list'), [`${one} up 1`, `${one} up 1`, `${two} up 1`, 'servers'])
    assert.is(await running.answers(), 'one')
    assert.is(await running.sluice.stop(), 0)
  })

  test(`state: servers outlast a reload and a restart, in ${workers} process(es)`, async () => {
    const state = join(tempDir(), 'chat.servers')
    const http = `upstream chat { state ${state}; }`
    const before = await Running.start(workers, http)
    assert.is(await before.answers(), '502')
    await before.change('POST', '', { server: one })
    await before.change('POST', '', { server: two, weight: 3 })
    await before.change('POST', '', { server: three })
    await before.change('DELETE', one)
    await before.change('PATCH', three, { down: true })
    assert.is(readFileSync(state, 'utf8'), `server ${two} weight=3;\nserver ${three} down;\n`)
    await before.sluice.reload(/reconfigured|generation \d+ serves after|\[emerg\]/)
    assert.equal(await before.done('list', 'chat'), [`${two} up 3`, `${three} down 1`])
    assert.is(await before.answers(), 'two')
    assert.is(await before.sluice.stop(), 0)
    const after = await Running.start(workers, http)
    assert.equal(await after.done('list', 'chat'), [`${two} up 3`, `${three} down 1`])
    assert.is(await after.answers(), 'two')
    await after.change('DELETE', two)
    await after.change('DELETE', three)
    assert.is(readFileSync(state, 'utf8'), '')
    assert.is(await after.answers(), '502')
    assert.is(await after.sluice.stop(), 0)
  })
}

test.run()
