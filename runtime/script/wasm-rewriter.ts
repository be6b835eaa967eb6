/**
 * Rewrites a WebAssembly binary so that a host can interrupt it: a fuel check at every loop header, a price for every
 * copy and fill of memory, a hook for promise rejections, and a smaller initial memory. Knows the binary format (WebAssembly core specification 2.0, section 5)
 * and nothing of QuickJS.
 *
 *     loop                           loop
 *       ...                =>          global.get $fuel  i32.eqz  if  call $exhausted  end
 *                                      global.get $fuel  i32.const 1  i32.sub  global.set $fuel
 *                                      ...
 *
 *     memory.copy                    call $charge  memory.copy        $charge takes the number of bytes and returns it
 *
 * Everything is appended to its section, so that no index of the original shifts.
 */

export interface RewriteOptions {
  /** Field name of the imported function `() => void` that is called when the fuel is at zero. It refills or throws. */
  readonly exhausted: string
  /** Export name of the fuel counter, a mutable i32 global. */
  readonly fuelExport: string
  /** Field name of the imported function `(i32, i32) => void` that is told of promise rejections. */
  readonly rejected: string
  /** Initial pages of the imported memory. */
  readonly initialPages: number
  /** Nothing is metered: to compare. */
  readonly unmetered?: boolean
}

export interface Rewritten {
  readonly bytes: Uint8Array
  /** Loops that are metered. */
  readonly loops: number
  /** Copies and fills of memory that are. */
  readonly bulk: number
  /**
   * Index in the function table of the added `(i32 ctx, i64 promise, i64 reason, i32 handled, i32 cell) => void`: it
   * stores the promise and the reason at `cell` and calls `rejected(handled, cell)`.
   */
  readonly trackerIndex: number
}

const Section = {
  TYPE: 1,
  IMPORT: 2,
  FUNCTION: 3,
  TABLE: 4,
  GLOBAL: 6,
  EXPORT: 7,
  ELEMENT: 9,
  CODE: 10,
} as const

const MAGIC = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]

/**
 * @throws Error when the binary holds something that this rewriter does not understand, or that would break what it
 * relies on (such as a `memory.grow` outside the host's sight).
 */
export function rewriteModule(bytes: Uint8Array, options: RewriteOptions): Rewritten {
  if (!MAGIC.every((byte, index) => bytes[index] === byte)) throw new Error('not a WebAssembly binary')
  const sections = readSections(bytes)
  const section = (id: number): Uint8Array => {
    const body = sections.find((each) => each.id === id)?.body
    if (body === undefined) throw new Error(`WebAssembly section ${id} is missing`)
    return body
  }
  const imports = rewriteImports(section(Section.IMPORT), options)
  const trackerType = append(section(Section.TYPE), [0x60, 5, I32, I64, I64, I32, I32, 0])
  const types = append(trackerType.body, [0x60, 1, I32, 1, I32])
  const functions = append(section(Section.FUNCTION), leb(trackerType.count))
  const all = append(functions.body, leb(types.count))
  const globals = append(section(Section.GLOBAL), [I32, 1, 0x41, 0, 0x0b])
  const exports = append(section(Section.EXPORT), [...name(options.fuelExport), 3, ...leb(globals.count)])
  const table = growTable(section(Section.TABLE))
  const tracker = imports.functions + functions.count
  const elements = append(section(Section.ELEMENT), [0, 0x41, ...sleb(table.size), 0x0b, 1, ...leb(tracker)])
  const prices = {
    loop: fuelCheck(globals.count, imports.exhausted),
    bulk: Uint8Array.from([0x10, ...leb(tracker + 1)]),
  }
  const added = [trackerBody(imports.rejected), chargeBody(globals.count, imports.exhausted)]
  const code = meter(section(Section.CODE), options.unmetered ? null : prices, added)
  const replaced = new Map<number, Uint8Array>([
    [Section.TYPE, types.body],
    [Section.IMPORT, imports.body],
    [Section.FUNCTION, all.body],
    [Section.TABLE, table.body],
    [Section.GLOBAL, globals.body],
    [Section.EXPORT, exports.body],
    [Section.ELEMENT, elements.body],
    [Section.CODE, code.body],
  ])
  const parts: Uint8Array[] = [Uint8Array.from(MAGIC)]
  for (const { id, body } of sections) {
    const now = replaced.get(id) ?? body
    parts.push(Uint8Array.from([id, ...leb(now.length)]), now)
  }
  return { bytes: concat(parts), loops: code.loops, bulk: code.bulk, trackerIndex: table.size }
}

const I32 = 0x7f
const I64 = 0x7e

function fuelCheck(fuel: number, exhausted: number): Uint8Array {
  const global = leb(fuel)
  return Uint8Array.from([
    ...[0x23, ...global, 0x45, 0x04, 0x40, 0x10, ...leb(exhausted), 0x0b],
    ...[0x23, ...global, 0x41, 1, 0x6b, 0x24, ...global],
  ])
}

