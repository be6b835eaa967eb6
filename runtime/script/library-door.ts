/**
 * The host functions behind `sluice:internal` and the web's globals: what the host does better or faster than guest
 * code could (digests, text encodings, URLs). They act on values alone, not on requests.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { crc32 } from '../lib/crc32.ts'
import { fnv1a } from '../lib/fnv1a.ts'
import { murmur3 } from '../lib/murmur3.ts'
import { argument, bytesAt, type DoorContext, type HostFunctions, MAX_NAME, requestOf } from './door.ts'
import { fromBytes, GuestError, type GuestValues, toBytes } from './guest-values.ts'
import type { Address } from './quickjs-module.ts'
import { signatureDoor } from './signature-door.ts'
import { decodesInPieces, restOf } from './text-rest.ts'

const ALGORITHMS = ['md5', 'sha1', 'sha256', 'sha512']
const ENCODINGS = ['hex', 'base64', 'base64url', 'bytes']
/** Bytes of what is worked on at once: at most about 20 ms of it. */
const MAX_DATA = 4 * 1024 * 1024
const MAX_RANDOM = 65_536
const MAX_TEMPLATES = 4096

export function libraryDoor(door: DoorContext): HostFunctions {
  const { values } = door
  const text = (cell: Address, what = 'the text'): string => values.text(cell, what, MAX_DATA)
  return {
    crc32: (_self, argv) => values.double(crc32(text(argv))),
    fnv1a: (_self, argv) => values.double(fnv1a(text(argv))),
    murmur3(_self, argv) {
      const seed = argument(argv, 1)
      return values.double(murmur3(text(argv), values.isNumber(seed) ? values.number(seed) | 0 : 0))
    },
    now: () => values.double(door.clock.now()),
    randomBytes(_self, argv) {
      const count = values.isNumber(argv) ? values.number(argv) : Number.NaN
      if (!Number.isInteger(count) || count < 0 || count > MAX_RANDOM) {
        throw new GuestError('RangeError', `randomBytes takes a whole number from 0 to ${MAX_RANDOM}`)
      }
      return values.arrayBuffer(randomBytes(count))
    },
    timingSafeEqual: (_self, argv) => values.boolean(sameText(text(argv), text(argument(argv, 1)))),
    template: (_self, argv) => compileTemplate(door, text(argv, 'the template')),
    ...digests(door),
    ...signatureDoor(door),
    ...textCodecs(values),
    ...urls(values),
  }
}

/** A guest function `(r) => string` for a text with nginx variables. */
function compileTemplate(door: DoorContext, source: string): Address {
  let expand: ReturnType<DoorContext['host']['template']>
  try {
    expand = door.host.template(source)
  } catch (error) {
    throw new GuestError('Error', error instanceof Error ? error.message : 'not a template')
  }
  if (door.instance.functionCount > MAX_TEMPLATES) {
    throw new GuestError('RangeError', 'too many templates; compile each once, when the script loads')
  }
  return door.instance.newFunction('template', (_self, argv) =>
    door.values.string(expand(requestOf(door, argv))),
  )
}

/** Takes as long for every pair of texts of the same lengths. */
function sameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text, 'latin1').digest()
  return timingSafeEqual(digest(a), digest(b)) && a === b
}

// ---- digests ----

function digests(door: DoorContext): HostFunctions {
  const { values } = door
  const word = (cell: Address, allowed: readonly string[], what: string): string => {
    const found = values.text(cell, what, MAX_NAME)
    if (!allowed.includes(found)) throw new GuestError('TypeError', `${what} is ${allowed.join(', ')}`)
    return found
  }
  const encoded = (result: Buffer, encoding: string): Address =>
    encoding === 'bytes'
      ? values.arrayBuffer(result)
      : values.string(result.toString(encoding as BufferEncoding))
  return {
    /** `(algorithm, encoding, text)` or `(algorithm, encoding, buffer, offset, length)` */
    digest(_self, argv) {
      const algorithm = word(argv, ALGORITHMS, 'the algorithm')
      const encoding = word(argument(argv, 1), ENCODINGS, 'the encoding')
      const data = bytesAt(door, argv, 2, 'the data', MAX_DATA)
      return encoded(createHash(algorithm).update(data).digest(), encoding)
    },
    /** Key and data each as text or as buffer, offset and length. */
    hmac(_self, argv) {
      const algorithm = word(argv, ALGORITHMS, 'the algorithm')
      const encoding = word(argument(argv, 1), ENCODINGS, 'the encoding')
      const key = bytesAt(door, argv, 2, 'the key', MAX_DATA)
      const data = bytesAt(door, argv, 5, 'the data', MAX_DATA)
      return encoded(createHmac(algorithm, key).update(data).digest(), encoding)
    },
  }
}

