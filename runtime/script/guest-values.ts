/**
 * Reads and writes JavaScript values where QuickJS keeps them: in linear memory, as NaN-boxed 64-bit words (low word:
 * integer or address; high word: tag) and `JSString` structures. Runs no guest code while reading. Everything read
 * back is taken for hostile: typed arrays bound every access, lengths are checked, content is copied.
 *
 * A *cell* is the address of such a word. Strings cross as byte strings: UTF-8 bytes, one per character.
 */
import { octetAt } from '../lib/octet-at.ts'
import type { Address, QuickJs } from './quickjs-module.ts'
import { REMEMBERED, TextMemory } from './text-memory.ts'

export const Tag = {
  ROPE: -6,
  STRING: -7,
  OBJECT: -1,
  INT: 0,
  BOOL: 1,
  NULL: 2,
  UNDEFINED: 3,
  EXCEPTION: 6,
} as const

/** Of the tags that are no numbers, the first and the last; every other high word belongs to a double. */
const FIRST_TAG = -9
const LAST_TAG = 7
/** `JS_FLOAT64_TAG_ADDEND` of quickjs.h. */
const DOUBLE_OFFSET = 0x7ff80000 - FIRST_TAG + 1

/** Offset of the characters in a `JSString`; its length and width stand at 4. */
const STRING_DATA = 16
/** Which word of a `JSString` is not 0 once the string has become an atom, the name of a property. */
const NAME_WORD = 2
/** Offsets of the two values that a `JSStringRope` joins. */
const ROPE_LEFT = 16
const ROPE_RIGHT = 24
/** Offsets in a `JSObject`; the count of strong references is at 0. */
const WEAK_COUNT = 16
const SHAPE = 20
const PROPERTIES = 24

/** Offsets in `JSRuntime`: how many blocks QuickJS has allocated, and what it reckons they take. */
const BLOCKS = 16
const BLOCK_BYTES = 20
/** What QuickJS reckons for a block in this build, whatever its size. */
const BLOCK_OVERHEAD = 8

/** Bytes of strings that are written character by character. */
const IN_PLACE = 1024
/** Of the word with the length: each character takes two bytes. */
const WIDE_BIT = 1 << 31
/** `JS_STRING_LEN_MAX` of quickjs.c. */
const MAX_STRING = 2 ** 30 - 1
/** Cells that are kept for the next values. */
const SPARE_CELLS = 16
/** Strings of {@link REMEMBERED} characters that are used again and again: a power of two. */
const REUSED = 8

/** An error that the script is to see: its message, a byte string, tells nothing of the host. */
export class GuestError extends Error {
  readonly kind: 'TypeError' | 'RangeError' | 'Error'
  /** What the client, who is to blame, is answered unless the script catches it; 0: the script is. */
  readonly status: number

  constructor(kind: 'TypeError' | 'RangeError' | 'Error', message: string, status = 0) {
    super(message)
    this.kind = kind
    this.status = status
  }
}

/** The sandbox cannot go on: its memory is full at a place where the guest cannot be told. */
export class OutOfMemory extends Error {
  constructor() {
    super('the sandbox is out of memory')
  }
}

export class GuestValues {
  words: Int32Array
  bytes: Buffer
  /** Bytes of long values that have crossed, either way; whoever looks at it begins anew. */
  crossed = 0
  readonly #linear: WebAssembly.Memory
  readonly #quickJs: QuickJs
  readonly #context: Address
  readonly #runtime: Address
  readonly #double = new Float64Array(1)
  readonly #halves = new Int32Array(this.#double.buffer)
  readonly #memory = new TextMemory()
  readonly #spare: Address[] = []
  /** Addresses; 0: none there yet. */
  readonly #reused = new Int32Array(REUSED)
  #turn = 0

  constructor(memory: WebAssembly.Memory, quickJs: QuickJs, runtime: Address, context: Address) {
    this.#runtime = runtime
    this.#linear = memory
    this.#quickJs = quickJs
    this.#context = context
    this.words = new Int32Array(memory.buffer)
    this.bytes = Buffer.from(memory.buffer)
  }

