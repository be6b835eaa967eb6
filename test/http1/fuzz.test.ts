import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ChunkedDecoder } from '../../runtime/http1/chunked.ts'
import { isFault } from '../../runtime/http1/fault.ts'
import { responseFraming } from '../../runtime/http1/framing.ts'
import { type ResponseHead, ResponseReader } from '../../runtime/http1/response-reader.ts'
import { escapeUri, normalizePath, parseTarget, validateHost } from '../../runtime/http1/uri.ts'
import { bytes, conversation, LIMITS } from './conversation.ts'

/** Numbers that are the same in every run: a failure can be seen again. */
function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const PIECES = [
  'GET / HTTP/1.1\r\n',
  'POST /a?b HTTP/1.1\r\n',
  'Host: a\r\n',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'X: y\r\n',
  '\r\n',
  '\n',
  '\r',
  ' ',
  '\t',
  ':',
  '\0',
  '5\r\nhello\r\n',
  '0\r\n\r\n',
  'a;b=c\r\n',
  'ffffffffffffffff\r\n',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.0 304\r\n',
  '%2e%2e/',
  '\xff',
  'http://',
]

/** Text made of such pieces and of random octets. */
function text(random: (below: number) => number): string {
  let made = ''
  for (let n = random(30); n >= 0; n--) {
    made += random(8) === 0 ? String.fromCharCode(random(256)) : PIECES[random(PIECES.length)]
  }
  return made
}

/** The text in random pieces. */
function pieces(all: string, random: (below: number) => number): Buffer[] {
  const parts: Buffer[] = []
  for (let at = 0; at < all.length; ) {
    const size = 1 + random(12)
    parts.push(bytes(all.slice(at, at + size)))
    at += size
  }
  return parts
}

test('requests: whatever arrives, and in whatever pieces, is understood in one way', () => {
  const random = generator(1)
  let served = 0
  for (let round = 0; round < 8000; round++) {
    const all = (random(2) === 0 ? 'POST / HTTP/1.1\r\nHost: a\r\n' : '') + text(random)
    const limits = round % 3 === 0 ? { ...LIMITS, ignoreInvalid: false } : LIMITS
    const whole = conversation(all, limits)
    assert.equal(conversation(pieces(all, random), limits), whole, JSON.stringify(all))
    if (whole[0]?.startsWith('POST /')) served++
  }
  // The pieces are not all nonsense: a good part of them is served.
  assert.ok(served > 300, String(served))
})

test('requests: small limits do not change what is understood by how it is cut', () => {
  const random = generator(2)
  const limits = { ...LIMITS, headerBuffer: 24, largeCount: 1, largeSize: 40, maxFields: 3 }
  for (let round = 0; round < 8000; round++) {
    const all = text(random)
    // A line that is both malformed and too long may be called either, whichever shows first.
    const said = (chunks: readonly Buffer[]) =>
      conversation(chunks, limits).map((word) => word.replace(/^4\d\d$/, 'refused'))
    assert.equal(said(pieces(all, random)), said([bytes(all)]), JSON.stringify(all))
  }
})

test('responses: the same', () => {
  const random = generator(3)
  const read = (chunks: readonly Buffer[]): string[] => {
    const reader = new ResponseReader(64)
    const said: string[] = []
    for (const chunk of chunks) {
      reader.push(chunk)
      for (let head = reader.next(); head !== null; head = reader.next()) {
        if (isFault(head)) return [...said, 'refused']
        const { version, status, reason, fields } = head as ResponseHead
        const framing = responseFraming('GET', head as ResponseHead)
        said.push(`${version} ${status} ${reason} ${fields.count} ${framing.kind}`)
      }
    }
    return said
  }
  for (let round = 0; round < 8000; round++) {
    const all = `HTTP/1.1 200 OK\r\n${text(random)}`
    assert.equal(read(pieces(all, random)), read([bytes(all)]), JSON.stringify(all))
  }
})

test('chunked bodies: what is passed on framed decodes to the same data', () => {
  const random = generator(4)
  for (let round = 0; round < 8000; round++) {
    const all =
      text(random).replaceAll('GET / HTTP/1.1\r\n', '3\r\nabc\r\n') + (random(2) === 0 ? '0\r\n\r\n' : '')
    const run = (mode: 'data' | 'framed', chunks: readonly Buffer[]) => {
      const decoder = new ChunkedDecoder(mode)
      let out = ''
      for (const chunk of chunks) {
        if (decoder.push(chunk) !== null) return null
        for (let i = 0; i < decoder.rangeCount; i++) {
          out += chunk.toString('latin1', decoder.ranges[2 * i], decoder.ranges[2 * i + 1])
        }
      }
      return { out, done: decoder.done, dataBytes: decoder.dataBytes }
    }
    const data = run('data', [bytes(all)])
    const framed = run('framed', pieces(all, random))
    assert.is(framed === null, data === null, JSON.stringify(all))
    if (framed === null || data === null || !framed.done) continue
    const again = run('data', [bytes(`${framed.out}0\r\n\r\n`)])
    assert.equal(again, data, JSON.stringify(all))
  }
})

test('targets, hosts and paths never throw', () => {
  const random = generator(5)
  for (let round = 0; round < 20000; round++) {
    const made = text(random).slice(0, 40)
    const target = parseTarget(
      random(4) === 0 ? 'CONNECT' : 'GET',
      random(2) === 0 ? `/${made}` : made,
      random(2) === 0,
    )
    if (!isFault(target)) assert.match(target.path, /^\//)
    validateHost(made)
    const path = normalizePath(`/${made}`, true)
    if (path !== null) assert.is(normalizePath(escapeUri(path, 'uri'), true), path, JSON.stringify(made))
  }
})

test.run()
