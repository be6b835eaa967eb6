/** IP addresses between text and numbers: IPv4 as an unsigned 32-bit number, IPv6 as 16 bytes. Strict, no names. */

/** The address as a number, or -1 if the text is not `a.b.c.d` in decimal. */
export function parseIpv4(text: string): number {
  let value = 0
  let octet = 0
  let digits = 0
  let dots = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x2e) {
      if (digits === 0 || ++dots > 3) return -1
      value = value * 256 + octet
      octet = 0
      digits = 0
      continue
    }
    if (code < 0x30 || code > 0x39 || ++digits > 3) return -1
    octet = octet * 10 + code - 0x30
    if (octet > 255) return -1
  }
  return dots === 3 && digits > 0 ? value * 256 + octet : -1
}

/** The bytes of an IPv6 address without brackets and zone, in any of RFC 4291's forms, or null. */
export function parseIpv6(text: string): Uint8Array | null {
  if (text.length < 2 || text.length > 45) return null
  const gap = text.indexOf('::')
  const before = parseWords(gap < 0 ? text : text.slice(0, gap), gap < 0)
  const after = gap < 0 ? [] : parseWords(text.slice(gap + 2), true)
  if (before === null || after === null) return null
  const missing = 8 - before.length - after.length
  if (gap < 0 ? missing !== 0 : missing < 1) return null
  const bytes = new Uint8Array(16)
  for (const [i, word] of before.entries()) setWord(bytes, i, word)
  for (const [i, word] of after.entries()) setWord(bytes, before.length + missing + i, word)
  return bytes
}

/** Words between colons; the last may be an IPv4 address if the text ends there. */
function parseWords(text: string, atEnd: boolean): number[] | null {
  if (text === '') return []
  const words: number[] = []
  const parts = text.split(':')
  for (let i = 0; i < parts.length; i++) {
    if (/^[0-9a-f]{1,4}$/i.test(parts[i])) {
      words.push(Number.parseInt(parts[i], 16))
      continue
    }
    const ipv4 = atEnd && i === parts.length - 1 ? parseIpv4(parts[i]) : -1
    if (ipv4 < 0) return null
    words.push(Math.floor(ipv4 / 65536), ipv4 % 65536)
  }
  return words.length > 8 ? null : words
}

function setWord(bytes: Uint8Array, index: number, word: number): void {
  bytes[2 * index] = word >> 8
  bytes[2 * index + 1] = word & 255
}

/** The IPv4 address in `::ffff:a.b.c.d`, or -1 for every other address. */
export function mappedIpv4(bytes: Uint8Array): number {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return -1
  if (bytes[10] !== 255 || bytes[11] !== 255) return -1
  return ((bytes[12] << 24) | (bytes[13] << 16) | (bytes[14] << 8) | bytes[15]) >>> 0
}

/** `a.b.c.d` */
export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`
}

/** The shortest form, lower case: RFC 5952. */
export function formatIpv6(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => (bytes[2 * i] << 8) | bytes[2 * i + 1])
  let start = -1
  let length = 1
  for (let i = 0; i < 8; i++) {
    let end = i
    while (end < 8 && words[end] === 0) end++
    if (end - i > length) {
      start = i
      length = end - i
    }
  }
  const hex = (from: number, to?: number): string =>
    words
      .slice(from, to)
      .map((word) => word.toString(16))
      .join(':')
  return start < 0 ? hex(0) : `${hex(0, start)}::${hex(start + length)}`
}
