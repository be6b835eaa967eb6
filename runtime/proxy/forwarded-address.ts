/**
 * Who the client is when trusted proxies stand in between, from `X-Forwarded-For` and the like: the last address
 * that no trusted proxy vouches for. The values are hostile; one that is no address ends the search.
 */
import { formatIpv4, formatIpv6 } from '../lib/ip-address.ts'
import { type Address, type CidrList, parseAddress } from './cidr.ts'

/** An address taken from a field. */
export interface ForwardedAddress {
  readonly address: number | Uint8Array
  readonly text: string
  /** '' when none was given. */
  readonly port: string
}

/** Addresses whose word is taken. */
export type TrustedProxies = CidrList<true>

/**
 * @param client who is connected
 * @param values the fields in order; each a list, nearest proxy last
 * @param recursive go on while the address found is a trusted proxy itself
 * @returns null when the client itself is to be taken
 */
export function forwardedAddress(
  client: Address,
  values: readonly string[],
  trusted: TrustedProxies,
  recursive: boolean,
): ForwardedAddress | null {
  let found: ForwardedAddress | null = null
  let current = client
  for (let i = values.length - 1; i >= 0; i--) {
    for (const text of itemsBackwards(values[i])) {
      if (trusted.find(current) === undefined) return found
      const item = parseAddressPort(text)
      if (item === null) return found
      found = item
      current = item.address
      if (!recursive) return found
    }
  }
  return found
}

/** The items of a list that commas and blanks separate, last first; an empty one for separators at its front. */
function* itemsBackwards(value: string): Generator<string> {
  let end = value.length
  do {
    while (end > 0 && isSeparator(value.charCodeAt(end - 1))) end--
    let start = end
    while (start > 0 && !isSeparator(value.charCodeAt(start - 1))) start--
    yield value.slice(start, end)
    end = start
  } while (end > 0)
}

function isSeparator(code: number): boolean {
  return code === 0x20 || code === 0x2c
}

/** `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`; null for anything else. */
export function parseAddressPort(text: string): ForwardedAddress | null {
  const plain = named(text, '')
  if (plain !== null) return plain
  const match = /^(?:\[([^\]]*)\](?::(\d{1,5}))?|([\d.]+):(\d{1,5}))$/.exec(text)
  if (match === null) return null
  const port = match[2] ?? match[4]
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) return null
  return named(match[1] ?? match[3], port === undefined ? '' : String(Number(port)))
}

function named(text: string, port: string): ForwardedAddress | null {
  const address = parseAddress(text)
  if (address === null || address === 'unix') return null
  return { address, text: typeof address === 'number' ? formatIpv4(address) : formatIpv6(address), port }
}
