import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isFault } from '../../runtime/http1/fault.ts'
import { RequestReader } from '../../runtime/http1/request-reader.ts'
import { bytes, conversation, LIMITS } from './conversation.ts'

/** What an attacker wants served as a request of its own. */
const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n'

/** A body that one reader takes for a chunked end and a hidden request, another for as many bytes. */
const BODY = `0\r\n\r\n${HIDDEN}`

/** A request with these field lines before BODY. */
const withBody = (...lines: readonly string[]) =>
  `POST / HTTP/1.1\r\nHost: a\r\n${lines.join('\r\n')}\r\n\r\n${BODY}`

const LENGTH = `Content-Length: ${BODY.length}`

/** The whole body belongs to the request. */
const WHOLE = [`POST / length "${BODY}"`]

type Case = readonly [what: string, lines: readonly string[], understood: readonly string[]]

const ENCODINGS: readonly Case[] = [
  ['chunked and a length', ['Transfer-Encoding: chunked', LENGTH], ['400']],
  ['a length and chunked', [LENGTH, 'Transfer-Encoding: chunked'], ['400']],
  ['any case', [LENGTH, 'tRANSFER-eNCODING: CHUNKED'], ['400']],
  ['no space before the value', [LENGTH, 'Transfer-Encoding:chunked'], ['400']],
  ['more spaces before the value', [LENGTH, 'Transfer-Encoding:   chunked'], ['400']],
  ['a space behind the value', [LENGTH, 'Transfer-Encoding: chunked '], ['400']],
  ['a lone LF behind the value', ['Transfer-Encoding: chunked\nX: y', LENGTH], ['400']],
  ['a lone LF before the name', ['X: y\nTransfer-Encoding: chunked', LENGTH], ['400']],
  ['twice', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], ['400']],
  ['twice, with different values', ['Transfer-Encoding: x', 'Transfer-Encoding: chunked'], ['400']],
  ['identity', ['Transfer-Encoding: identity', LENGTH], ['501']],
  ['an unknown coding', ['Transfer-Encoding: pigeons'], ['501']],
  ['nothing', ['Transfer-Encoding:', LENGTH], ['501']],
  ['a tab before the value', ['Transfer-Encoding:\tchunked', LENGTH], ['501']],
  ['a tab behind the value', ['Transfer-Encoding: chunked\t', LENGTH], ['501']],
  ['a list that ends in chunked', ['Transfer-Encoding: gzip, chunked'], ['501']],
  ['a list that begins with chunked', ['Transfer-Encoding: chunked, identity'], ['501']],
  ['chunked twice in one value', ['Transfer-Encoding: chunked, chunked'], ['501']],
  ['a comma before', ['Transfer-Encoding: ,chunked', LENGTH], ['501']],
  ['a comma behind', ['Transfer-Encoding: chunked,', LENGTH], ['501']],
  ['a parameter', ['Transfer-Encoding: chunked;q=1', LENGTH], ['501']],
  ['quotes', ['Transfer-Encoding: "chunked"', LENGTH], ['501']],
  ['apostrophes', ["Transfer-Encoding: 'chunked'", LENGTH], ['501']],
  ['a prefix', ['Transfer-Encoding: chunk', LENGTH], ['501']],
  ['the word twice', ['Transfer-Encoding: chunkedchunked', LENGTH], ['501']],
  ['words around', ['Transfer-Encoding: cow chunked bar', LENGTH], ['501']],
  ['octet 0xa0 before the value', ['Transfer-Encoding: \xa0chunked', LENGTH], ['501']],
  ['octet 0x85 behind the value', ['Transfer-Encoding: chunked\x85', LENGTH], ['501']],
  ['octet 0xff for the space', ['Transfer-Encoding:\xffchunked', LENGTH], ['501']],
  ['a letter that only looks right', ['Transfer-Encoding: ch\x96nked', LENGTH], ['501']],
  ['a space before the colon', ['Transfer-Encoding : chunked', LENGTH], ['400']],
  ['a tab before the colon', ['Transfer-Encoding\t: chunked', LENGTH], ['400']],
  ['a space before the name', [' Transfer-Encoding: chunked', LENGTH], ['400']],
  ['folded', ['Transfer-Encoding:', ' chunked', LENGTH], ['400']],
  ['folded with a lone LF', ['Transfer-Encoding:\n chunked', LENGTH], ['400']],
  ['a folded addition', ['Transfer-Encoding: chunked', ' abc', LENGTH], ['400']],
  ['a bare CR behind the value', ['Transfer-Encoding: chunked\r', LENGTH], ['400']],
  ['a bare CR in the name', ['Transfer\r-Encoding: chunked', LENGTH], ['400']],
  ['a bare CR before the name', ['X: y\rTransfer-Encoding: chunked', LENGTH], ['400']],
  ['a vertical tab before the value', ['Transfer-Encoding:\x0bchunked', LENGTH], ['400']],
  ['a NUL behind the value', ['Transfer-Encoding: chunked\0', LENGTH], ['400']],
  ['a space for the dash', ['Transfer Encoding: chunked', LENGTH], ['400']],
  ['an underscore for the dash', ['Transfer_Encoding: chunked', LENGTH], ['400']],
  ['a dot for the dash', ['Transfer.Encoding: chunked', LENGTH], ['400']],
  ['octet 0xa0 behind the name', ['Transfer-Encoding\xa0: chunked', LENGTH], ['400']],
  ['octet 0xad in the name', ['Transfer-\xadEncoding: chunked', LENGTH], ['400']],
  ['a letter replaced in the name', ['Transf\x82r-Encoding: chunked', LENGTH], WHOLE],
  ['another field of that value', ['Content-Encoding: chunked', LENGTH], WHOLE],
  ['the name inside a value', ['X: y Transfer-Encoding: chunked', LENGTH], WHOLE],
]

