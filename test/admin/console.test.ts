// The console as people look at it: a real browser on a real proxy.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ConsoleUser, SERVER } from './console-user.ts'
import { answering } from './fleet-double.ts'
import { AdminSite } from './site.ts'

const TOKEN = 'a-token-of-some-length'

let user: ConsoleUser
/** For tests that change nothing. */
let plain: AdminSite

test.before(async () => {
  user = await ConsoleUser.start()
  plain = await AdminSite.start(
    (port, admin) => `${SERVER(port, admin)} upstream chat { server 127.0.0.1:9; server 127.0.0.1:10 down; }`,
    { 'scripts/a.js': answering('one') },
  )
})

test.after.each(() => user.leave())

test.after(async () => {
  await user.close()
  await plain.close()
})

// ---- what it shows ----

test('the figures are live, nothing is complained of, and nobody else is asked', async () => {
  const site = await user.openSite()
  await user.page.says('#tiles', /Generation\s+1\s/)
  await user.page.says('#workers', new RegExp(`${process.pid}`))
  assert.is(await user.page.text('#release'), (await site.control.status()).version)
  assert.match(await user.page.text('#addresses'), `Listens on 127.0.0.1:${site.port}`)
  for (let i = 0; i < 3; i++) await site.get()
  await user.page.says('#tiles', /3 in all/)
  assert.match(await user.page.text('#versions'), /a\.js[\s\S]*live/)
  assert.match(await user.page.text('#history'), /1\s+serves\s+[\d:]+\s+start/)
  await site.push('a.js', answering('two'))
  await user.look()
  await user.page.says('#history', /2\s+serves\s+[\d:]+\s+push[\s\S]*1\s+earlier/)
  assert.equal(user.page.complaints, [])
  const foreign = user.page.requests.filter((url) => !url.startsWith(`http://127.0.0.1:${site.adminPort}/`))
  assert.equal(
    foreign.filter((url) => !url.startsWith('data:')),
    [],
  )
})

test('while nobody looks, or it is paused, nothing is asked', async () => {
  await user.open(plain.adminPort)
  const hidden = user.page
  const see = (state: string) => `
    Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true })
    document.dispatchEvent(new Event('visibilitychange'))`
  await hidden.says('#history', /serves/)
  await hidden.evaluate(see('hidden'))
  await user.open(plain.adminPort)
  await user.page.says('#history', /serves/)
  await user.page.press('Pause')
  await user.page.says('#pulse', /^paused at/)
  const pages = [hidden, user.page]
  const before = pages.map(({ requests }) => requests.length)
  await user.page.evaluate('new Promise((done) => setTimeout(done, 2300))')
  assert.equal(
    pages.map(({ requests }) => requests.length),
    before,
  )
  const asked = 'performance.getEntriesByType("resource").length'
  const seen = [await hidden.evaluate(asked), await user.page.evaluate(asked)]
  await hidden.evaluate(see('visible'))
  await user.page.press('Pause')
  for (const [i, page] of pages.entries()) await page.until(`${asked} > ${seen[i]}`)
})

test('it fits a narrow screen, and is read easily in both schemes', async () => {
  await user.open(plain.adminPort)
  await user.page.says('#groups', /down/)
  for (const width of [360, 600, 840, 1280]) {
    await user.page.size(width, 800)
    const [widest, buttons] = await user.page.evaluate(`[
      document.documentElement.scrollWidth,
      [...document.querySelectorAll('main button')].map((one) => one.getBoundingClientRect().right),
    ]`)
    assert.ok(widest <= width && Math.max(...buttons) <= widest - 16, `${widest}, ${buttons} at ${width}`)
  }
  for (const scheme of ['light', 'dark'] as const) {
    await user.page.scheme(scheme)
    assert.equal(await user.page.evaluate(`(${faint})()`), [], scheme)
  }
})

/** Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3). Runs in the page. */
const faint = `() => {
  const parse = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number)
    const scale = text.startsWith('color(') ? 1 : 255
    return { rgb: numbers.slice(0, 3).map((one) => one / scale), alpha: numbers[3] ?? 1 }
  }
  const light = (rgb) => {
    const [r, g, b] = rgb.map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const behind = (element) => {
    for (let one = element; one !== null; one = one.parentElement) {
      const { rgb, alpha } = parse(getComputedStyle(one).backgroundColor)
      if (alpha === 1) return rgb
    }
  }
  const found = []
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement
    if (node.data.trim() === '' || !element.checkVisibility() || element.closest(':disabled, noscript')) continue
    const [a, b] = [parse(getComputedStyle(element).color).rgb, behind(element)].map(light)
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (contrast < 4.5) found.push(node.data + ' ' + contrast.toFixed(2))
  }
  return found
}`