  /** Linear memory has grown and the old views are detached. */
  refresh(): void {
    this.words = new Int32Array(this.#linear.buffer)
    this.bytes = Buffer.from(this.#linear.buffer)
  }

  /** @throws OutOfMemory */
  allocate(size: number): Address {
    const address = this.#quickJs.malloc(size)
    if (address === 0) throw new OutOfMemory()
    return address
  }

  /** Blocks that QuickJS believes it has allocated, and the bytes it reckons for them. */
  get accounts(): readonly [blocks: number, bytes: number] {
    return [this.words[(this.#runtime + BLOCKS) >>> 2], this.words[(this.#runtime + BLOCK_BYTES) >>> 2]]
  }

  // ---- reading ----

  tag(cell: Address): number {
    return this.words[(cell >>> 2) + 1]
  }

  /** The low word: an integer's value, an object's or a string's address. */
  low(cell: Address): number {
    return this.words[cell >>> 2]
  }

  isNumber(cell: Address): boolean {
    const tag = this.tag(cell)
    return tag === Tag.INT || tag < FIRST_TAG || tag > LAST_TAG
  }

  /** Of a number. */
  number(cell: Address): number {
    const tag = this.tag(cell)
    if (tag === Tag.INT) return this.low(cell)
    this.#halves[0] = this.low(cell)
    this.#halves[1] = (tag + DOUBLE_OFFSET) | 0
    return this.#double[0]
  }

  isString(cell: Address): boolean {
    const tag = this.tag(cell)
    return tag === Tag.STRING || tag === Tag.ROPE
  }

  /**
   * A string, or a number or boolean as one.
   * @param what begins the message of the error
   * @param limit in bytes
   * @throws GuestError for anything else, and beyond the limit
   */
  text(cell: Address, what: string, limit: number): string {
    const tag = this.tag(cell)
    if (tag === Tag.STRING) return this.#flat(this.low(cell), what, limit)
    if (tag === Tag.ROPE) return this.#rope(cell, what, limit)
    if (this.isNumber(cell)) return String(this.number(cell))
    if (tag === Tag.BOOL) return this.low(cell) === 0 ? 'false' : 'true'
    throw new GuestError('TypeError', `${what} is a string, not ${describeTag(tag)}`)
  }

  #flat(address: number, what: string, limit: number): string {
    const header = this.words[(address >>> 2) + 1]
    const length = header & 0x7fffffff
    if (header < 0) return this.#wide(address, length, what, limit)
    if (length > limit) throw new GuestError('RangeError', `${what} is longer than ${limit} bytes`)
    const start = address + STRING_DATA
    if (length <= REMEMBERED) return this.#short(address, start, length)
    if (start + length > this.bytes.length) throw new OutOfMemory()
    this.crossed += length
    return encode(this.bytes.toString('latin1', start, start + length), what, limit)
  }

  /** Most likely it was read or written before. */
  #short(address: number, start: number, length: number): string {
    const { bytes, words } = this
    const known = this.#memory.recall(words, address, start >>> 2, length)
    if (known !== null) return known
    let text = ''
    for (let i = start; i < start + length; i++) {
      if (bytes[i] > 0x7f)
        return encode(bytes.toString('latin1', start, start + length), '', Number.POSITIVE_INFINITY)
      text += String.fromCharCode(bytes[i])
    }
    this.#memory.remember(words, address, start >>> 2, text)
    return text
  }

  #wide(address: number, length: number, what: string, limit: number): string {
    if (length > limit) throw new GuestError('RangeError', `${what} is longer than ${limit} bytes`)
    const start = address + STRING_DATA
    if (start + 2 * length > this.bytes.length) throw new OutOfMemory()
    this.crossed += 2 * length
    return encode(this.bytes.toString('utf16le', start, start + 2 * length), what, limit)
  }

  /** Long concatenations are trees of strings. */
  #rope(cell: Address, what: string, limit: number): string {
    // The length stands where a flat string has it.
    const length = this.words[(this.low(cell) >>> 2) + 1] & 0x7fffffff
    if (length > limit) throw new GuestError('RangeError', `${what} is longer than ${limit} bytes`)
    this.crossed += length
    const leaves: string[] = []
    const cells = [cell]
    let size = 0
    for (let left = 2 * length + 1; cells.length > 0; left--) {
      const next = cells.pop()!
      const address = this.low(next)
      if (this.tag(next) === Tag.ROPE) cells.push(address + ROPE_RIGHT, address + ROPE_LEFT)
      else {
        const leaf = this.#leaf(next, address)
        size += leaf.length
        leaves.push(leaf)
      }
      if (left === 0 || size > length) throw new OutOfMemory()
    }
    return encode(leaves.join(''), what, limit)
  }

  #leaf(cell: Address, address: number): string {
    const header = this.words[(address >>> 2) + 1]
    const length = header & 0x7fffffff
    const start = address + STRING_DATA
    const end = start + (header < 0 ? 2 * length : length)
    if (this.tag(cell) !== Tag.STRING || end > this.bytes.length) throw new OutOfMemory()
    return this.bytes.toString(header < 0 ? 'utf16le' : 'latin1', start, end)
  }

