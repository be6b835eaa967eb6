// What scripts ask of the network, answered by the test; and functions that run again and again.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type TestOptions, testScript } from '../../runtime/testing/index.ts'

const ASKING = `
  export async function access(r) {
    const { url, method = 'GET', timeout, redirect } = r.args
    const options = { method, headers: { 'X-From': 'é' } }
    if (method === 'POST') options.body = 'sent ü'
    if (timeout) options.timeout = Number(timeout)
    if (redirect) options.redirect = redirect
    try {
      const answer = await fetch(url, options)
      return { status: 200, body: [answer.status, answer.url, answer.headers.get('x-to'), await answer.text()].join(' | ') }
    } catch (error) {
      return { status: 502, body: error.name + ': ' + error.message }
    }
  }`

const answers: TestOptions['fetch'] = {
  'http://users/7': { status: 201, headers: { 'X-To': 'ü' }, body: 'seven é' },
  'POST http://users/*': (request) => ({
    chunks: [request.method, ' ', request.body, ' ', request.headers['x-from'] ?? ''],
  }),
  'http://slow/': { delay: '3s', body: 'late' },
  'http://broken/': { error: 'connection refused' },
  'http://moved/': { status: 302, headers: { Location: 'http://users/7' } },
  'http://plain/': 'a text alone',
}

const CASES: [args: Record<string, string | number>, expected: string][] = [
  [{ url: 'http://users/7' }, '201 | http://users/7 | ü | seven é'],
  [{ url: 'http://users/8', method: 'POST' }, '200 | http://users/8 |  | POST sent ü é'],
  [{ url: 'http://plain' }, '200 | http://plain/ |  | a text alone'],
  [{ url: 'http://moved/' }, '201 | http://users/7 | ü | seven é'],
  [{ url: 'http://moved/', redirect: 'manual' }, '302 | http://moved/ |  | '],
  [{ url: 'http://moved/', redirect: 'error' }, 'TypeError: fetch: "http://moved/" redirects'],
  [{ url: 'http://broken/' }, 'TypeError: fetch: connection refused'],
  [{ url: 'http://users/8' }, 'TypeError: fetch: the test does not describe an answer to GET http://users/8'],
  [{ url: 'ftp://users/' }, 'TypeError: fetch: "ftp://users/" is neither http nor https'],
]

for (const [args, expected] of CASES) {
  test(`fetch ${Object.values(args).join(' ')}: ${expected}`, async () => {
    const script = await testScript('hooks.js', { source: ASKING, fetch: answers })
    const { answer } = await script.access({ args })
    assert.ok(answer?.text.endsWith(expected), answer?.text)
    script.dispose()
  })
}

test('an answer takes its time on the clock, and comes too late for a timeout', async () => {
  const script = await testScript('hooks.js', { source: ASKING, fetch: answers })
  const patient = script.access({ args: { url: 'http://slow/' } })
  const hasty = script.access({ args: { url: 'http://slow/', timeout: 2000 } })
  await script.clock.advance('2s')
  assert.match((await hasty).answer?.text ?? '', /^TimeoutError: /)
  await script.clock.advance('1s')
  assert.match((await patient).answer?.text ?? '', 'late')
  script.dispose()
})

test('what was asked for is kept, in order; a function answers what it likes', async () => {
  const script = await testScript('hooks.js', {
    source: ASKING,
    fetch: async ({ url }) => (url.endsWith('/known') ? 'yes' : null),
  })
  assert.match((await script.access({ args: { url: 'http://a/known' } })).answer?.text ?? '', 'yes')
  assert.is((await script.access({ args: { url: 'http://a/other', method: 'POST' } })).answer?.status, 502)
  assert.equal(
    script.fetches.map(({ method, url, body }) => `${method} ${url} ${body}`),
    ['GET http://a/known ', 'POST http://a/other sent ü'],
  )
  script.dispose()
})

test('sluice.every goes by the clock of the test', async () => {
  const script = await testScript('hooks.js', {
    source: `
      let list = 'none'
      sluice.every('10s', async () => {
        list = await (await fetch('http://config/list')).text()
      })
      export function content() { return { status: 200, body: list } }`,
    fetch: { 'http://config/list': (() => ({ body: `list ${++asked}` })) as () => { body: string } },
  })
  let asked = 0
  const shown = async () => (await script.content()).answer?.text
  assert.is(await shown(), 'none')
  await script.clock.advance('10s')
  assert.is(await shown(), 'list 1')
  await script.clock.advance('20s')
  assert.is(await shown(), 'list 3')
  script.dispose()
})

test.run()