const LENGTHS: readonly Case[] = [
  ['a plain one', [LENGTH], WHOLE],
  [
    'zero: what follows is a request, as its sender meant',
    ['Content-Length: 5'],
    ['POST / length "0\r\n\r\n"', 'GET /hidden'],
  ],
  ['leading zeros', [`Content-Length: 000${BODY.length}`], WHOLE],
  ['twice the same', [LENGTH, LENGTH], ['400']],
  ['two that differ', [LENGTH, 'Content-Length: 5'], ['400']],
  ['a list', ['Content-Length: 5, 5'], ['400']],
  ['nothing', ['Content-Length:'], ['400']],
  ['only white space', ['Content-Length: \t'], ['400']],
  ['a plus sign', ['Content-Length: +5'], ['400']],
  ['a minus sign', ['Content-Length: -5'], ['400']],
  ['hexadecimal', ['Content-Length: 0x5'], ['400']],
  ['an underscore', ['Content-Length: 1_0'], ['400']],
  ['a decimal point', ['Content-Length: 5.0'], ['400']],
  ['an exponent', ['Content-Length: 1e1'], ['400']],
  ['letters behind', ['Content-Length: 5abc'], ['400']],
  ['a space inside', ['Content-Length: 4 2'], ['400']],
  ['a tab before', ['Content-Length:\t5'], ['400']],
  ['octet 0xa0 before', ['Content-Length: \xa05'], ['400']],
  ['octet 0xb2, a digit to some', ['Content-Length: \xb2'], ['400']],
  ['more than can be counted', ['Content-Length: 9007199254740992'], ['400']],
  ['more than 64 bits', ['Content-Length: 18446744073709551621'], ['400']],
  ['folded', ['Content-Length: 1', ' 0'], ['400']],
  ['a space before the colon', ['Content-Length : 5'], ['400']],
  ['an underscore for the dash', ['Content_Length: 5'], ['400']],
  ['octet 0x85 behind the name', ['Content-Length\x85: 5'], ['400']],
]

for (const [what, lines, understood] of [...ENCODINGS, ...LENGTHS]) {
  test(`${lines.some((line) => /coding/i.test(line)) ? 'encoding' : 'length'}, ${what}`, () => {
    assert.equal(conversation(withBody(...lines)), understood)
  })
}

test('a transfer coding in HTTP/1.0', () => {
  const text = withBody('Transfer-Encoding: chunked').replace('HTTP/1.1', 'HTTP/1.0')
  assert.equal(conversation(text), ['400'])
})

test('no lookalike of a framing field is let through by a lenient configuration', () => {
  const lenient = [
    { ...LIMITS, underscores: true },
    { ...LIMITS, ignoreInvalid: false },
  ]
  for (const limits of lenient) {
    for (const name of [
      'Transfer_Encoding',
      'content_length',
      '_Content-Length',
      'Transfer-Encoding!',
      'Content.Length',
    ]) {
      const reader = new RequestReader(limits)
      reader.push(bytes(withBody(`${name}: chunked`)))
      assert.ok(isFault(reader.next()), name)
    }
  }
})

test('every octet around the name and the value of Transfer-Encoding', () => {
  for (let octet = 0; octet < 256; octet++) {
    const x = String.fromCharCode(octet)
    const places = [
      `${x}Transfer-Encoding: chunked`,
      `Transfer-Encoding${x}: chunked`,
      `Transfer${x}-Encoding: chunked`,
    ]
    const values = [
      `Transfer-Encoding:${x}chunked`,
      `Transfer-Encoding: chunked${x}`,
      `Transfer-Encoding: ch${x}unked`,
    ]
    for (const line of [...places, ...values]) {
      const understood = conversation(withBody(line, LENGTH))
      const first = understood[0]
      if (octet === 0x0a && first === 'POST /') {
        // An LF before the name is the empty line: no body, and what follows is no request.
        assert.equal(understood, ['POST /', '400'])
        continue
      }
      // Refused, or (the octet made it another name) seen as a request of that length. Never chunked, never two.
      const fine = first === '400' || first === '501' || first === WHOLE[0]
      assert.ok(fine && understood.length === 1, `octet ${octet} in ${JSON.stringify(line)}: ${understood}`)
    }
  }
})

test.run()
