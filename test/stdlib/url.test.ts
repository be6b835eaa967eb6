// sluice:url in the real engine: texts in, texts out, every byte that is not edited as it was.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate } from './sandbox.ts'

const url = (expression: string) => evaluate(`import * as url from 'sluice:url'`, expression)
/** Calls `name` with literal arguments. */
const call = (name: string, ...args: unknown[]) => url(`url.${name}(...${JSON.stringify(args)})`)

test('parse and format: a URL comes back as it was', async () => {
  assert.equal(await call('parse', 'HTTPS://u:p@Example.com:8443/a%2Fb?x=1&y#top'), {
    scheme: 'https',
    user: 'u:p',
    host: 'example.com',
    port: '8443',
    path: '/a%2Fb',
    query: 'x=1&y',
    fragment: 'top',
  })
  for (const text of ['/a?b', '/', '//h/x', 'http://[::1]:80/', 'mailto:a@b', '?q', 'http://h?x']) {
    assert.is(await url(`url.format(url.parse(${JSON.stringify(text)}))`), text)
  }
  assert.is(await url(`url.format(url.parse('http://h:/'))`), 'http://h/')
})

test('parse: no URL, or one that is read differently by different readers', async () => {
  for (const text of [
    'http://h:port/',
    'http://[::1/',
    'http://a@b@c/',
    'http://good\\@evil/',
    '/a b',
    '/a\nb',
    'http://h:80:90/',
  ]) {
    assert.is(await call('parse', text), null, text)
  }
})

test('query: reading decodes', async () => {
  const query = 'a=1&b=x%20y+z&a=2&flag&%63=3&bad=%zz'
  assert.is(await call('getQuery', query, 'a'), '1')
  assert.is(await call('getQuery', query, 'b'), 'x y z')
  assert.is(await call('getQuery', query, 'flag'), '')
  assert.is(await call('getQuery', query, 'c'), '3')
  assert.is(await call('getQuery', query, 'bad'), '%zz')
  assert.is(
    await url(`url.getQuery('a=1', 'b') === undefined && url.getQuery(undefined, 'b') === undefined`),
    true,
  )
  assert.equal(await call('parseQuery', 'a=1&&b=%26'), [
    ['a', '1'],
    ['b', '&'],
  ])
})

test('query: editing leaves order and bytes of the rest', async () => {
  assert.is(await call('setQuery', 'x=%7e&a=1&y=+&a=2', 'a', 'ü&='), 'x=%7e&a=%C3%BC%26%3D&y=+')
  assert.is(await call('setQuery', '', 'a', 1), 'a=1')
  assert.is(await call('setQuery', 'b', 'a', ''), 'b&a=')
  assert.is(await call('appendQuery', 'a=1', 'a', 2), 'a=1&a=2')
  assert.is(await call('deleteQuery', 'a=1&b=2&%61=3&c', 'a', 'c'), 'b=2')
  assert.is(await call('keepQuery', 'utm=1&id=%37&page=2', 'id', 'page'), 'id=%37&page=2')
  assert.is(await call('sortQuery', 'b=2&a=%31&b=1&a=0'), 'a=%31&a=0&b=2&b=1')
})

test('segments and join', async () => {
  assert.equal(await call('segments', '//a/b%2Fc/'), ['a', 'b%2Fc'])
  for (const [parts, expected] of [
    [['/api', 'users', '7'], '/api/users/7'],
    [['/api/', '/users/'], '/api/users/'],
    [['', 'x'], '/x'],
    [['/'], '/'],
    [['/api', '../../etc', './passwd'], '/api/etc/passwd'],
    [['http://h/v1/', 'a'], 'http://h/v1/a'],
  ] as [string[], string][]) {
    assert.is(await call('join', ...parts), expected)
  }
})

test('match: names one segment, or the rest', async () => {
  assert.equal(await call('match', '/users/:id', '/users/7'), { id: '7' })
  assert.is(await call('match', '/users/:id', '/users/7/x'), null)
  assert.is(await call('match', '/users/:id', '/users/'), null)
  assert.equal(await call('match', '/files/*rest', '/files/a/b.txt'), { rest: 'a/b.txt' })
  assert.equal(await call('match', '/a.b/:x/c+d', '/a.b/1/c+d'), { x: '1' })
  assert.is(await call('match', '/a.b/:x', '/aXb/1'), null)
  assert.equal(await call('match', '/', '/'), {})
})

test('pattern: wrong ones are refused with the place', async () => {
  const message = (text: string) =>
    url(`(() => { try { url.pattern(${JSON.stringify(text)}) } catch (e) { return e.message } })()`)
  assert.is(await message('users'), 'url: a pattern begins with "/"')
  assert.is(await message('/:'), 'url: : in /: needs a name after ":"')
  assert.is(await message('/:a/:a'), 'url: /:a/:a names a twice')
  assert.is(await message('/*all/x'), 'url: *all stands last in /*all/x')
})

test('isLocal: only paths of this site', async () => {
  const texts = [
    '/',
    '/a?b#c',
    '//evil.example',
    '/\\evil.example',
    'https://evil.example',
    'a',
    '',
    '/a\tb',
    '/a\\b',
    '/%0d%0a',
  ]
  const results = await url(`${JSON.stringify(texts)}.map(url.isLocal)`)
  assert.equal(results, [true, true, false, false, false, false, false, false, false, true])
})

test.run()
