/**
 * Addresses of clients and address blocks (`allow`, `deny`, `set_real_ip_from`, `geo … proxy`). An IPv4 address is
 * compared as one number, also when it comes as `::ffff:a.b.c.d`.
 */
import type { Cidr } from '../config/model.ts'
import { mappedIpv4, parseIpv4, parseIpv6 } from '../lib/ip-address.ts'

/** IPv4 as a number, IPv6 as bytes, a unix socket; null: none of these. */
export type Address = number | Uint8Array | 'unix' | null

/** @param text as in `x.remoteAddress`: no port, no brackets */
export function parseAddress(text: string): Address {
  const ipv4 = parseIpv4(text)
  if (ipv4 >= 0) return ipv4
  if (text.startsWith('unix:')) return 'unix'
  const bytes = parseIpv6(text)
  if (bytes === null) return null
  const mapped = mappedIpv4(bytes)
  return mapped >= 0 ? mapped : bytes
}

interface Block4<T> {
  readonly network: number
  readonly mask: number
  readonly value: T
}

interface Block6<T> {
  readonly bytes: readonly number[]
  readonly bits: number
  readonly value: T
}

/** Address blocks in order, each with a value; the first one that holds an address gives its value. */
export class CidrList<T extends {}> {
  readonly #ipv4: Block4<T>[] = []
  readonly #ipv6: Block6<T>[] = []
  /** For unix sockets the first rule decides. */
  #unix: T | undefined = undefined

  constructor(blocks: readonly { readonly cidr: Cidr; readonly value: T }[]) {
    for (const { cidr, value } of blocks) this.#add(cidr, value)
  }

  #add(cidr: Cidr, value: T): void {
    if (cidr.kind !== 'ip') this.#unix ??= value
    if (cidr.kind === 'all') {
      this.#ipv4.push({ network: 0, mask: 0, value })
      this.#ipv6.push({ bytes: [], bits: 0, value })
    } else if (cidr.kind === 'ip' && cidr.bytes.length === 4) {
      const mask = maskOf(cidr.bits)
      this.#ipv4.push({ network: (numberOf(cidr.bytes) & mask) >>> 0, mask, value })
    } else if (cidr.kind === 'ip') {
      this.#ipv6.push({ bytes: cidr.bytes, bits: cidr.bits, value })
    }
  }

  find(address: Address): T | undefined {
    if (typeof address === 'number') {
      for (const block of this.#ipv4) if ((address & block.mask) >>> 0 === block.network) return block.value
      return undefined
    }
    if (address === 'unix') return this.#unix
    if (address !== null) {
      for (const block of this.#ipv6) if (sharesBits(address, block.bytes, block.bits)) return block.value
    }
    return undefined
  }
}

/** The first `bits` bits of an IPv4 address. */
export function maskOf(bits: number): number {
  return bits === 0 ? 0 : (-1 << (32 - bits)) >>> 0
}

/** IPv4 octets as a number. */
export function numberOf(bytes: readonly number[]): number {
  return ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0
}

function sharesBits(a: Uint8Array, b: readonly number[], bits: number): boolean {
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) if (a[i] !== b[i]) return false
  const rest = bits & 7
  return rest === 0 || ((a[whole] ^ b[whole]) & (0xff00 >> rest) & 255) === 0
}
