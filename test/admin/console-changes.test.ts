// What is done by way of the console: a real browser on a real proxy, which then serves otherwise, or refuses it.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { ConsoleUser, SERVER } from './console-user.ts'
import { answering, CANARY, DIGEST, FleetSite, recorded, rollout } from './fleet-double.ts'

let user: ConsoleUser

test.before(async () => {
  user = await ConsoleUser.start()
})

test.after.each(() => user.leave())

test.after(() => user.close())

// ---- scripts ----

test('a script that is broken is refused with its place; a good one serves', async () => {
  const site = await user.openSite()
  await user.page.press('Source: a.js')
  await user.page.until('document.querySelector("dialog textarea")?.readOnly')
  await user.edit('export function content(r) {\n  r.return(200,, 1)\n}\n')
  await user.page.press('Push')
  await user.page.says('dialog .answer', /The script cannot be loaded\./)
  const told = await user.page.text('dialog .answer')
  assert.match(told, new RegExp(`${site.path('scripts/a.js')}:2:\\d+ `))
  assert.match(told, /2 \| {3}r\.return\(200,, 1\)\n {5} \| +\^/)
  const { line, marked } = await user.page.evaluate(`(() => {
    const { value, selectionStart } = document.querySelector('dialog textarea')
    return { line: value.slice(0, selectionStart).split('\\n').length, marked: !document.querySelector('.mark').hidden }
  })()`)
  assert.equal([line, marked], [2, true])
  assert.is((await site.get()).body, 'one')
  await user.page.fill('dialog textarea', answering('two'))
  await user.page.key('s', true)
  await user.page.says('dialog .answer', /^Generation 2 serves after [\d.]+ ms\.$/)
  assert.is((await site.get()).body, 'two')
  await user.page.press('Close')
  await user.page.press('Roll back: a.js')
  await user.page.says('dialog', /Roll a\.js back\?/)
  await user.page.press('Roll back')
  await user.page.says('#messages', /a\.js is version [0-9a-f]{8} again, in generation 3/)
  assert.is((await site.get()).body, 'one')
})

test('what somebody else has saved is not overwritten unseen', async () => {
  const site = await user.openSite()
  await user.page.press('Source: a.js')
  await user.edit(answering('mine'))
  await site.push('a.js', answering('theirs'))
  await user.look()
  await user.page.says('dialog .about', /another version, [0-9a-f]{8}, serves by now/)
  await user.page.press('Push')
  await user.page.says('dialog .answer', /another version serves by now/)
  assert.is((await site.get()).body, 'theirs')
  await user.page.press('Show what serves now')
  await user.page.until(`document.querySelectorAll('dialog textarea')[1]?.value.includes('theirs')`)
  assert.is(await user.page.evaluate('document.querySelector("dialog textarea").value'), answering('mine'))
  await user.page.press('Push mine in its place')
  await user.page.says('dialog .answer', /^Generation 3 serves/)
  assert.is((await site.get()).body, 'mine')
})

test('changes are not thrown away by Escape', async () => {
  await user.openSite()
  await user.page.press('Source: a.js')
  await user.edit('export {}')
  for (let i = 0; i < 3; i++) {
    await user.page.key('Escape')
    await user.page.says('dialog.ask', /Discard your changes/)
    await user.page.key('Escape')
    await user.page.until('document.querySelector("dialog.ask") === null')
  }
  assert.is(await user.page.evaluate('document.querySelector("dialog textarea").value'), 'export {}')
  await user.page.key('Escape')
  await user.page.press('Discard')
  await user.page.until('document.querySelector("dialog") === null')
})

test('an imported module is pushed as well, with the ends of its lines', async () => {
  const module = (text: string) => `// of Windows\r\nexport const text = '${text}'\r\n`
  const site = await user.openSite(SERVER, {
    'scripts/a.js': `import { text } from './text.js'\nexport function content(r) { r.return(200, text) }\n`,
    'scripts/text.js': module('one'),
  })
  await user.page.press('Source: text.js')
  await user.edit(module('two').replaceAll('\r', ''))
  await user.page.press('Push')
  await user.page.says('dialog .answer', /^Generation 2 serves/)
  assert.is((await site.get()).body, 'two')
  assert.is((await site.ask('GET', '/api/v1/scripts/text.js')).json.source, module('two'))
})

