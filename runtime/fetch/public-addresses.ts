/**
 * Which addresses belong to the public internet: all that IANA's special-purpose registries do not keep for loopback,
 * links, private networks, documentation and the like. Knows nothing of scripts and configurations.
 */
import { BlockList, isIPv4 } from 'node:net'
import { formatIpv4, mappedIpv4, parseIpv6 } from '../lib/ip-address.ts'

/** RFC 6890 and the registry since then. */
const SPECIAL_IPV4: readonly (readonly [network: string, bits: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
]

/** Within 2000::/3, the only part of IPv6 that is public: Teredo and its neighbours, documentation, 6to4. */
const SPECIAL_IPV6: readonly (readonly [network: string, bits: number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]

const special = new BlockList()
for (const [network, bits] of SPECIAL_IPV4) special.addSubnet(network, bits, 'ipv4')
for (const [network, bits] of SPECIAL_IPV6) special.addSubnet(network, bits, 'ipv6')
const unicast = new BlockList()
unicast.addSubnet('2000::', 3, 'ipv6')

/** @param address as `plainAddress` gives it */
export function isPublic(address: string): boolean {
  if (isIPv4(address)) return !special.check(address, 'ipv4')
  return unicast.check(address, 'ipv6') && !special.check(address, 'ipv6')
}

/** An IPv4 address that comes as `::ffff:a.b.c.d`, or through NAT64 (RFC 6052), is that IPv4 address. */
export function plainAddress(address: string): string {
  if (isIPv4(address)) return address
  const bytes = parseIpv6(address)
  if (bytes === null) return address
  const mapped = mappedIpv4(bytes)
  if (mapped >= 0) return formatIpv4(mapped)
  const isNat64 = bytes[0] === 0 && bytes[1] === 0x64 && bytes[2] === 0xff && bytes[3] === 0x9b
  if (!isNat64 || bytes.subarray(4, 12).some((byte) => byte !== 0)) return address
  return formatIpv4(((bytes[12] << 24) | (bytes[13] << 16) | (bytes[14] << 8) | bytes[15]) >>> 0)
}
