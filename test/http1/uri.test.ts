import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isFault } from '../../runtime/http1/fault.ts'
import {
  escapeUri,
  normalizePath,
  type ParsedTarget,
  parseTarget,
  validateHost,
} from '../../runtime/http1/uri.ts'

function parse(target: string, mergeSlashes = true): ParsedTarget {
  const parsed = parseTarget('GET', target, mergeSlashes)
  assert.not.ok(isFault(parsed), target)
  return parsed as ParsedTarget
}

/** `path?args`, or the status. */
function said(target: string, mergeSlashes = true): string {
  const parsed = parseTarget('GET', target, mergeSlashes)
  if (isFault(parsed)) return String(parsed.status)
  return parsed.path + (parsed.hasArgs ? `?${parsed.args}` : '')
}

const TARGETS: readonly (readonly [target: string, said: string])[] = [
  ['/', '/'],
  ['/a/b.c', '/a/b.c'],
  ['/a?b=c&d', '/a?b=c&d'],
  ['/a?', '/a?'],
  ['/a?b?c', '/a?b?c'],
  ['/a?b/../c', '/a?b/../c'],
  ['/a?%zz', '/a?%zz'],
  ['/a+b', '/a+b'],
  ['/a%20b', '/a b'],
  ['/%7Euser', '/~user'],
  ['/%ce%b4', '/\xce\xb4'],
  ['/\xce\xb4', '/\xce\xb4'],
  ['/%02', '/\x02'],
  ['/a%3Fb?c', '/a?b?c'],
  ['/a%23b#c', '/a#b'],
  ['/a%25b', '/a%b'],
  ['/a%2541', '/a%41'],
  ['/a#b', '/a'],
  ['/a?b#c', '/a?b'],
  ['/a#b?c', '/a'],
  ['/a/.', '/a/'],
  ['/a/./b', '/a/b'],
  ['/a/..', '/'],
  ['/a/../', '/'],
  ['/a/b/../c', '/a/c'],
  ['/foo/bar/.?args', '/foo/bar/?args'],
  ['/foo/bar/.#frag', '/foo/bar/'],
  ['/foo/bar/..?args', '/foo/?args'],
  ['/foo/bar/..#frag', '/foo/'],
  ['/a/%2e/b', '/a/b'],
  ['/a/%2E%2e/b', '/b'],
  ['/a/.%2e/b', '/b'],
  ['/a/.../b', '/a/.../b'],
  ['/a/..b', '/a/..b'],
  ['/a/.b/c', '/a/.b/c'],
  ['/a./b../c', '/a./b../c'],
  ['/a%2fb', '/a/b'],
  ['/a%2f%2fb', '/a/b'],
  ['/a%2f..%2fb', '/b'],
  ['//a///b//', '/a/b/'],
  ['//', '/'],
  ['/..', '400'],
  ['/../a', '400'],
  ['/a/../..', '400'],
  ['/a/../../b', '400'],
  ['/%2e%2e/a', '400'],
  ['/a//../../b', '400'],
  ['/%', '400'],
  ['/%1', '400'],
  ['/%g1', '400'],
  ['/%1g', '400'],
  ['/a%?b', '400'],
  ['/a%2?b', '400'],
  ['/%00', '400'],
  ['/a b', '400'],
  ['/a\x01', '400'],
  ['/a?b\x7f', '400'],
  ['/a?b c', '400'],
  ['/a#b\n', '400'],
  ['/\u0100', '400'],
  ['', '400'],
  ['*', '400'],
  ['a', '400'],
  ['?a', '400'],
  ['http://b', '/'],
  ['http://b/', '/'],
  ['http://b?args', '/?args'],
  ['http://b?args#frag', '/?args'],
  ['http://b:8080', '/'],
  ['http://b:8080?args#frag', '/?args'],
  ['http://b/a/../c?d', '/c?d'],
  ['x+y.z-1://b/', '/'],
  ['1http://b/', '400'],
  ['http:b', '400'],
  ['http//b', '400'],
  ['http://', '400'],
  ['http:///a', '400'],
  ['http://b_c/', '400'],
  ['http://u@b/', '400'],
  ['http://b#c', '400'],
  ['http://b:x/', '400'],
  ['http://b:1:2/', '400'],
  ['http://[::1/', '400'],
  ['http://[::1]x/', '400'],
  ['http://[::1]:5/a', '/a'],
]

for (const [target, expected] of TARGETS) {
  test(`${JSON.stringify(target)} is ${JSON.stringify(expected)}`, () => assert.is(said(target), expected))
}

test('merge_slashes off keeps empty segments', () => {
  assert.is(said('//a///b//', false), '//a///b//')
  assert.is(said('//a///../b', false), '//a//b')
  assert.is(said('//..', false), '/')
  assert.is(said('//../..', false), '400')
  assert.is(parse('//a', false).complex, false)
})

test('what was sent stays at hand', () => {
  const parsed = parse('/a/../b%20c?d=%20#e')
  assert.is(parsed.path, '/b c')
  assert.is(parsed.rawPath, '/a/../b%20c')
  assert.is(parsed.unparsed, '/a/../b%20c?d=%20#e')
  assert.is(parsed.args, 'd=%20')
  assert.ok(parsed.complex)
  assert.not.ok(parsed.unparsedValid)
  assert.ok(parse('/a%20b?c').unparsedValid)
  assert.is(parse('/a.b/c?/../').complex, false)
  assert.is(parse('/a').hasArgs, false)
})

test('absolute form gives scheme, host and port', () => {
  const parsed = parse('HTTP://Www.Example.COM.:0080/a?b')
  assert.equal([parsed.scheme, parsed.host, parsed.port], ['http', 'www.example.com', '80'])
  assert.is(parsed.unparsed, '/a?b')
  assert.ok(parsed.unparsedValid)
  assert.is(parse('http://b').unparsed, '/')
  assert.equal([parse('http://b?c').unparsed, parse('http://b?c').unparsedValid], ['?c', false])
  assert.is(parse('/a').host, null)
})

