// sluice:hash in the real engine: published check values, and nginx's own choice of servers.

import { createHash, createHmac } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { evaluate } from './sandbox.ts'

const hash = (expression: string) => evaluate(`import * as hash from 'sluice:hash'`, expression)
const bytes = (text: string) => `new Uint8Array([${[...Buffer.from(text)]}])`

test('checksums: check values of their definitions, for texts and for bytes', async () => {
  for (const [call, expected] of [
    ['crc32', '123456789', 0xcbf43926],
    ['crc32', '', 0],
    ['murmur3', 'hello', 0x248bfa47],
    ['murmur3', 'hello, world', 0x149bbb7f],
    ['murmur3', '', 0],
    ['fnv1a', 'foobar', 0xbf9cf968],
    ['fnv1a', '', 0x811c9dc5],
  ].map(([name, text, value]) => [
    [`hash.${name}(${JSON.stringify(text)})`, `hash.${name}(${bytes(String(text))})`],
    value,
  ]) as [string[], number][]) {
    assert.equal(await hash(`[${call}]`), [expected, expected], call[0])
  }
})

test('checksums: text and bytes agree beyond ASCII, at every length, with a seed', async () => {
  const all = await hash(
    `['', 'a', 'ab', 'abc', 'abcd', 'abcde', 'grüße', '日本語', 'a\\0b', '🙂'].map((text) => {
      const bytes = new Uint8Array([...unescape(encodeURIComponent(text))].map((c) => c.charCodeAt(0)))
      return [
        hash.crc32(text) === hash.crc32(bytes),
        hash.fnv1a(text) === hash.fnv1a(bytes),
        hash.murmur3(text) === hash.murmur3(bytes),
        hash.murmur3(text, 7) === hash.murmur3(bytes, 7),
        hash.murmur3(text, 0xffffffff) === hash.murmur3(bytes, 0xffffffff),
      ].every(Boolean)
    })`,
  )
  assert.equal(all, Array(10).fill(true))
})

test('digests and hmac: as node:crypto, in every encoding', async () => {
  for (const algorithm of ['md5', 'sha1', 'sha256', 'sha512'] as const) {
    const digest = createHash(algorithm).update('grüße').digest()
    const mac = createHmac(algorithm, 'kéy').update('grüße').digest()
    for (const encoding of ['hex', 'base64', 'base64url'] as const) {
      assert.equal(
        await hash(
          `[hash.${algorithm}('grüße', '${encoding}'), hash.hmac('${algorithm}', 'kéy', 'grüße', '${encoding}')]`,
        ),
        [digest.toString(encoding), mac.toString(encoding)],
      )
    }
    assert.equal(await hash(`[...hash.${algorithm}(${bytes('grüße')}, 'bytes')]`), [...digest])
  }
  assert.is(await hash(`hash.sha256('')`), createHash('sha256').digest('hex'))
})

test('timingSafeEqual: equal texts only', async () => {
  const results = await hash(
    `[['a', 'a'], ['a', 'b'], ['a', 'aa'], ['', ''], ['', 'a']].map(([a, b]) => hash.timingSafeEqual(a, b))`,
  )
  assert.equal(results, [true, false, false, true, false])
})

test('ketama: the ring and the choice of nginx', async () => {
  const keys = ['userId=1', '1001', '1002', '1003', 'alice', '/index.html', 'a=1&userId=42']
  const pick = (servers: string) =>
    hash(
      `((ring) => [ring.size, ...${JSON.stringify(keys)}.map((key) => ring.get(key).at(7))])(hash.ketama(${servers}))`,
    )
  const [a, b, c] = ['10.0.0.1:8080', '10.0.0.2:8080', '10.0.0.3:8080']
  assert.equal(await pick(JSON.stringify([a, b, c])), [480, '3', '2', '1', '2', '1', '1', '1'])
  const weighted = JSON.stringify([{ name: a, weight: 3 }, { name: b, weight: 2 }, c])
  assert.equal(await pick(weighted), [960, '3', '2', '1', '2', '1', '1', '2'])
  const lowest = `Math.min(...hash.ketamaPoints('${c}'))`
  assert.is(await hash(lowest), 0x0109dc03)
})

test('ketama: how a name is split decides its points', async () => {
  const first = (name: string) => hash(`hash.ketamaPoints(${JSON.stringify(name)})[0]`)
  const { crc32 } = await import('../../runtime/lib/crc32.ts')
  const point = (host: string, port: string) => crc32(`${host}\0${port}\0\0\0\0`) >>> 0
  assert.is(await first('10.0.0.1:8080'), point('10.0.0.1', '8080'))
  assert.is(await first('10.0.0.1'), point('10.0.0.1', ''))
  assert.is(await first('[::1]:9000'), point('[::1]', '9000'))
  assert.is(await first('UNIX:/run/app.sock'), point('/run/app.sock', ''))
})

test('wrong arguments: a sentence that says which', async () => {
  const errors = await hash(
    `[() => hash.crc32(1), () => hash.sha256('a', 'hexx'), () => hash.hmac('md6', 'k', 'a'), () => hash.ketama([]),
      () => hash.ketamaPoints('a', 0), () => hash.murmur3('a', 'b')].map((f) => { try { f() } catch (e) { return e.message } })`,
  )
  assert.equal(errors, [
    'crc32 takes a text or a Uint8Array',
    'sha256: the encoding is hex, base64, base64url, bytes; it is "hexx"',
    'hmac: the algorithm is md5, sha1, sha256, sha512; it is "md6"',
    'ketama takes a list of servers',
    'ketamaPoints: the weight of a is a whole number from 1 to 65535',
    'murmur3: the seed is a whole number',
  ])
})

test.run()