test('a canary is promoted', async () => {
  const server = (port: number, admin: number) => `admin ${admin};
    server { listen 127.0.0.1:${port}; location / { script a.js; script_canary b.js percent=1 key=$arg_k; } }`
  const site = await user.openSite(server, { 'a.js': answering('old'), 'b.js': answering('new') })
  await user.page.says('#versions', /canary/)
  await user.page.press('Promote: b.js')
  await user.page.says('dialog', /serves everybody/)
  await user.page.press('Promote')
  await user.page.says('#messages', /b\.js serves everybody, in generation 2/)
  for (let k = 0; k < 5; k++) assert.is((await site.get(`/?k=${k}`)).body, 'new')
})

// ---- upstreams ----

test('a server is taken down, put up and removed; a refusal is shown as it is', async () => {
  const [one, two] = [await recordingUpstream(() => ok('one')), await recordingUpstream(() => ok('two'))]
  user.keep(one)
  user.keep(two)
  const site = await user.site(
    (port, admin) => `admin ${admin};
    upstream chat { server ${one.address}; server ${two.address}; }
    server { listen 127.0.0.1:${port}; location / { proxy_pass http://chat; } }`,
  )
  await user.open(site.adminPort)
  const answers = async () =>
    new Set([(await site.get()).body, (await site.get()).body, (await site.get()).body])
  await user.page.says('#groups', /chat\s+round_robin, 2 of 2 up/)
  await user.page.press(`Down: ${one.address}`)
  await user.page.says('dialog', /gets no requests any more/)
  await user.page.press('Take down')
  await user.page.says('#groups', /1 of 2 up[\s\S]*down/)
  assert.equal(await answers(), new Set(['two']))
  await user.page.press(`Up: ${one.address}`)
  await user.page.says('#groups', /2 of 2 up/)
  assert.is((await answers()).size, 2)
  await user.page.press(`Weight: ${two.address}`)
  await user.page.fill('dialog input', '5')
  await user.page.press('Change')
  await user.page.says('#messages', new RegExp(`${two.address} has weight 5`))
  await user.page.press(`Remove: ${two.address}`)
  await user.page.press('Remove')
  await user.page.says('#groups', /1 of 1 up/)
  assert.equal(await answers(), new Set(['one']))
  await user.page.press(`Remove: ${one.address}`)
  await user.page.press('Remove')
  await user.page.says('dialog', /last server of upstream "chat"/)
  await user.page.press('Cancel')
  await user.page.press('Add a server')
  await user.page.fill('dialog input', two.address)
  await user.page.press('Add')
  await user.page.says('#groups', /2 of 2 up/)
  assert.is((await answers()).size, 2)
})

// ---- configuration and dry run ----

test('a configuration that is wrong is told with its places', async () => {
  const site = await user.openSite()
  const right = site.config
  site.config = right.replace('listen', 'lissen')
  await user.page.press('Reload')
  await user.page.says('#reload-answer', /sluice\.conf:3:10 unknown directive "lissen"/)
  site.config = right
  await user.page.press('Reload')
  await user.page.says('#reload-answer', /^Generation 2 serves/)
  await user.page.click('#files summary')
  assert.is(await user.page.until(`document.querySelector('#files textarea')?.value`), right)
})