  /** `count` bytes of an ArrayBuffer (not of a view). @throws GuestError when it is none, or they are more than `limit` */
  buffer(cell: Address, what: string, limit: number, start = 0, count = Number.POSITIVE_INFINITY): Buffer {
    const data = this.#quickJs.getArrayBuffer(this.#context, cell)
    if (data === 0) throw new GuestError('TypeError', `${what} holds no bytes`)
    const size = this.#quickJs.getArrayBufferLength(this.#context, cell) >>> 0
    const first = data + Math.min(start, size)
    const last = Math.min(first + count, data + size)
    try {
      if (last - first > limit) throw new GuestError('RangeError', `${what} is longer than ${limit} bytes`)
      this.crossed += last - first
      return Buffer.from(this.bytes.subarray(first, last))
    } finally {
      this.#quickJs.free(data)
    }
  }

  /** Nobody but one holder knows of this object. */
  isUnshared(object: number): boolean {
    return this.words[object >>> 2] === 1 && this.words[(object + WEAK_COUNT) >>> 2] === 0
  }

  /** The hidden class of an object: equal addresses mean equal property names in equal order. */
  shape(object: number): number {
    return this.words[(object + SHAPE) >>> 2]
  }

  /** Cell of an object's first property. Only sound if a shape that is known says that it is plain data. */
  firstProperty(object: number): Address {
    return this.words[(object + PROPERTIES) >>> 2]
  }

  // ---- writing: each returns a cell that its receiver owns ----

  int(value: number): Address {
    return this.#word(value, Tag.INT)
  }

  boolean(value: boolean): Address {
    return this.#word(value ? 1 : 0, Tag.BOOL)
  }

  null(): Address {
    return this.#word(0, Tag.NULL)
  }

  undefined(): Address {
    return this.#word(0, Tag.UNDEFINED)
  }

  /** Takes back a cell whose value needs no freeing: the next value is put there, without asking the engine for memory. */
  recycle(cell: Address): void {
    if (this.#spare.length < SPARE_CELLS) this.#spare.push(cell)
    else this.#quickJs.free(cell)
  }

  /** Any number; doubles are boxed as `__JS_NewFloat64` does. */
  double(value: number): Address {
    if ((value | 0) === value && !Object.is(value, -0)) return this.#word(value, Tag.INT)
    this.#double[0] = Number.isNaN(value) ? Number.NaN : value
    return this.#word(this.#halves[0], (this.#halves[1] - DOUBLE_OFFSET) | 0)
  }

  /** One more reference to the object at this address, which must be alive. */
  object(address: number): Address {
    this.words[address >>> 2]++
    return this.#word(address, Tag.OBJECT)
  }

  #word(low: number, tag: number): Address {
    const cell = this.#spare.pop() ?? this.allocate(8)
    this.words[cell >>> 2] = low
    this.words[(cell >>> 2) + 1] = tag
    return cell
  }

  /**
   * A byte string. Bytes that are no UTF-8 become U+FFFD. It is written as the `JSString` that QuickJS would make of it,
   * which takes half the time of asking it to (`test/bench/micro-script.ts`), and a NUL does not end it.
   */
  string(text: string): Address {
    const length = text.length
    if (length > IN_PLACE) return this.#longString(text)
    const reused = length <= REMEMBERED ? this.#unheld() : 0
    const address = reused === 0 ? this.allocate(STRING_DATA + length + 1) : reused
    const bytes = this.bytes
    let at = address + STRING_DATA
    for (let i = 0; i < length; i++) {
      const code = octetAt(text, i)
      if (code > 0x7f) {
        if (reused === 0) this.#quickJs.free(address)
        return this.#longString(text)
      }
      bytes[at++] = code
    }
    bytes[at] = 0
    if (reused === 0) this.#beginString(address, length)
    else this.#hand(address, length)
    if (length <= REMEMBERED) this.#memory.remember(this.words, address, (address + STRING_DATA) >>> 2, text)
    return this.#word(address, Tag.STRING)
  }