test("CONNECT is refused, in nginx's ways", () => {
  const status = (target: string) => (parseTarget('CONNECT', target, true) as { status: number }).status
  assert.is(status('example.com:443'), 405)
  assert.is(status('[::1]:443'), 405)
  assert.is(status('example.com'), 400)
  assert.is(status('/'), 400)
  assert.is(status('example.com:'), 400)
  assert.is(status('a..b:1'), 400)
  assert.is(status('a:1/x'), 400)
})

test('paths of the configuration and of scripts are normalized alike', () => {
  assert.is(normalizePath('/a/./b/../c//d', true), '/a/c/d')
  assert.is(normalizePath('/a?b', true), '/a?b')
  assert.is(normalizePath('a', true), null)
  assert.is(normalizePath('', true), null)
  assert.is(normalizePath('/..', true), null)
  assert.is(normalizePath('/%', true), null)
  assert.is(normalizePath('/a\0', true), null)
  assert.is(normalizePath('/\u012f', true), null)
})

test('normalizing twice changes nothing more, when nothing was escaped', () => {
  const pieces = ['a', '.', '..', '', 'b.c', '...']
  for (let n = 0; n < 6 ** 5; n++) {
    const path = `/${[0, 1, 2, 3, 4].map((k) => pieces[Math.floor(n / 6 ** k) % 6]).join('/')}`
    for (const merge of [true, false]) {
      const once = normalizePath(path, merge)
      if (once === null) continue
      assert.is(normalizePath(once, merge), once)
      assert.not.match(once, /\/\.{1,2}(\/|$)/)
      if (merge) assert.not.match(once, /\/\//)
    }
  }
})

test('escaping, by the place that the text goes to', () => {
  const all = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join('')
  const kept = (kind: Parameters<typeof escapeUri>[1]) => escapeUri(all, kind).replace(/%[0-9A-F]{2}/g, '')
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
  const rest = `0123456789:;=@${letters}[]_${letters.toLowerCase()}`
  assert.is(kept('uri'), `!$&'()*+,-./${rest}~`)
  assert.is(kept('args'), `!$'()*,-./${rest.replace(';', '')}~`)
  assert.is(kept('component'), `-.0123456789${letters}_${letters.toLowerCase()}~`)
  assert.is(kept('html'), `!$&()*+,-./${rest.replace('@', '?@')}~`)
  assert.is(kept('refresh'), `!#$%&()*+,-./${rest.replace('@', '?@')}}`)
  assert.is(kept('memcached').length, 256 - 32 - 2)
  assert.is(escapeUri('/a b\xff\x01?', 'uri'), '/a%20b%FF%01%3F')
  assert.is(escapeUri('plain', 'uri'), 'plain')
})

test('an escaped path comes back when it is parsed', () => {
  for (let octet = 1; octet < 256; octet++) {
    const path = `/a${String.fromCharCode(octet)}b`
    assert.is(parse(escapeUri(path, 'uri')).path, path)
  }
})

const HOSTS: readonly (readonly [sent: string, host: string | null, port?: string])[] = [
  ['l', 'l'],
  ['L', 'l'],
  ['www.abcd-ef.g02.xyz', 'www.abcd-ef.g02.xyz'],
  ['abcd-ef.g02.xyz:', 'abcd-ef.g02.xyz', ''],
  ['abcd-ef.g02.xyz:8080', 'abcd-ef.g02.xyz', '8080'],
  ['www.abcd-ef.g02.xyz.', 'www.abcd-ef.g02.xyz'],
  ['abcd-ef.g02.xyz.:88', 'abcd-ef.g02.xyz', '88'],
  ['a_b', 'a_b'],
  ['127.0.0.1:80', '127.0.0.1', '80'],
  ['a:65535', 'a', '65535'],
  ['a:65536', null],
  ['a:123456789012345678901', null],
  ['[abcd::EF98:0:7654:321]', '[abcd::ef98:0:7654:321]'],
  ['[::ffff:12.30.67.89]:4321', '[::ffff:12.30.67.89]', '4321'],
  ["[v1.!$&'()*+,;=-._~aZ:]", "[v1.!$&'()*+,;=-._~az:]"],
  ['', null],
  ['.', null],
  [':80', null],
  ['..a', null],
  ['a..b', null],
  ['a..', null],
  ['a:80:90', null],
  ['a:1.2', null],
  ['a:8x', null],
  ['a/b', null],
  ['a\\b', null],
  ['u@a', null],
  ['a b', null],
  ['a, b', null],
  ['a\x02', null],
  ['a\n', null],
  ['a?b', null],
  ['a#b', null],
  ['\xe4', null],
  ['[::1', null],
  ['[::1].', null],
  ['[::1].:98', null],
  ['[a..b::1]', null],
  ['x[::1]', null],
  ['[::1]x', null],
  ['[a/b]', null],
]

for (const [sent, host, port] of HOSTS) {
  test(`host ${JSON.stringify(sent)} is ${host ?? 'refused'}`, () => {
    const parsed = validateHost(sent)
    if (host === null) assert.is((parsed as { status: number }).status, 400)
    else assert.equal(parsed, { host, port: port ?? '' })
  })
}

test('a long host costs linear time', () => {
  const started = process.cpuUsage()
  validateHost(`${'a-.'.repeat(20000)}!`)
  validateHost(`${'a-'.repeat(30000)}\0`)
  const used = process.cpuUsage(started)
  assert.ok(used.user + used.system < 200_000)
})

test.run()
