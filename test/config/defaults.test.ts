// Inheritance: what an inner block takes over from the one around it.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DEFAULTS, inherit } from '../../runtime/config/defaults.ts'
import { httpOf, plain } from './parsed.ts'

/** Settings of http, server and location joined as a request would see them. */
function effective(http: string, server: string, location: string) {
  const model = httpOf(`${http} server { listen 80; ${server} location / { ${location} } }`)
  const { settings, locations } = model.servers[0]!
  return plain(inherit(inherit(model.settings, settings), locations[0]!.settings)) as Record<string, unknown>
}

test('a value is that of the innermost block that gives it', () => {
  const { etag, sendTimeout, clientBodyTimeout } = effective(
    'etag off; send_timeout 1s;',
    'send_timeout 2s;',
    'etag on;',
  )
  assert.equal([etag, sendTimeout, clientBodyTimeout], [true, 2000, undefined])
})

test('a list is inherited only where the inner block has none', () => {
  const headers = (location: string) =>
    (
      effective('proxy_set_header A a;', 'proxy_set_header B b; proxy_set_header C c;', location)
        .proxySetHeaders as { name: string }[]
    ).map(({ name }) => name)
  assert.equal(headers(''), ['B', 'C'])
  assert.equal(headers('proxy_set_header D d;'), ['D'])
})

test('types are replaced as a whole', () => {
  assert.equal(effective('types { a a; }', '', 'types { b b; }').types, { b: 'b' })
})

test('try_files is not inherited', () => {
  assert.is(effective('', 'try_files a =404;', '').tryFiles, undefined)
  assert.ok(effective('', '', 'try_files a =404;').tryFiles)
})

test('add_header_inherit joins the lists, or cuts them', () => {
  const names = (how: string, own: string) =>
    (effective(`add_header_inherit ${how}; add_header A a;`, '', own).addHeaders as { name: string }[]).map(
      ({ name }) => name,
    )
  assert.equal(names('on', 'add_header B b;'), ['B'])
  assert.equal(names('on', ''), ['A'])
  assert.equal(names('merge', 'add_header B b;'), ['B', 'A'])
  assert.equal(names('merge', ''), ['A'])
  assert.equal(names('off', 'add_header B b;'), ['B'])
  assert.equal(names('off', ''), [])
})

test('add_trailer_inherit does the same for trailers', () => {
  const joined = effective('add_trailer_inherit merge; add_trailer A a;', '', 'add_trailer B b;')
  assert.equal(
    (joined.addTrailers as { name: string }[]).map(({ name }) => name),
    ['B', 'A'],
  )
})

test('limits of scripts are inherited word by word', () => {
  const { scriptLimits } = effective('script_limits cpu=10ms wall=1s;', '', 'script_limits cpu=20ms;')
  assert.equal(scriptLimits, { cpu: 20, wall: 1000 })
})

test('a value that is undefined does not hide the outer one', () => {
  assert.is(inherit({ etag: true }, { etag: undefined }).etag, true)
})

test('the defaults are those of nginx', () => {
  const { clientMaxBodySize, keepaliveTimeout, proxyConnectTimeout, proxyHttpVersion, types } = DEFAULTS
  assert.equal(
    [clientMaxBodySize, keepaliveTimeout, proxyConnectTimeout, proxyHttpVersion],
    [1048576, 75_000, 60_000, '1.1'],
  )
  assert.equal(types, { html: 'text/html', gif: 'image/gif', jpg: 'image/jpeg' })
})

test.run()
