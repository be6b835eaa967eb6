// What is saved is served by itself: at once when it is whole, never when it is wrong, and told only then.

import { appendFileSync, rmSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ScriptWatcher } from '../../runtime/cli/script-watcher.ts'
import { Site, version } from './site.ts'

interface Watched {
  readonly site: Site
  /** Writes, and waits for the generation that serves it. */
  write(name: string, text: string): Promise<void>
  close(): Promise<void>
}

async function watched(files: Readonly<Record<string, string>>, server = 'location / { script v.js; }') {
  const site = await Site.start(server, files)
  const watcher = new ScriptWatcher(site.gateway)
  watcher.start()
  const result: Watched = {
    site,
    async write(name, text) {
      const { id } = site.gateway.generation
      writeFileSync(site.path(name), text)
      await site.until('a generation', () => site.gateway.generation.id > id)
    },
    close() {
      watcher.stop()
      return site.close()
    },
  }
  return result
}

const pause = (ms: number) => new Promise((next) => setTimeout(next, ms))
const errors = (site: Site) => site.log.filter((line) => line.startsWith('[error]'))

test('a file that is written in several steps is served when it is whole, without a word about its halves', async () => {
  const { site, write, close } = await watched({ 'v.js': version(1) })
  const text = version(2)
  writeFileSync(site.path('v.js'), '')
  for (let at = 0; at < text.length; at += 40) {
    appendFileSync(site.path('v.js'), text.slice(at, at + 40))
    await pause(8)
  }
  await site.until('the new version', () => site.log.some((line) => line.includes('scripts changed')))
  assert.is((await site.get()).version, '2')
  assert.equal(errors(site), [])
  await write('v.js', version(3))
  assert.is((await site.get()).version, '3')
  await close()
})

test('a file that stays wrong is refused once, however often something else is saved beside it', async () => {
  const { site, write, close } = await watched({ 'v.js': version(1) })
  writeFileSync(site.path('v.js'), 'export function content(r) {')
  await site.until('the refusal', () => errors(site).length > 0)
  for (let n = 0; n < 3; n++) {
    writeFileSync(site.path('other.js'), `// ${n}`)
    await pause(60)
  }
  assert.is(errors(site).length, 1)
  assert.match(errors(site)[0], /v\.js:1:\d+: .*; the scripts of generation 1 stay$/)
  assert.is((await site.get()).version, '1')
  await write('v.js', version(2))
  assert.is((await site.get()).version, '2')
  await close()
})

test('a module that an import was missing is enough', async () => {
  const { site, close } = await watched({ 'v.js': version(1) })
  writeFileSync(
    site.path('v.js'),
    `import { name } from './name.js'\nexport function content(r) { r.return(200, name) }`,
  )
  await site.until('the refusal', () => errors(site).length > 0)
  assert.match(errors(site)[0], /cannot import '\.\/name\.js': there is no such file/)
  writeFileSync(site.path('name.js'), `export const name = 'there'`)
  await site.until('a generation', () => site.gateway.generation.id > 1)
  assert.is((await site.get()).body, 'there')
  await close()
})

test('a rollback is not undone by the watcher, until the file is saved again', async () => {
  const { site, write, close } = await watched({ 'v.js': version(1), 'w.js': version(1) })
  await write('v.js', version(2))
  await site.gateway.rollback()
  rmSync(site.path('w.js'))
  await pause(60)
  assert.is((await site.get()).version, '1')
  await write('v.js', version(2))
  assert.is((await site.get()).version, '2')
  await close()
})

test('a canary that was rolled back is tried again when its file is saved with another text', async () => {
  const failing = `export function content(r) { throw new Error('not ready') }`
  const { site, write, close } = await watched(
    { 'v.js': version('live'), 'c.js': failing },
    'location / { script v.js; script_canary c.js percent=100 min_calls=5; }',
  )
  for (let n = 0; n < 5; n++) await site.get()
  await site.until('rolled back', () => site.gateway.generation.id === 2)
  writeFileSync(site.path('c.js'), failing)
  await pause(60)
  assert.is(site.gateway.generation.id, 2)
  await write('c.js', version('canary'))
  assert.is((await site.get()).version, 'canary')
  await close()
})

test.run()