test('the keyboard is enough', async () => {
  await user.open(plain.adminPort)
  await user.page.says('#groups', /down/)
  const focused = () =>
    user.page.evaluate('document.activeElement.ariaLabel ?? document.activeElement.innerText')
  await user.page.key('Tab')
  assert.is(await focused(), 'Skip to the figures')
  await user.page.key('Enter')
  assert.is(await user.page.evaluate('document.activeElement.id'), 'overview')
  const [first] = await user.page.evaluate(
    `[...document.querySelectorAll('#groups button')].map((one) => one.innerText)`,
  )
  for (let i = 0; i < 2; i++) await user.page.key('Tab')
  assert.equal([await focused(), first], ['Drain: 127.0.0.1:9', 'Add a server'])
  await user.page.key('Enter')
  await user.page.says('dialog', /Drain 127\.0\.0\.1:9\?/)
  assert.is(await focused(), 'Drain')
  await user.page.key('Escape')
  await user.page.until('document.querySelector("dialog") === null')
  assert.is(await focused(), 'Drain: 127.0.0.1:9')
})

test('a connection that is lost is told, and found again', async () => {
  const site = await user.openSite()
  site.admin.close()
  await user.look()
  await user.page.says(
    '#outage',
    new RegExp(`^127\\.0\\.0\\.1:${site.adminPort} does not answer since [\\d:]+\\.`),
  )
  assert.is(await user.page.text('#pulse'), 'no answer')
  assert.is(await user.page.evaluate('document.title'), `No answer: 127.0.0.1:${site.adminPort} · Sluice`)
  await site.control.reload()
  await user.page.says('#messages', /answers again/)
  assert.is(await user.page.evaluate('document.querySelector("#outage").hidden'), true)
  await user.page.says('#tiles', /Generation\s+2\s/)
})

// ---- the token ----

test('a token is asked for once, and forgotten with the tab', async () => {
  const site = await user.site((port, admin) => SERVER(port, admin).replace(';', ' token_file=t;'), {
    'scripts/a.js': answering('one'),
    t: `${TOKEN}\n`,
  })
  await user.open(site.adminPort)
  await user.page.says('dialog', /wants a token/)
  assert.is(await user.page.evaluate('document.querySelectorAll("dialog").length'), 1)
  await user.page.type('another-token-of-some-length')
  await user.page.key('Enter')
  await user.page.says('dialog', /not the token/)
  for (const key of ['Escape', 'Escape']) await user.page.key(key)
  assert.is(await user.page.evaluate('document.querySelectorAll("dialog[open]").length'), 1)
  await user.page.type(TOKEN)
  await user.page.key('Enter')
  await user.page.says('#versions', /a\.js[\s\S]*live/)
  await user.page.press('Source: a.js')
  await user.page.says('dialog.editor', /a\.js/)
  assert.is(await user.page.evaluate('localStorage.length + document.cookie.length'), 0)
  await user.page.reload()
  await user.page.says('#versions', /live/)
  assert.is(await user.page.evaluate('document.querySelectorAll("dialog").length'), 0)
  await user.open(site.adminPort)
  await user.page.says('dialog', /wants a token/)
})

// ---- hostile texts ----

test('whatever a name, a reason or a source holds, it is text', async () => {
  const evil = `<img src=x onerror="window.hacked=1"></textarea><script>window.hacked=1</script>`
  const source = `// ${evil}\nexport function content(r) { r.return(200, 'one') }\n`
  const site = await user.site(SERVER, { 'scripts/a.js': source })
  const { control } = site
  const [script] = await control.scripts()
  const states = ['live', 'canary', 'shadow', 'left out', 'quarantined'] as const
  const scripts = states.map((state, at) => ({
    ...script,
    file: at === 0 ? script.file : `/srv/${evil}${at}.js`,
    role: at === 1 || at === 2 ? states[at] : 'live',
    state,
    reason: evil,
    digest: at === 0 ? script.digest : evil,
    shadow: { access: { calls: 1, equal: 0, different: 1, errors: 0, skipped: 0 }, [evil]: {} },
  }))
  const peer = {
    name: evil,
    address: evil,
    weight: 1,
    backup: true,
    down: false,
    draining: false,
    resting: true,
  }
  Object.assign(control, {
    scripts: async () => scripts,
    upstreams: async () => [
      { name: evil, method: evil, shared: true, peers: [{ ...peer, fails: 0, connections: 0 }] },
    ],
    history: async () => [
      { generation: 1, at: 0, reason: evil, scripts: [{ file: evil, role: evil, digest: evil }] },
    ],
  })
  await user.open(site.adminPort)
  for (const part of ['#versions', '#groups', '#history']) await user.page.says(part, /<img src=x onerror/)
  await user.page.press('Source: a.js')
  assert.is(await user.page.until('document.querySelector("dialog textarea")?.value'), source)
  await user.edit(`throw new Error(${JSON.stringify(evil)})`)
  await user.page.press('Push')
  await user.page.says('dialog .answer', /<img src=x onerror/)
  await user.page.press('Close')
  await user.page.press('Discard')
  await user.page.press(`Remove: ${evil}`)
  await user.page.says('dialog h2', /<img src=x onerror/)
  assert.is(
    await user.page.evaluate('document.images.length + document.querySelectorAll("body script").length'),
    0,
  )
  assert.is(await user.page.evaluate('typeof window.hacked'), 'undefined')
  assert.equal(
    user.page.complaints.filter((text) => !/status of 422/.test(text)),
    [],
  )
})

test.run()