test('a dry run tells where a request would go, and how many', async () => {
  const server = (port: number, admin: number) => `admin ${admin};
    upstream chat { hash $arg_userId consistent; server 127.0.0.1:9; server 127.0.0.1:10; }
    server { listen 127.0.0.1:${port}; location /chat { script scripts/a.js; proxy_pass http://chat; } }`
  await user.openSite(server, {
    'scripts/a.js': `export function access(r) { if (r.headersIn.get('x-key') !== 'k') r.return(403) }\n`,
  })
  await user.page.fill('#try-form [name=target]', '/chat?userId=7')
  await user.page.evaluate(
    `for (const one of document.querySelectorAll('#try-form details')) one.open = true`,
  )
  await user.page.fill('#try-headers', 'no header')
  await user.page.press('Try')
  await user.page.says('#try-answer', /"no header" is no header; write "Name: value"/)
  await user.page.fill('#try-headers', 'X-Key: k')
  await user.page.fill('#try-form [name=vary]', 'userId')
  await user.page.fill('#try-form [name=count]', '100')
  await user.page.press('Try')
  await user.page.says('#try-answer', /127\.0\.0\.1:(9|10) of chat, by hash consistent of "7"/, 15_000)
  const told = await user.page.text('#try-answer')
  assert.match(told, /location\s+\/chat[\s\S]*access\s+passes, [\s\S]*reads headersIn x-key = "k"/)
  assert.match(told, /100 requests, userId=1 to 100[\s\S]*would go elsewhere/)
})

// ---- a fleet ----

test('a fleet shows its machines, and how a push goes on there', async () => {
  const own = await FleetSite.start()
  user.keep(own)
  const machine = { machine: 'web-1', pid: 7, version: '1.0', seen: Date.now(), away: false, signs: false }
  own.fleet.state = {
    ...own.fleet.state,
    machines: [
      { ...machine, scripts: { 'a.js': DIGEST }, drift: {} },
      { ...machine, machine: 'web-2', scripts: {}, drift: { 'a.js': 'it refuses what is recorded' } },
    ],
    scripts: [recorded('a.js', CANARY), recorded('b.js', CANARY)],
  }
  await user.open(own.port)
  await user.page.says('#fleet-line', /web-1 is one of 2 machines, 1 with another version than recorded/)
  await user.page.says('#machines', /web-2[\s\S]*it refuses what is recorded/)
  await user.page.says('#recorded', /a\.js\s+d1d1d1d1\s+live[\s\S]*canary 5 % by \$arg_u[\s\S]*earlier/)
  own.fleet.steps = [
    rollout('recorded', ['web-1 serving', 'web-2 ready']),
    rollout('done', ['web-1 serving', 'web-2 serving']),
  ]
  await user.page.press('Source: a.js')
  await user.edit(answering('two'))
  await user.page.fill('dialog [name=author]', 'Zoë')
  await user.page.press('Push')
  await user.page.says('dialog .answer', /^Generation 7 serves after 30\.0 ms\.$/)
  assert.equal(own.fleet.asked, [{ name: 'a.js', text: answering('two'), author: 'Zoë', wait: 'verdict' }])
  await user.page.says(
    '#rollouts',
    /push of a\.js d1d1d1d1 by ann\s+done\s+web-1 serving[\s\S]*web-2 serving/,
  )
  own.fleet.steps = [
    rollout('refused', ['web-2 refused /srv/a.js:2:3: SyntaxError: no'], { reason: 'web-2 refuses it' }),
  ]
  await user.page.fill('dialog textarea', 'export {')
  await user.page.press('Push')
  await user.page.says('dialog .answer', /web-2: \/srv\/a\.js:2:3 SyntaxError: no/)
  await user.page.press('Close')
  await user.page.press('Discard')
  // A canary of the fleet goes by the name of its script.
  own.fleet.asked.length = 0
  own.fleet.steps = [rollout('done', ['web-1 serving'], { kind: 'promote', name: 'b.js' })]
  await user.page.press('Promote: b.js')
  assert.is(await user.page.evaluate('document.querySelector("dialog [name=author]").value'), 'Zoë')
  await user.page.press('Promote')
  await user.page.says('#messages', /b\.js serves everybody/)
  assert.equal(own.fleet.asked, [{ promote: 'b.js', author: 'Zoë' }])
})

test.run()
