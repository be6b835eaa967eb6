/**
 * nginx `ip_hash`: clients of one IPv4 /24, or of one IPv6 address, keep to one peer.
 * Also reads address texts into bytes; knows no sockets.
 */
import { isIPv6 } from 'node:net'
import type { Peer } from './peer.ts'
import { pickRoundRobin } from './round-robin.ts'
import { MAX_SKIPS, type Search } from './search.ts'

/** What a client without an IP address (a unix socket) counts as. */
const NO_ADDRESS = [0, 0, 0]

/** `.` counted from `0`. */
const DOT = -2

/** @param address the client's, as text */
export function pickIpHash(search: Search, address: string): Peer | null {
  const { set } = search
  if (set.peers.length < 2) return pickRoundRobin(search)
  if (search.continues('ip_hash', address)) {
    if (search.pending !== null) return search.pending
  } else {
    search.hash = 89
    search.bytes = hashedBytes(address)
  }
  for (; search.skips <= MAX_SKIPS; search.skips++) {
    for (const byte of search.bytes) search.hash = (search.hash * 113 + byte) % 6271
    const peer = set.ownerOf(search.hash % set.totalWeight)
    if (search.eligible(peer)) return search.choose(peer)
  }
  return pickRoundRobin(search)
}

/** Three bytes of an IPv4 address (also of one mapped into IPv6), all sixteen of an IPv6 one. */
export function hashedBytes(address: string): readonly number[] {
  const network = ipv4Network(address)
  if (network !== null) return network
  const plain = address.split('%', 1)[0]!
  if (!isIPv6(plain)) return NO_ADDRESS
  const bytes = ipv6Bytes(plain)
  const mapped = bytes.every((byte, i) => i > 11 || byte === (i < 10 ? 0 : 0xff))
  return mapped ? bytes.slice(12, 15) : bytes
}

/** The first three bytes of a dotted address, null for anything else. Runs for every request: no split, no pattern. */
function ipv4Network(address: string): number[] | null {
  const bytes = [0, 0, 0]
  let dots = 0
  let byte = 0
  for (let i = 0; i < address.length; i++) {
    const digit = address.charCodeAt(i) - 0x30
    if (digit >= 0 && digit <= 9) byte = byte * 10 + digit
    else if (digit !== DOT || dots === 3) return null
    else {
      bytes[dots++] = byte
      byte = 0
    }
  }
  return dots === 3 ? bytes : null
}

/** @param address valid, without a zone */
function ipv6Bytes(address: string): number[] {
  const [left, right] = address.split('::')
  const head = groupBytes(left!)
  if (right === undefined) return head
  const tail = groupBytes(right)
  return [...head, ...new Array<number>(16 - head.length - tail.length).fill(0), ...tail]
}

function groupBytes(groups: string): number[] {
  if (groups === '') return []
  return groups.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = Number.parseInt(group, 16)
    return [value >>> 8, value & 0xff]
  })
}
