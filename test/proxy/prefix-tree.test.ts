// The longest of many prefixes of a text, and host names with their wildcards.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PrefixTree } from '../../runtime/lib/prefix-tree.ts'
import { NameTable } from '../../runtime/proxy/name-table.ts'

test('the longest prefix wins, whatever the order they came in', () => {
  const tree = new PrefixTree<string>()
  for (const prefix of ['/images/', '/', '/img', '/images/small/', '/im']) tree.add(prefix, prefix)
  const longest = (text: string) => tree.longest(text)
  assert.is(longest('/'), '/')
  assert.is(longest('/x'), '/')
  assert.is(longest('/im'), '/im')
  assert.is(longest('/images'), '/im')
  assert.is(longest('/images/'), '/images/')
  assert.is(longest('/images/smal'), '/images/')
  assert.is(longest('/images/small/1'), '/images/small/')
  assert.is(longest(''), null)
  assert.is(longest('x'), null)
})

test('the first value of a prefix stays', () => {
  const tree = new PrefixTree<number>()
  tree.add('/a', 1)
  tree.add('/a', 2)
  assert.is(tree.longest('/a'), 1)
})

// Property: as trying every prefix in turn.
test('finds what a search through all prefixes finds', () => {
  let seed = 3
  const random = (bound: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return Math.floor((seed / 2 ** 32) * bound)
  }
  const text = () => Array.from({ length: random(8) }, () => 'ab/'[random(3)]).join('')
  for (let round = 0; round < 200; round++) {
    const prefixes = Array.from({ length: 1 + random(20) }, text)
    const tree = new PrefixTree<string>()
    for (const prefix of prefixes) tree.add(prefix, prefix)
    for (let i = 0; i < 50; i++) {
      const subject = text()
      const matching = prefixes
        .filter((prefix) => subject.startsWith(prefix))
        .sort((a, b) => b.length - a.length)
      assert.is(tree.longest(subject), matching[0] ?? null, `${JSON.stringify(prefixes)} ${subject}`)
    }
  }
})

test('a host name of thousands of labels costs no more than the wildcards there are', () => {
  const names = new NameTable<number>()
  names.addLeading('.example.com', 1)
  names.addTrailing('www.', 2)
  const hostile = 'a.'.repeat(50_000)
  const started = performance.now()
  for (let i = 0; i < 1000; i++) assert.is(names.find(hostile), undefined)
  assert.ok(performance.now() - started < 500)
  assert.is(names.find(`${hostile}example.com`), 1)
  assert.is(names.find(`www.${hostile}`), 2)
})

test.run()
