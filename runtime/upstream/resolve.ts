/**
 * Server names to addresses: what may stand after `server` and in `proxy_pass`, read strictly, and looked up as the
 * system does. Keeps nothing: whoever asks decides how long an answer holds.
 */
import { ADDRCONFIG } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { isIPv4, isIPv6, SocketAddress } from 'node:net'
import type { Address } from './options.ts'

export type ServerAddress = { readonly host: string; readonly port: number } | { readonly path: string }

/** Room for a socket's path in `sockaddr_un`, its final zero byte apart. */
const MAX_SOCKET_PATH = 107
/** RFC 1035 section 3.1. */
const MAX_NAME = 253

/**
 * Reads `host`, `host:port`, `[v6]`, `[v6]:port` or `unix:/path`.
 * @param text byte string
 * @returns `host` without brackets, `path` as bytes
 * @throws Error with a sentence that says what is wrong
 */
export function parseAddress(text: string, defaultPort: number): ServerAddress {
  if (/^unix:/i.test(text)) return { path: readSocketPath(text) }
  const { host, port } = text.startsWith('[') ? splitBrackets(text) : splitName(text)
  return { host, port: port === null ? defaultPort : readPort(port, text) }
}

/**
 * The addresses of a server: one for a literal or a unix socket, for a name as many as the system knows, in its order.
 * @throws Error as `parseAddress`, or when the name has no address
 */
export async function resolveServer(text: string, defaultPort: number): Promise<Address[]> {
  const parsed = parseAddress(text, defaultPort)
  if ('path' in parsed) return [socketAddress(text, parsed.path)]
  const { host, port } = parsed
  if (isIPv4(host) || isIPv6(host)) return [ipAddress(host, port)]
  const found = await lookUp(host, text)
  return found.map((address) => ipAddress(address, port))
}

function readSocketPath(text: string): string {
  const path = text.slice(5)
  if (path === '') throw new Error(`no path in the unix domain socket "${text}"`)
  if (path.length > MAX_SOCKET_PATH) throw new Error(`too long path in the unix domain socket "${text}"`)
  if (path.includes('\0')) throw new Error('a zero byte in the path of a unix domain socket')
  return path
}

function splitBrackets(text: string): { host: string; port: string | null } {
  const match = /^\[([^\]]*)\](?::(.*))?$/s.exec(text)
  if (match === null) throw new Error(`invalid host in "${text}"`)
  const host = match[1]!
  if (host === '') throw new Error(`no host in "${text}"`)
  if (!isIPv6(host) || host.includes('%')) throw new Error(`invalid IPv6 address in "${text}"`)
  return { host, port: match[2] ?? null }
}

function splitName(text: string): { host: string; port: string | null } {
  const colon = text.indexOf(':')
  const host = colon === -1 ? text : text.slice(0, colon)
  if (host === '') throw new Error(`no host in "${text}"`)
  checkName(host, text)
  return { host, port: colon === -1 ? null : text.slice(colon + 1) }
}

function checkName(host: string, text: string): void {
  if (!/^[A-Za-z0-9_.-]+$/.test(host) || host.length > MAX_NAME) {
    throw new Error(`invalid host in "${text}"`)
  }
  // The system would read `127.1` and `0x7f.1` as addresses that they do not look like.
  if (/^(?:(?:[0-9]+|0[xX][0-9A-Fa-f]*)(?:\.|$))+$/.test(host) && !isIPv4(host)) {
    throw new Error(`invalid IPv4 address in "${text}", write four decimal numbers`)
  }
}

function readPort(port: string, text: string): number {
  const value = /^[0-9]{1,5}$/.test(port) ? Number(port) : 0
  if (value < 1 || value > 65535) throw new Error(`invalid port in "${text}"`)
  return value
}

async function lookUp(host: string, text: string): Promise<string[]> {
  const options = { all: true, verbatim: true } as const
  try {
    // As nginx: only families that this machine has addresses of. A machine with nothing but loopback has none.
    const found = await lookup(host, { ...options, hints: ADDRCONFIG }).catch(() => lookup(host, options))
    return found.map(({ address }) => address)
  } catch {
    throw new Error(`host not found in upstream "${text}"`)
  }
}

/** @param host an IP literal without brackets */
export function ipAddress(host: string, port: number): Address {
  if (isIPv4(host)) return { text: `${host}:${port}`, host, port }
  const { address } = new SocketAddress({ address: host, family: 'ipv6' })
  return { text: `[${address}]:${port}`, host: address, port }
}

/** Node takes the path as text and writes it as UTF-8, so bytes become characters here. */
function socketAddress(text: string, path: string): Address {
  return { text, path: Buffer.from(path, 'latin1').toString('utf8') }
}