/** Bytes that a copy or a fill moves for one unit of fuel, as a power of two: about as long as a loop takes. */
const BYTES_PER_FUEL = 6

/** `(bytes) => bytes`: pays for them, as far as the fuel reaches, and asks for more where it does not. Local 1: the price. */
function chargeBody(fuel: number, exhausted: number): Uint8Array {
  const global = leb(fuel)
  return Uint8Array.from([
    ...[1, 1, I32],
    ...[0x20, 0, 0x41, BYTES_PER_FUEL, 0x76, 0x22, 1, 0x23, ...global, 0x4b, 0x04, 0x40],
    ...[0x41, 0, 0x24, ...global, 0x10, ...leb(exhausted), 0x05],
    ...[0x23, ...global, 0x20, 1, 0x6b, 0x24, ...global, 0x0b],
    ...[0x20, 0, 0x0b],
  ])
}

/** `cell.promise = promise; cell.reason = reason; rejected(handled, cell)`. Locals 0-4 are the parameters. */
function trackerBody(rejected: number): Uint8Array {
  return Uint8Array.from([
    0,
    ...[0x20, 4, 0x20, 1, 0x37, 3, 0],
    ...[0x20, 4, 0x20, 2, 0x37, 3, 8],
    ...[0x20, 3, 0x20, 4, 0x10, ...leb(rejected), 0x0b],
  ])
}

// ---- sections ----

interface RawSection {
  readonly id: number
  readonly body: Uint8Array
}

function readSections(bytes: Uint8Array): RawSection[] {
  const reader = new Reader(bytes, MAGIC.length)
  const sections: RawSection[] = []
  while (!reader.done) {
    const id = reader.byte()
    const size = reader.leb()
    sections.push({ id, body: reader.take(size) })
  }
  return sections
}

/** One more entry at the end of a section that is a vector; `count` is how many there were. */
function append(body: Uint8Array, entry: readonly number[]): { body: Uint8Array; count: number } {
  const reader = new Reader(body, 0)
  const count = reader.leb()
  const rest = body.subarray(reader.position)
  return { body: concat([Uint8Array.from(leb(count + 1)), rest, Uint8Array.from(entry)]), count }
}

interface Imports {
  readonly body: Uint8Array
  readonly functions: number
  readonly exhausted: number
  readonly rejected: number
}

function rewriteImports(body: Uint8Array, options: RewriteOptions): Imports {
  const reader = new Reader(body, 0)
  const indexes = new Map<string, number>()
  let patched: Uint8Array | null = null
  for (let left = reader.leb(); left > 0; left--) {
    reader.name()
    const field = reader.name()
    const kind = reader.byte()
    if (kind === 0) {
      reader.leb()
      indexes.set(field, indexes.size)
    } else if (kind === 2) {
      if (reader.byte() !== 1) throw new Error('the memory has no maximum')
      const start = reader.position
      reader.leb()
      const rest = body.subarray(reader.position)
      patched = concat([body.subarray(0, start), Uint8Array.from(leb(options.initialPages)), rest])
      reader.leb()
    } else throw new Error(`import of kind ${kind}`)
  }
  const exhausted = indexes.get(options.exhausted)
  const rejected = indexes.get(options.rejected)
  if (patched === null || exhausted === undefined || rejected === undefined) {
    throw new Error('the module lacks the imports of its memory or its hooks')
  }
  return { body: patched, functions: indexes.size, exhausted, rejected }
}

/** Room for one more function; only a table that cannot grow by itself is understood. */
function growTable(body: Uint8Array): { body: Uint8Array; size: number } {
  const reader = new Reader(body, 0)
  const isFunctionTable = reader.leb() === 1 && reader.byte() === 0x70
  const hasMaximum = reader.byte() === 1
  const size = reader.leb()
  const isFixed = !hasMaximum || reader.leb() === size
  if (!isFunctionTable || !isFixed || !reader.done) throw new Error('the function table is of another kind')
  const limits = hasMaximum ? [1, ...leb(size + 1), ...leb(size + 1)] : [0, ...leb(size + 1)]
  return { body: Uint8Array.from([1, 0x70, ...limits]), size }
}

// ---- code ----

interface Prices {
  /** What stands behind a loop header. */
  readonly loop: Uint8Array
  /** What stands before a copy or a fill of memory. */
  readonly bulk: Uint8Array
}

/**
 * Meters every loop, but for those of the largest function: that is the bytecode interpreter, which polls by itself and
 * would only become slower; and every copy and fill. `added` are the bodies of more functions.
 */
