import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { looksLikeFraming } from '../../runtime/http1/field-names.ts'
import { Field, FieldBlock, fieldId } from '../../runtime/http1/fields.ts'
import { type RequestHead, RequestReader } from '../../runtime/http1/request-reader.ts'
import { bytes, LIMITS } from './conversation.ts'

/** The same fields as read from the wire and as made from pairs. */
function blocks(): FieldBlock[] {
  const reader = new RequestReader({ ...LIMITS, underscores: true })
  reader.push(
    bytes(
      'GET / HTTP/1.1\r\nHost: a\r\nX-Foo: 1\r\ncookie: a=1\r\nx_foo:2\r\nCookie:\tb=2 \r\nX-FOO:\r\n\r\n',
    ),
  )
  const pairs = [
    ['Host', 'a'],
    ['X-Foo', '1'],
    ['cookie', 'a=1'],
    ['x_foo', '2'],
    ['Cookie', ' b=2\t'],
    ['X-FOO', ''],
  ] as const
  return [(reader.next() as RequestHead).fields, FieldBlock.from(pairs)]
}

test('known names have a number in any case', () => {
  for (const [key, id] of Object.entries(Field)) {
    if (id === Field.OTHER) continue
    const name = key.toLowerCase().replaceAll('_', '-')
    assert.is(fieldId(name), id, name)
    assert.is(fieldId(name.toUpperCase()), id, name)
    assert.is(fieldId(`${name}x`), Field.OTHER, name)
    assert.is(fieldId(name.slice(1)) === id, false, name)
    const block = FieldBlock.from([[name.toUpperCase(), '']])
    assert.is(block.id(0), id)
    assert.is(block.find(id), 0)
  }
})

test('other names have none', () => {
  for (const name of [
    '',
    '-',
    'x',
    'hosts',
    'hast',
    'content_length',
    'content\rlength',
    'h\u00d6st',
    'transfer\u012dencoding',
  ]) {
    assert.is(fieldId(name), Field.OTHER, JSON.stringify(name))
  }
})

test('every name on the wire that is one octet off is another name', () => {
  for (const name of ['Host', 'Content-Length', 'Transfer-Encoding', 'TE']) {
    for (let i = 0; i < name.length; i++) {
      for (const octet of 'ABCXYZabcxyz0189-') {
        const changed = name.slice(0, i) + octet + name.slice(i + 1)
        const reader = new RequestReader(LIMITS)
        reader.push(bytes(`GET / HTTP/1.0\r\n${changed}: 1\r\n\r\n`))
        assert.is((reader.next() as RequestHead).fields.id(0), fieldId(changed), changed)
      }
    }
  }
})

test('names and values by index', () => {
  for (const block of blocks()) {
    assert.is(block.count, 6)
    assert.is(block.name(4), 'Cookie')
    assert.is(block.value(4), 'b=2')
    assert.is(block.value(5), '')
    assert.is(block.id(2), Field.COOKIE)
    assert.is(block.id(1), Field.OTHER)
    assert.ok(block.nameEquals(5, 'x-foo'))
    assert.not.ok(block.nameEquals(5, 'x-fo'))
    assert.not.ok(block.nameEquals(3, 'x-foo'))
    assert.is(block.line(3), 'x_foo: 2\r\n')
    assert.is(block.line(4), 'Cookie: b=2\r\n')
  }
})

test('finding', () => {
  for (const block of blocks()) {
    assert.is(block.find(Field.COOKIE), 2)
    assert.is(block.find(Field.COOKIE, 3), 4)
    assert.is(block.find(Field.COOKIE, 5), -1)
    assert.is(block.find(Field.DATE), -1)
    assert.ok(block.has(Field.HOST))
    assert.not.ok(block.has(Field.ETAG))
    assert.is(block.findName('x-foo'), 1)
    assert.is(block.findName('x-foo', 2), 5)
    assert.is(block.findName('cookie', 3), 4)
    assert.is(block.findName('nothing'), -1)
  }
})

test('values of one name are joined in order', () => {
  for (const block of blocks()) {
    assert.is(block.joined('host'), 'a')
    assert.is(block.joined('x-foo'), '1, ')
    assert.is(block.joined('cookie'), 'a=1; b=2')
    assert.is(block.joined('nothing'), undefined)
    assert.is(block.joinedUnderscored('x_foo'), '1, 2, ')
    assert.is(block.joinedUnderscored('cookie'), 'a=1; b=2')
    assert.is(block.joinedUnderscored('x-foo'), undefined)
    assert.is(block.joinedUnderscored('date'), undefined)
  }
})

test('canonical fields are slices of the text as they stand', () => {
  const [read, made] = blocks()
  assert.equal(
    [0, 1, 2, 3, 4, 5].map((i) => read.isCanonical(i)),
    [true, true, true, false, false, false],
  )
  assert.equal(
    [0, 1, 2, 3, 4, 5].map((i) => made.isCanonical(i)),
    [true, true, true, true, true, true],
  )
  assert.ok(read.text.includes(read.line(1)))
})

test('a block is never made of what would be another field on the wire', () => {
  for (const name of ['', 'a b', 'a:', 'a\r\nb', '\xe4', 'a\0']) {
    assert.throws(() => FieldBlock.from([[name, '']]), /is not a header name/, JSON.stringify(name))
  }
  for (const value of ['a\r\nX: y', 'a\n', '\0', 'a\x7f', '\u0100']) {
    assert.throws(() => FieldBlock.from([['X', value]]), /bad character/, JSON.stringify(value))
  }
  assert.is(FieldBlock.from([]).count, 0)
})

test('lookalikes of framing fields', () => {
  for (const name of ['Transfer_Encoding', 'content.length', '\xa0Content-Length', '_Transfer-Encoding!']) {
    assert.ok(looksLikeFraming(name), name)
  }
  for (const name of ['Transfer-Encoding', 'CONTENT-LENGTH', 'X_Transfer_Encoding', 'Content_Type']) {
    assert.not.ok(looksLikeFraming(name), name)
  }
})

test.run()
