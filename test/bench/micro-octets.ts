/**
 * What it costs to look at the characters of a string, where one kind of string comes by and where all kinds do. Run it
 * alone:
 *
 *   node dist/test/bench/micro-octets.js
 */
import { octetAt } from '../../runtime/lib/octet-at.ts'

const BATCH = 5000
const BATCHES = 200
function bytes(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

const ALPHABET = bytes('abcdefghijklmnopqrstuvwxyz0123456789')
const NAMES: Record<string, number> = {}

/** As they come out of parsing, cutting and joining: V8 keeps each in another way, until it collects its garbage. */
const MAKERS: readonly (() => string)[] = [
  () => 'x-request-tag-3',
  () => bytes('x-request-tag-0'),
  () => ALPHABET.slice(2, 17),
  () => ALPHABET.slice(0, 8) + ALPHABET.slice(10, 17),
  () => {
    const text = bytes('x-request-tag-4')
    NAMES[text] = 1
    return text
  },
]

// The same function twice: a place remembers what it has met.
function methodOfOne(text: string): number {
  let sum = 0
  for (let i = 0; i < text.length; i++) sum += text.charCodeAt(i)
  return sum
}

function methodOfAll(text: string): number {
  let sum = 0
  for (let i = 0; i < text.length; i++) sum += text.charCodeAt(i)
  return sum
}

function octets(text: string): number {
  let sum = 0
  const { length } = text
  for (let i = 0; i < length; i++) sum += octetAt(text, i)
  return sum
}

/** Median of the batches behind the first quarter. @param kinds of strings that come by */
function measure(name: string, kinds: number, work: (text: string) => number): void {
  const times: number[] = []
  let sum = 0
  for (let batch = 0; batch < BATCHES; batch++) {
    const texts = Array.from({ length: BATCH }, (_, i) => MAKERS[i % kinds]())
    const started = performance.now()
    for (let i = 0; i < BATCH; i++) sum += work(texts[i])
    if (batch > BATCHES / 4) times.push(performance.now() - started)
  }
  if (sum === 0) throw new Error(`${name}: did no work`)
  const median = times.sort((a, b) => a - b)[times.length >> 1]
  process.stdout.write(`${name.padEnd(56)} ${((median * 1e6) / BATCH).toFixed(0).padStart(5)} ns\n`)
}

measure('charCodeAt over 15 characters, one kind of string', 1, methodOfOne)
measure('the same, five kinds of strings', MAKERS.length, methodOfAll)
measure('octetAt, one kind of string', 1, octets)
measure('the same, five kinds of strings', MAKERS.length, octets)