function meter(
  section: Uint8Array,
  prices: Prices | null,
  added: readonly Uint8Array[],
): { body: Uint8Array; loops: number; bulk: number } {
  const reader = new Reader(section, 0)
  const bodies: Uint8Array[] = []
  for (let left = reader.leb(); left > 0; left--) bodies.push(reader.take(reader.leb()))
  const largest = bodies.reduce((a, b) => (b.length > a.length ? b : a))
  const parts: Uint8Array[] = [Uint8Array.from(leb(bodies.length + added.length))]
  let loops = 0
  let bulk = 0
  for (const body of bodies) {
    const found = prices === null ? [] : findPlaces(body)
    const places = found.filter(({ price }) => price === 'bulk' || body !== largest)
    for (const { price } of places) {
      if (price === 'loop') loops++
      else bulk++
    }
    const metered = prices === null ? body : spliceAll(body, places, prices)
    parts.push(Uint8Array.from(leb(metered.length)), metered)
  }
  for (const body of added) parts.push(Uint8Array.from(leb(body.length)), body)
  return { body: concat(parts), loops, bulk }
}

interface MeteredPlace {
  readonly offset: number
  readonly price: keyof Prices
}

function spliceAll(body: Uint8Array, places: readonly MeteredPlace[], prices: Prices): Uint8Array {
  if (places.length === 0) return body
  const parts: Uint8Array[] = []
  let from = 0
  for (const { offset, price } of places) {
    parts.push(body.subarray(from, offset), prices[price])
    from = offset
  }
  parts.push(body.subarray(from))
  return concat(parts)
}

/** Right behind each `loop blocktype` of a function body, and right before each `memory.copy` and `memory.fill`. */
function findPlaces(body: Uint8Array): MeteredPlace[] {
  const reader = new Reader(body, 0)
  for (let groups = reader.leb(); groups > 0; groups--) {
    reader.leb()
    reader.byte()
  }
  const places: MeteredPlace[] = []
  while (!reader.done) {
    const offset = reader.position
    const opcode = reader.byte()
    if (opcode === 0xfc && isBulk(body[reader.position])) places.push({ offset, price: 'bulk' })
    skipImmediates(reader, opcode)
    if (opcode === 0x03) places.push({ offset: reader.position, price: 'loop' })
  }
  return places
}

/** Section 5.4 of the specification: what follows each opcode. */
function skipImmediates(reader: Reader, opcode: number): void {
  if (
    opcode <= 0x01 ||
    opcode === 0x05 ||
    opcode === 0x0b ||
    opcode === 0x0f ||
    opcode === 0x1a ||
    opcode === 0x1b
  )
    return
  if (opcode >= 0x45 && opcode <= 0xc4) return
  if (opcode >= 0x02 && opcode <= 0x04) reader.leb()
  else if (opcode === 0x0c || opcode === 0x0d || opcode === 0x10) reader.leb()
  else if (opcode >= 0x20 && opcode <= 0x26) reader.leb()
  else if (opcode === 0x0e) for (let left = reader.leb() + 1; left > 0; left--) reader.leb()
  else if (opcode === 0x11 || (opcode >= 0x28 && opcode <= 0x3e)) {
    reader.leb()
    reader.leb()
  } else if (opcode === 0x3f || opcode === 0x41 || opcode === 0x42 || opcode === 0xd2) reader.leb()
  else if (opcode === 0x43) reader.take(4)
  else if (opcode === 0x44) reader.take(8)
  else if (opcode === 0xfc) skipPrefixed(reader, reader.leb())
  else throw new Error(`WebAssembly opcode 0x${opcode.toString(16)} is not expected here`)
}

/** `memory.copy` and `memory.fill`; both take their number of bytes from the top of the stack. */
function isBulk(opcode: number): boolean {
  return opcode === 10 || opcode === 11
}

function skipPrefixed(reader: Reader, opcode: number): void {
  if (opcode <= 7) return
  const count = [8, 10, 12, 14].includes(opcode) ? 2 : 1
  if (opcode > 17) throw new Error(`WebAssembly opcode 0xfc ${opcode} is not expected here`)
  for (let left = count; left > 0; left--) reader.leb()
}

// ---- bytes ----

class Reader {
  position: number
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array, position: number) {
    this.#bytes = bytes
    this.position = position
  }

  get done(): boolean {
    return this.position >= this.#bytes.length
  }

  byte(): number {
    if (this.done) throw new Error('the WebAssembly binary ends early')
    return this.#bytes[this.position++]
  }

  /** LEB128. Values above 32 bits (i64 constants) are skipped rightly, their value is of no use here. */
  leb(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte()
      if (shift < 32) value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
  }

  take(length: number): Uint8Array {
    const end = this.position + length
    if (end > this.#bytes.length) throw new Error('the WebAssembly binary ends early')
    const part = this.#bytes.subarray(this.position, end)
    this.position = end
    return part
  }

  name(): string {
    return String.fromCharCode(...this.take(this.leb()))
  }
}

function leb(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  bytes.push(rest)
  return bytes
}

/** Signed LEB128 of a number that is not negative. */
function sleb(value: number): number[] {
  const bytes = leb(value)
  const last = bytes.length - 1
  if ((bytes[last] & 0x40) === 0) return bytes
  bytes[last] |= 0x80
  return [...bytes, 0]
}

function name(text: string): number[] {
  return [...leb(text.length), ...[...text].map((char) => char.charCodeAt(0))]
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  let size = 0
  for (const part of parts) size += part.length
  const whole = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
