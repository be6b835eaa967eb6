/**
 * `script_allow_fetch`: which URLs a script may fetch, and at which addresses. A URL is judged before its name is looked
 * up, the addresses after; what is connected to is an address that was judged. Opens no connections.
 */
import { BlockList, isIP } from 'node:net'
import type { FetchRule, FetchUrlRule } from '../config/model.ts'
import { formatIpv6 } from '../lib/ip-address.ts'
import { isPublic, plainAddress } from './public-addresses.ts'

/** How far a URL is allowed. */
export const Allowance = {
  NO: 0,
  /** At addresses of a block that the list names. */
  BLOCKS: 1,
  /** And at public addresses. */
  PUBLIC: 2,
  /** The list names this very host as an address (or as `localhost`). */
  NAMED: 3,
} as const
export type Allowance = (typeof Allowance)[keyof typeof Allowance]

/** A path that a server could read as leading out of its prefix. */
const DOT_SEGMENTS = /(?:\.|%2e){2}|%2f|%5c/i
const PORTS = { 'http:': '80', 'https:': '443' } as const

export class AllowList {
  readonly #upstreams: boolean
  readonly #any: boolean
  readonly #urls: readonly FetchUrlRule[]
  readonly #blocks: Blocks | null

  constructor(rules: readonly FetchRule[]) {
    this.#upstreams = rules.some(({ kind }) => kind === 'upstreams')
    this.#any = rules.some(({ kind }) => kind === 'any')
    this.#urls = rules.filter((rule) => rule.kind === 'url')
    this.#blocks = blocksOf(rules)
  }

  /** Whether the upstream group of that name may be asked: all may, or a URL of the list is its. */
  allowsGroup(url: URL): boolean {
    return this.#upstreams || this.#urls.some((rule) => !rule.wildcard && matches(rule, url))
  }

  allows(url: URL): Allowance {
    const rule = this.#urls.find((each) => matches(each, url))
    if (rule !== undefined) return !rule.wildcard && isOwnAddress(url) ? Allowance.NAMED : Allowance.PUBLIC
    if (this.#any) return Allowance.PUBLIC
    return this.#blocks === null ? Allowance.NO : Allowance.BLOCKS
  }

  /** Whether a URL of that allowance may be fetched from an address that its host has. */
  allowsAddress(allowance: Allowance, url: URL, address: string): boolean {
    const plain = plainAddress(address)
    const family = isIP(plain)
    if (family === 0 || allowance === Allowance.NO) return false
    if (this.#blocks !== null && holds(this.#blocks, plain, family)) return true
    if (allowance === Allowance.NAMED) return bareHost(url) !== 'localhost' || isLoopback(plain)
    return allowance === Allowance.PUBLIC && isPublic(plain)
  }
}

/** One list for each family: one for both would take an IPv4 address for one within `::/0`. */
interface Blocks {
  readonly ipv4: BlockList
  readonly ipv6: BlockList
}

/** null: there are none. */
function blocksOf(rules: readonly FetchRule[]): Blocks | null {
  const blocks = { ipv4: new BlockList(), ipv6: new BlockList() }
  let any = false
  for (const rule of rules) {
    if (rule.kind !== 'block' || rule.cidr.kind !== 'ip') continue
    const { bytes, bits } = rule.cidr
    any = true
    if (bytes.length === 4) blocks.ipv4.addSubnet(bytes.join('.'), bits, 'ipv4')
    else blocks.ipv6.addSubnet(formatIpv6(Uint8Array.from(bytes)), bits, 'ipv6')
  }
  return any ? blocks : null
}

function holds({ ipv4, ipv6 }: Blocks, address: string, family: number): boolean {
  return family === 4 ? ipv4.check(address, 'ipv4') : ipv6.check(address, 'ipv6')
}

function matches(rule: FetchUrlRule, url: URL): boolean {
  if (rule.scheme !== null && rule.scheme !== url.protocol) return false
  if (rule.port !== url.port) return false
  const host = bareHost(url)
  if (rule.wildcard ? !host.endsWith(rule.host) || host === rule.host : host !== rule.host) return false
  return rule.path === '' || isBelow(url.pathname, rule.path)
}

function isBelow(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix) || DOT_SEGMENTS.test(path)) return false
  return prefix.endsWith('/') || path.length === prefix.length || path[prefix.length] === '/'
}

/** `example.com.` is the same host. */
function bareHost(url: URL): string {
  return url.hostname.endsWith('.') ? url.hostname.slice(0, -1) : url.hostname
}

/** The host is an address itself, or the name that always means this machine (RFC 6761). */
function isOwnAddress(url: URL): boolean {
  return literalAddress(url) !== null || bareHost(url) === 'localhost'
}

/** The address that a URL's host is, without brackets; null for a name. */
export function literalAddress(url: URL): string | null {
  const host = url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname
  return isIP(host) === 0 ? null : host
}

export function portOf(url: URL): number {
  return Number(url.port || PORTS[url.protocol as keyof typeof PORTS])
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}
