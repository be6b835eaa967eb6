// A script that overruns its limits again and again gives way to the version before it, or is left out for a while.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { hanging, Site, version } from './site.ts'

const SERVER = 'script_limits cpu=10ms; script_eject_after 3; location / { script v.js; }'

/** Three calls that hang. */
async function hang(site: Site): Promise<void> {
  for (let n = 0; n < 3; n++) assert.is((await site.get('/?hang')).status, 500)
}

test('the version before it serves from the next call on, and everybody is told', async () => {
  const site = await Site.start(SERVER, { 'v.js': version('good') })
  assert.is((await site.get()).version, 'good')
  await site.save('v.js', hanging('bad'))
  assert.is((await site.get()).version, 'bad')
  const [good, bad] = [1, 2].map((id) => {
    return site.gateway.history.find(({ generation }) => generation === id)?.scripts[0].digest
  })
  await hang(site)
  assert.is((await site.get('/?hang')).version, 'good')
  await site.until('a generation without it', () => site.gateway.generation.id === 3)
  assert.is((await site.get('/?hang')).version, 'good')
  assert.equal(site.reasons, ['start', 'save', 'eject'])
  const said = `${site.path('v.js')}: content has overrun its limits 3 times in a row: version ${bad} is ejected, version ${good} serves instead; what is on the disk is not loaded again until it changes`
  assert.equal(
    site.log.filter((line) => line.startsWith('[alert]')),
    [`[alert] ${said}`],
  )
  assert.equal(
    site.gateway.scripts.map(({ digest, generation, state, reason, overruns }) => {
      return { digest, generation, state, reason, overruns }
    }),
    [
      { digest: good, generation: 1, state: 'live', reason: '', overruns: 0 },
      {
        digest: bad,
        generation: 2,
        state: 'quarantined',
        reason: 'ejected: content has overrun its limits 3 times in a row',
        overruns: 3,
      },
    ],
  )
  await site.close()
})

test('the text that was ejected is not loaded again, neither by a save nor by HUP; other text is', async () => {
  const site = await Site.start(SERVER, { 'v.js': version('good') })
  await site.get()
  await site.save('v.js', hanging('bad'))
  await hang(site)
  await site.until('a generation without it', () => site.gateway.generation.id === 3)
  assert.is(await site.save('v.js', hanging('bad')), null)
  await site.reload()
  assert.is((await site.get('/?hang')).version, 'good')
  assert.match(
    site.log.join('\n'),
    /\[notice\] .*v\.js: version [0-9a-f]{16} stays out \(ejected: content has/,
  )
  await site.save('v.js', version('mended'))
  assert.is((await site.get('/?hang')).version, 'mended')
  assert.equal(site.states('v.js'), ['live'])
  await site.close()
})

test('a good call in between begins the count anew', async () => {
  const site = await Site.start(SERVER, { 'v.js': version('good') })
  await site.get()
  await site.save('v.js', hanging('bad'))
  for (let n = 0; n < 3; n++) {
    await site.get('/?hang')
    await site.get('/?hang')
    assert.is((await site.get('/')).version, 'bad')
  }
  assert.equal(site.states('v.js'), ['live'])
  await site.close()
})

test('each hook counts for itself: one that does well does not hide one that hangs', async () => {
  const two = `${hanging('bad')}\nexport function access(r) {}`
  const site = await Site.start(SERVER, { 'v.js': version('good') })
  await site.get()
  await site.save('v.js', two)
  await hang(site)
  assert.is((await site.get('/?hang')).version, 'good')
  await site.close()
})

test('waiting too long, memory, and a lost sandbox count as well', async () => {
  const kinds = {
    wall: `export async function content(r) { await new Promise(() => {}) }`,
    memory: `export function content(r) { const kept = []; for (;;) kept.push(new Uint8Array(1e6)) }`,
    lost: `export function content(r) { Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) }`,
  }
  for (const [kind, text] of Object.entries(kinds)) {
    const site = await Site.start(
      'script_limits memory=8m cpu=20ms wall=20ms; script_eject_after 2; location / { script v.js; }',
      { 'v.js': version('good') },
    )
    await site.get()
    await site.save('v.js', text)
    await site.get()
    await site.get()
    assert.is((await site.get()).version, 'good', kind)
    await site.close()
  }
})

test('the version gone back to is one that has served well, not one that was saved and broken', async () => {
  const site = await Site.start(SERVER, { 'v.js': version('good') })
  await site.get()
  await site.save('v.js', `export function content(r) { throw new Error('always') }`)
  await site.get()
  await site.save('v.js', hanging('bad'))
  await hang(site)
  assert.is((await site.get()).version, 'good')
  await site.close()
})

test('every place that uses the file goes back, whatever its parameters', async () => {
  const site = await Site.start(
    'script_limits cpu=10ms; script_eject_after 3; location / { script v.js; } location /x { script v.js a=1; }',
    { 'v.js': version('good') },
  )
  await site.get()
  await site.save('v.js', hanging('bad'))
  await hang(site)
  assert.is((await site.get('/x')).version, 'good')
  await site.until('a generation without it', () => site.gateway.generation.id === 3)
  assert.is((await site.get('/x')).version, 'good')
  await site.close()
})

test('without an earlier version the hook is left out for a while, and burns no time', async () => {
  const site = await Site.start(
    'script_limits cpu=20ms; script_eject_after 3; location / { script v.js; } location /open { script_on_error open; script v.js; return 200 "without"; }',
    { 'v.js': hanging('only') },
  )
  await hang(site)
  assert.match(
    site.log.join('\n'),
    /\[alert\] .*v\.js: content has overrun its limits 3 times in a row; it is left out for 1 s, then tried again/,
  )
  const before = process.cpuUsage().user
  for (let n = 0; n < 10; n++) assert.is((await site.get('/?hang')).status, 500)
  const spent = (process.cpuUsage().user - before) / 1000
  assert.ok(spent < 150, `${spent.toFixed(0)} ms of CPU time for ten calls; in the sandbox it would be 200`)
  assert.equal(site.states('v.js'), ['left out'])
  assert.is(site.gateway.scripts[0].reason, 'content overran too often')
  for (let n = 0; n < 3; n++) await site.get('/open?hang')
  assert.is((await site.get('/open?hang')).body, 'without')
  await site.close()
})

test('script_eject_after 0: never', async () => {
  const site = await Site.start('script_limits cpu=5ms; script_eject_after 0; location / { script v.js; }', {
    'v.js': version('good'),
  })
  await site.get()
  await site.save('v.js', hanging('bad'))
  for (let n = 0; n < 10; n++) await site.get('/?hang')
  assert.is((await site.get()).version, 'bad')
  await site.close()
})

test('a timer that loses the sandbox again and again ejects too', async () => {
  const site = await Site.start(SERVER, { 'v.js': version('good') })
  await site.get()
  await site.save(
    'v.js',
    `export function content(r) {
       setTimeout(() => { Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1) }, 1)
       r.headersOut.set('x-version', 'bad')
       return new Promise((done) => setTimeout(done, 500))
     }`,
  )
  for (let n = 0; n < 3; n++) await site.get()
  await site.until('the good one is back', () => site.states('v.js').length === 2)
  assert.is((await site.get()).version, 'good')
  assert.match(site.log.join('\n'), /the sandbox was lost 3 times outside of any hook: version/)
  await site.close()
})

test.run()
