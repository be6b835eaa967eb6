// sluice:hash: checksums for spreading keys, nginx's ketama ring, digests and HMAC. Texts are hashed as UTF-8.
// The work on texts is done by host builtins; only checksums of bytes, which no request needs, are computed here.

import * as host from 'sluice:internal'

const ENCODINGS = ['hex', 'base64', 'base64url', 'bytes']
const ALGORITHMS = ['md5', 'sha1', 'sha256', 'sha512']
const POINTS_PER_WEIGHT = 160

/** CRC-32 as zlib and nginx's `hash` compute it. */
export function crc32(data) {
  return typeof data === 'string' ? host.crc32(data) >>> 0 : crcOf(bytes('crc32', data), 0)
}

/** MurmurHash3, x86, 32 bits. */
export function murmur3(data, seed = 0) {
  if (!Number.isInteger(seed)) throw new TypeError('murmur3: the seed is a whole number')
  if (typeof data === 'string') return host.murmur3(data, seed | 0) >>> 0
  return murmurOf(bytes('murmur3', data), seed)
}

/** FNV-1a, 32 bits. */
export function fnv1a(data) {
  if (typeof data === 'string') return host.fnv1a(data) >>> 0
  let hash = 0x811c9dc5
  for (const byte of bytes('fnv1a', data)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

export function md5(data, encoding = 'hex') {
  return digest('md5', data, encoding)
}

export function sha1(data, encoding = 'hex') {
  return digest('sha1', data, encoding)
}

export function sha256(data, encoding = 'hex') {
  return digest('sha256', data, encoding)
}

export function sha512(data, encoding = 'hex') {
  return digest('sha512', data, encoding)
}

/** RFC 2104 with md5, sha1, sha256 or sha512. */
export function hmac(algorithm, key, data, encoding = 'hex') {
  if (!ALGORITHMS.includes(algorithm)) {
    throw new TypeError(`hmac: the algorithm is ${ALGORITHMS.join(', ')}; it is ${JSON.stringify(algorithm)}`)
  }
  return host.hmac(algorithm, input('hmac', key), input('hmac', data), known('hmac', encoding))
}

/** Compares two texts in a time that does not tell where they differ. */
export function timingSafeEqual(a, b) {
  if (typeof a !== 'string' || typeof b !== 'string')
    throw new TypeError('timingSafeEqual compares two texts')
  return host.timingSafeEqual(a, b)
}

/**
 * The points of one server on the ring of nginx's `hash … consistent`: its configured name, split into host and
 * port, and the point before, hashed again and again.
 */
export function ketamaPoints(name, weight = 1) {
  if (typeof name !== 'string' || name === '') throw new TypeError('ketamaPoints: the name is a text')
  if (!Number.isInteger(weight) || weight < 1 || weight > 65535) {
    throw new RangeError(`ketamaPoints: the weight of ${name} is a whole number from 1 to 65535`)
  }
  const prefix = crc32(hostAndPort(name))
  const points = new Uint32Array(POINTS_PER_WEIGHT * weight)
  const previous = new Uint8Array(4)
  const view = new DataView(previous.buffer)
  for (let i = 0; i < points.length; i++) {
    points[i] = crcOf(previous, prefix)
    view.setUint32(0, points[i], true)
  }
  return points
}

/**
 * A ring as nginx's `hash … consistent` builds it; make it once, when the script loads.
 * @param servers names, or `{ name, weight }`, in the order of the configuration
 */
export function ketama(servers) {
  if (!Array.isArray(servers) || servers.length === 0) throw new TypeError('ketama takes a list of servers')
  const ring = []
  servers.forEach((server, order) => {
    const { name, weight = 1 } = typeof server === 'string' ? { name: server } : server
    for (const point of ketamaPoints(name, weight)) ring.push({ point, order, name })
  })
  ring.sort((a, b) => a.point - b.point || a.order - b.order)
  // Of equal points the first server's stays, as in nginx.
  const kept = ring.filter((entry, i) => i === 0 || entry.point !== ring[i - 1].point)
  return Object.freeze({
    size: kept.length,
    get: (key) => kept[firstAtOrAfter(kept, crc32(key)) % kept.length].name,
  })
}

function firstAtOrAfter(ring, hash) {
  let low = 0
  let high = ring.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ring[middle].point < hash) low = middle + 1
    else high = middle
  }
  return low
}

/** nginx splits at the last colon before digits; `unix:` goes, and has no port. */
function hostAndPort(name) {
  if (/^unix:/i.test(name)) return `${name.slice(5)}\0`
  const [, host, port] = /^(.*):(\d*)$/s.exec(name) ?? ['', name, '']
  return `${host}\0${port}`
}

function digest(algorithm, data, encoding = 'hex') {
  return host.digest(algorithm, input(algorithm, data), known(algorithm, encoding))
}

function input(name, data) {
  return typeof data === 'string' ? data : bytes(name, data)
}

function bytes(name, data) {
  if (data instanceof Uint8Array) return data
  throw new TypeError(`${name} takes a text or a Uint8Array`)
}

function known(name, encoding) {
  if (ENCODINGS.includes(encoding)) return encoding
  throw new TypeError(`${name}: the encoding is ${ENCODINGS.join(', ')}; it is ${JSON.stringify(encoding)}`)
}

let table = null

function crcTable() {
  if (table !== null) return table
  table = new Int32Array(256)
  for (let i = 0; i < 256; i++) {
    let c = i
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
    table[i] = c
  }
  return table
}

/** CRC-32 of `data`, going on from `crc`, the checksum of what stands before it. */
function crcOf(data, crc) {
  const lookup = crcTable()
  let c = ~crc
  for (let i = 0; i < data.length; i++) c = lookup[(c ^ data[i]) & 255] ^ (c >>> 8)
  return ~c >>> 0
}

function murmurOf(data, seed) {
  const blocks = data.length & ~3
  let h = seed | 0
  for (let i = 0; i < blocks; i += 4) {
    h ^= scramble(data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24))
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let i = data.length - 1; i >= blocks; i--) tail = (tail << 8) | data[i]
  if (blocks < data.length) h ^= scramble(tail)
  h ^= data.length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

function scramble(k) {
  const mixed = Math.imul(k, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}