// ---- text ----

function textCodecs(values: GuestValues): HostFunctions {
  return {
    utf8Encode: (_self, argv) =>
      values.arrayBuffer(Buffer.from(values.text(argv, 'the text', MAX_DATA), 'latin1')),
    /** `(label, fatal, ignoreBOM, buffer, offset, length)`; the arguments are all given. */
    decodeText(_self, argv) {
      const fatal = values.low(argument(argv, 1)) === 1
      const ignoreBOM = values.low(argument(argv, 2)) === 1
      const data = dataAt(values, argument(argv, 3))
      try {
        const decoder = new TextDecoder(values.text(argv, 'the encoding', MAX_NAME), { fatal, ignoreBOM })
        // Node decodes windows-1252 as latin1 unless it comes in pieces.
        const pieces = decoder.encoding !== 'utf-8'
        return values.string(
          toBytes(decoder.decode(data, { stream: pieces }) + (pieces ? decoder.decode() : '')),
        )
      } catch {
        throw new GuestError('TypeError', 'the data is not valid in that encoding')
      }
    },
    /** `(name, buffer, offset, length)`: how many bytes at the end are to be decoded with what follows. */
    textRest(_self, argv) {
      const encoding = values.text(argv, 'the encoding', MAX_NAME)
      if (!decodesInPieces(encoding))
        throw new GuestError(
          'TypeError',
          `TextDecoder does not decode ${encoding} in pieces; join them first`,
        )
      return values.int(restOf(encoding, dataAt(values, argument(argv, 1))))
    },
    /** The name of an encoding as TextDecoder shows it. */
    encodingName(_self, argv) {
      const label = values.text(argv, 'the encoding', MAX_NAME)
      try {
        return values.string(new TextDecoder(label).encoding)
      } catch {
        throw new GuestError('RangeError', `the encoding ${JSON.stringify(label)} is not supported`)
      }
    },
    atob(_self, argv) {
      const encoded = fromBytes(values.text(argv, 'the text', MAX_DATA))
      let decoded: string
      try {
        decoded = atob(encoded)
      } catch {
        throw new GuestError('Error', 'atob: the text is not base64')
      }
      return values.string(toBytes(decoded))
    },
    btoa(_self, argv) {
      const characters = fromBytes(values.text(argv, 'the text', MAX_DATA))
      if (/[^\x00-\xff]/.test(characters)) {
        throw new GuestError('Error', 'btoa: the text holds characters that are no bytes; encode it first')
      }
      return values.string(Buffer.from(characters, 'latin1').toString('base64'))
    },
  }
}

/** Given as `(buffer, offset, length)`. */
function dataAt(values: GuestValues, cell: Address): Uint8Array {
  const start = values.number(argument(cell, 1))
  return values.buffer(cell, 'the data', MAX_DATA, start, values.number(argument(cell, 2)))
}

// ---- URLs ----

const MAX_URL = 64 * 1024
const URL_PARTS = [
  'href',
  'origin',
  'protocol',
  'username',
  'password',
  'host',
  'hostname',
  'port',
  'pathname',
  'search',
  'hash',
] as const
const SETTABLE = URL_PARTS.filter((part) => part !== 'origin')

function urls(values: GuestValues): HostFunctions {
  const text = (cell: Address): string => fromBytes(values.text(cell, 'the URL', MAX_URL))
  const parts = (url: URL): Address =>
    values.string(toBytes(JSON.stringify(URL_PARTS.map((part) => url[part]))))
  return {
    /** `(url, base or '')`: the parts as JSON. */
    parseUrl(_self, argv) {
      const url = text(argv)
      const base = text(argument(argv, 1))
      try {
        return parts(base === '' ? new URL(url) : new URL(url, base))
      } catch {
        throw new GuestError('TypeError', toBytes(`${JSON.stringify(url.slice(0, 200))} is not a URL`))
      }
    },
    /** `(href, part, value)`: the parts after that change. */
    changeUrl(_self, argv) {
      const url = new URL(text(argv))
      const name = text(argument(argv, 1))
      const part = SETTABLE.find((each) => each === name)
      if (part === undefined) throw new GuestError('TypeError', 'no such part of a URL')
      try {
        url[part as 'href'] = text(argument(argv, 2))
      } catch {
        throw new GuestError('TypeError', 'not a URL')
      }
      return parts(url)
    },
    parseQuery: (_self, argv) => values.string(toBytes(JSON.stringify([...new URLSearchParams(text(argv))]))),
    /** Pairs as JSON: the query. */
    formatQuery: (_self, argv) =>
      values.string(new URLSearchParams(JSON.parse(text(argv)) as [string, string][]).toString()),
  }
}