  /**
   * One of the strings that the host holds itself, once the guest has let go of it: most values are looked at and
   * forgotten, and this one needs neither be allocated nor freed (`test/bench/micro-hooks.ts`). Nothing in the engine
   * changes a string that has two holders, and one that only the host holds is looked at by nobody unless it has become
   * the name of a property. 0: it is the guest's from now on.
   */
  #unheld(): Address {
    const turn = (this.#turn + 1) & (REUSED - 1)
    this.#turn = turn
    const address = this.#reused[turn]
    if (address === 0) {
      const fresh = this.allocate(STRING_DATA + REMEMBERED + 1)
      this.#beginString(fresh, 0)
      this.#reused[turn] = fresh
      return fresh
    }
    const header = address >>> 2
    if (this.words[header] === 1 && this.words[header + NAME_WORD] === 0) return address
    this.#reused[turn] = 0
    this.#quickJs.freeValue(this.#context, this.#word(address, Tag.STRING))
    return 0
  }

  /** The guest becomes the second holder. */
  #hand(address: Address, length: number): void {
    const header = address >>> 2
    this.words[header] = 2
    this.words[header + 1] = length
  }

  /** Writes the head of a fresh `JSString`, and has QuickJS account for it. */
  #beginString(address: Address, length: number): void {
    const { words } = this
    const header = address >>> 2
    words[header] = 1
    words[header + 1] = length
    words[header + 2] = 0
    words[header + 3] = 0
    words[(this.#runtime + BLOCKS) >>> 2]++
    words[(this.#runtime + BLOCK_BYTES) >>> 2] += BLOCK_OVERHEAD
  }

  #longString(text: string): Address {
    this.crossed += text.length
    const decoded = fromBytes(text)
    const { length } = decoded
    if (length > MAX_STRING) throw new OutOfMemory()
    const isWide = WIDE.test(decoded)
    const address = this.allocate(STRING_DATA + (isWide ? 2 * length : length + 1))
    const start = address + STRING_DATA
    if (isWide) this.bytes.write(decoded, start, 'utf16le')
    else {
      this.bytes.write(decoded, start, 'latin1')
      this.bytes[start + length] = 0
    }
    this.#beginString(address, isWide ? length | WIDE_BIT : length)
    return this.#word(address, Tag.STRING)
  }

  /** An ArrayBuffer with a copy of these bytes. @throws OutOfMemory */
  arrayBuffer(data: Uint8Array): Address {
    this.crossed += data.length
    const copy = this.allocate(Math.max(1, data.length))
    this.bytes.set(data, copy)
    const cell = this.#quickJs.newArrayBuffer(this.#context, copy, data.length)
    if (cell === 0 || this.tag(cell) === Tag.EXCEPTION) throw new OutOfMemory()
    return cell
  }

  /** A zero-terminated C string, to be freed by whoever takes it. */
  cString(text: string): Address {
    const utf8 = Buffer.from(text, 'utf8')
    const data = this.allocate(utf8.length + 1)
    this.bytes.set(utf8, data)
    this.bytes[data + utf8.length] = 0
    return data
  }

  /** @throws OutOfMemory when it does not end within `limit` bytes. */
  readCString(address: Address, limit: number): string {
    const end = this.bytes.indexOf(0, address)
    if (end < 0 || end - address > limit) throw new OutOfMemory()
    return this.bytes.toString('utf8', address, end)
  }
}

const WIDE = /[^\x00-\xff]/
const NOT_ASCII = /[^\x00-\x7f]/

/** UTF-16 text as a byte string of its UTF-8. */
export function toBytes(text: string): string {
  return NOT_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text
}

/** A byte string decoded as UTF-8. */
export function fromBytes(text: string): string {
  return NOT_ASCII.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text
}

function encode(text: string, what: string, limit: number): string {
  const encoded = toBytes(text)
  if (encoded.length > limit) throw new GuestError('RangeError', `${what} is longer than ${limit} bytes`)
  return encoded
}

function describeTag(tag: number): string {
  if (tag === Tag.UNDEFINED) return 'undefined'
  if (tag === Tag.NULL) return 'null'
  return tag === Tag.OBJECT ? 'an object' : 'a value of another kind'
}
