// CRC-32 against zlib's, MurmurHash3 against published values.

import { crc32 as zlibCrc32 } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { crc32, crc32Word } from '../../runtime/lib/crc32.ts'
import { murmur3 } from '../../runtime/lib/murmur3.ts'

test('crc32: the check value, and zlib for every length and byte', () => {
  assert.is(crc32('123456789'), 0xcbf43926)
  assert.is(crc32(''), 0)
  let text = ''
  for (let i = 0; i < 300; i++) {
    assert.is(crc32(text), zlibCrc32(Buffer.from(text, 'latin1')))
    text += String.fromCharCode((i * 7) & 0xff)
  }
})

test('crc32 goes on from a seed', () => {
  assert.is(crc32('6789', crc32('12345')), crc32('123456789'))
  assert.is(crc32Word(0x04030201, crc32('ab')), crc32('ab\x01\x02\x03\x04'))
  assert.is(crc32Word(0xfffefdfc, 0), crc32('\xfc\xfd\xfe\xff'))
})

test('murmur3: x86 32-bit values', () => {
  const cases: [string, number, number][] = [
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['\0\0\0\0', 0, 0x2362f9de],
    ['\0', 0, 0x514e28b7],
    ['\xff\xff\xff\xff', 0, 0x76293b50],
    ['\x21\x43\x65\x87', 0, 0xf55b516b],
    ['\x21\x43\x65\x87', 0x5082edee, 0x2362f9de],
    ['\x21\x43\x65', 0, 0x7e4a8634],
    ['\x21\x43', 0, 0xa0f7b07a],
    ['\x21', 0, 0x72661cf4],
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd],
  ]
  for (const [text, seed, expected] of cases) {
    assert.is(murmur3(text, seed), expected, `${JSON.stringify(text)} ${seed}`)
  }
})

test.run()
