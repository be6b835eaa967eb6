// A hundred swaps of every kind while requests come: saves, canaries, rollbacks, ejections. None is lost.

import { writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ScriptWatcher } from '../../runtime/cli/script-watcher.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { hanging, Site, version } from './site.ts'

const SERVER = `
  script_limits cpu=10ms; script_eject_after 1;
  location /saved { script saved.js; script_canary canary.js percent=30 key=$arg_user min_calls=5; }
  location /hanging { script hanging.js; }`

/** Of six swaps each. */
const ROUNDS = 17

const failing = (n: number) => `export function content(r) { if (r.args.probe) throw new Error('canary ${n}')
  r.headersOut.set('x-version', 'canary ${n}'); r.return(200) }`

/** Clients that ask all the time; what they get that is no good answer. */
class Load {
  readonly failures: string[] = []
  readonly versions = new Set<string>()
  requests = 0
  #running = true
  readonly #clients: Promise<void>[]

  constructor(port: number, count: number) {
    this.#clients = Array.from({ length: count }, (_, user) => this.#ask(port, user))
  }

  async #ask(port: number, user: number): Promise<void> {
    const client = new HttpClient(port)
    while (this.#running) {
      for (const path of [`/saved?user=${user}`, '/hanging']) {
        try {
          const response = await client.get(path)
          if (response.status !== 200) this.failures.push(`${path}: ${response.status}`)
          this.versions.add(response.header('x-version') ?? '')
          this.requests++
        } catch (error) {
          this.failures.push(`${path}: ${error}`)
          return
        }
      }
    }
    client.close()
  }

  async stop(): Promise<void> {
    this.#running = false
    await Promise.all(this.#clients)
  }
}

test('a hundred swaps under load lose no request', async () => {
  const site = await Site.start(SERVER, {
    'saved.js': version('saved 0'),
    'canary.js': version('canary 0'),
    'hanging.js': version('good'),
  })
  const watcher = new ScriptWatcher(site.gateway)
  watcher.start()
  const { gateway } = site
  const load = new Load(site.port, 8)
  const swapped = (from: number) => site.until('a swap', () => gateway.generation.id > from)
  const last = () => gateway.generation.id
  for (let n = 1; n <= ROUNDS; n++) {
    let from = last()
    writeFileSync(site.path('saved.js'), version(`saved ${n}`))
    await swapped(from)
    from = last()
    writeFileSync(site.path('canary.js'), failing(n))
    await swapped(from)
    // What fails here is meant to. Of the keys there are always some for the canary; it fails for these alone, until it is rolled back.
    from = last()
    for (let user = 0; last() === from; user++) await site.get(`/saved?probe=1&user=p${user % 40}`)
    from = last()
    await gateway.rollback(site.path('saved.js'))
    assert.is(last(), from + 1)
    writeFileSync(site.path('hanging.js'), hanging(`bad ${n}`))
    await swapped(from + 1)
    from = last()
    await site.get('/hanging?hang')
    await swapped(from)
  }
  await load.stop()
  watcher.stop()
  assert.equal(load.failures, [])
  assert.is(last(), 1 + 6 * ROUNDS)
  assert.is((await site.get('/hanging')).version, 'good')
  assert.is((await site.get('/saved?user=1')).version, 'saved 0')
  assert.ok(load.versions.size > 20, `${load.requests} requests saw ${[...load.versions].join(', ')}`)
  await site.until('the old generations are gone', () => gateway.liveGenerations === 1)
  await site.close()
})

test.run()
