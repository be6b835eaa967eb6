// Texts that a script keeps of one request stay what they were, however many others come and go.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import type { Script } from '../../runtime/script/engine.ts'
import { FakeRequest, load } from './fake-request.ts'

const NAMES = Array.from({ length: 16 }, (_, i) => `/item-${i}${'x'.repeat(i)}`)

/** The log line, without what stands before the text, of one request after the other. */
async function lines(script: Script): Promise<string[]> {
  const texts: string[] = []
  for (const [i, uri] of NAMES.entries()) {
    const request = new FakeRequest({ uri, args: `n=${i}` })
    assert.is(await request.run(script, 'access'), Outcome.PASS)
    texts.push(request.logged[0].replace(/^info hooks\.js: /, ''))
  }
  return texts
}

test('in a list, as names and keys of properties, in a Map, joined with others', async () => {
  const script = await load(`
    const list = [], names = {}, map = new Map(), joined = []
    let all = ''
    export function access(r) {
      const uri = r.uri
      list.push(uri)
      names[uri] = uri
      map.set(uri, r.uri)
      joined.push(uri + '!', '<' + uri)
      all += uri
      for (let i = 0; i < 20; i++) r.rawArgs
      r.log(JSON.stringify([list, Object.keys(names), Object.values(names), [...map].flat(), joined, all]))
    }`)
  const seen = await lines(script)
  for (const [i, line] of seen.entries()) {
    const kept = NAMES.slice(0, i + 1)
    const twice = kept.flatMap((name) => [name, name])
    const joined = kept.flatMap((name) => [`${name}!`, `<${name}`])
    assert.equal(JSON.parse(line), [kept, kept, kept, twice, joined, kept.join('')])
  }
  script.dispose()
})

test('as the name of a property that is soon forgotten', async () => {
  const script = await load(`
    let last = ''
    export function access(r) {
      const before = { [last]: 'before' }
      const now = { [r.uri]: 'now' }
      for (let i = 0; i < 20; i++) ({ [r.rawArgs]: r.uri, [r.uri + i]: i })
      const uri = r.uri
      r.log(JSON.stringify([now[uri], before[uri], before[last], uri in now, last in now, Object.keys(now)]))
      last = JSON.parse(JSON.stringify(uri))
    }`)
  for (let round = 0; round < 3; round++) {
    for (const [i, line] of (await lines(script)).entries()) {
      if (round + i > 0) assert.equal(JSON.parse(line), ['now', null, 'before', true, false, [NAMES[i]]])
    }
  }
  script.dispose()
})

test('a text that is read while another is held is another one', async () => {
  const script = await load(`export function access(r) {
    const held = [r.uri, r.rawArgs, r.method, r.uri, r.rawArgs, r.method, r.uri, r.rawArgs, r.method, r.uri]
    r.log(JSON.stringify([...held, r.uri === held[0]]))
  }`)
  for (const [i, line] of (await lines(script)).entries()) {
    const three = [NAMES[i], `n=${i}`, 'GET']
    assert.equal(JSON.parse(line), [...three, ...three, ...three, NAMES[i], true])
  }
  script.dispose()
})

test('texts of equal length at the same place are told apart', async () => {
  const script = await load(`
    let count = 0
    export function access(r) {
      const name = ['x', String(count++).padStart(count % 2 === 0 ? 4 : 7, '0')].join('-')
      r.log(r.headersIn.get(name))
    }`)
  for (let i = 0; i < 90; i++) {
    const name = `x-${String(i).padStart(i % 2 === 0 ? 7 : 4, '0')}`
    const request = new FakeRequest({ headers: [[name, `v${i}`]] })
    await request.run(script, 'access')
    assert.is(request.logged[0], `info hooks.js: v${i}`)
  }
  script.dispose()
})

test('a text that is not ASCII takes no other one with it', async () => {
  const script = await load(`const list = []
    export function access(r) { list.push(r.uri); r.log(JSON.stringify(list)) }`)
  const uris = NAMES.map((name, i) => (i % 3 === 0 ? `${name}\xc3\xa9` : name))
  for (const [i, uri] of uris.entries()) {
    const request = new FakeRequest({ uri })
    await request.run(script, 'access')
    assert.is(request.logged[0], `info hooks.js: ${JSON.stringify(uris.slice(0, i + 1))}`)
  }
  script.dispose()
})

test.run()
