/**
 * Keeps secrets out of what is written down: a masked value is replaced by a short hash under a key that this process
 * has made up, so that equal values stay equal and nobody can find out which they were. Byte strings.
 */
import { createHmac, randomBytes } from 'node:crypto'
import type { RecordModel } from '../config/model.ts'
import type { HookDecision } from './hook-decision.ts'
import type { Pairs } from './hook-input.ts'

/** Names in lower case. */
export type MaskOptions = Pick<RecordModel, 'mask' | 'maskArgs'>

/** Fields whose value is a scheme and credentials: the scheme stays. RFC 9110 section 11.6.2. */
const CREDENTIALS = /^(?:proxy-)?authorization$/
/** Shorter ones are no secrets but letters that stand everywhere. */
const MIN_SECRET = 4
const KEY = randomBytes(32)
/** Members whose value is one of a few words, whatever a client sends. */
const OWN: ReadonlySet<string> = new Set(['outcome', 'method', 'httpVersion', 'from', 'by', 'version'])

function hashed(value: string): string {
  return `masked-${createHmac('sha256', KEY).update(value, 'latin1').digest('hex').slice(0, 12)}`
}

/** Masks what is written down of one hook call: what was masked once is masked wherever else it stands. */
export class Mask {
  readonly #fields: ReadonlySet<string>
  readonly #args: ReadonlySet<string>
  readonly #secrets = new Map<string, string>()

  constructor({ mask, maskArgs }: MaskOptions) {
    this.#fields = new Set(mask)
    this.#args = new Set(maskArgs)
  }

  pairs(pairs: Pairs): [name: string, value: string][] {
    return pairs.map(([name, value]) => [name, this.field(name.toLowerCase(), value)])
  }

  /** @param name in lower case */
  field(name: string, value: string): string {
    if (!this.#fields.has(name) || value === '') return value
    if (name === 'cookie') return this.#each(value, /([^=;\s]+)=([^;]*)/g)
    if (name === 'set-cookie') return this.#each(value, /^([^=;\s]*)=([^;]*)/)
    const [, scheme, credentials] = CREDENTIALS.test(name) ? (/^([\w-]+ +)(.+)$/.exec(value) ?? []) : []
    return scheme === undefined ? this.#secret(value) : scheme + this.#secret(credentials)
  }

  /** `name=value` pairs: the names stay. */
  #each(text: string, pair: RegExp): string {
    return text.replace(pair, (_all, name: string, value: string) => `${name}=${this.#secret(value)}`)
  }

  /** @param args without `?` */
  query(args: string): string {
    if (args === '' || this.#args.size === 0) return args
    return args
      .split('&')
      .map((arg) => {
        const equals = arg.indexOf('=')
        if (equals < 0 || !this.#args.has(decoded(arg.slice(0, equals)))) return arg
        return arg.slice(0, equals + 1) + this.#secret(arg.slice(equals + 1))
      })
      .join('&')
  }

  /** @param name without the dollar */
  variable(name: string, value: string): string {
    const lower = name.toLowerCase()
    const [, kind, rest] =
      /^(http|sent_http|upstream_http|arg|cookie|upstream_cookie)_(.+)$/.exec(lower) ?? []
    if (kind === 'arg') return this.#args.has(rest) ? this.#secret(value) : value
    if (kind === 'cookie') return this.#fields.has('cookie') ? this.#secret(value) : value
    if (kind === 'upstream_cookie') return this.#fields.has('set-cookie') ? this.#secret(value) : value
    if (kind !== undefined) return this.field(rest.replaceAll('_', '-'), value)
    if (lower === 'args' || lower === 'query_string') return this.query(value)
    if (lower === 'request_uri' || lower === 'request') return this.target(value)
    return value
  }

  /** A request line, a path or a URL with a query. */
  target(text: string): string {
    return text.replace(/\?([^ #]*)/, (_all, args: string) => `?${this.query(args)}`)
  }

  decision(decision: HookDecision): HookDecision {
    const entries = Object.entries(decision).map(([facet, value]): [string, string] => {
      if (facet === 'args') return [facet, this.query(value)]
      if (facet === 'redirect to') return [facet, this.target(value)]
      if (facet.startsWith('$')) return [facet, this.variable(facet.slice(1), value)]
      const [, name] = /^(?:answer|headersIn|headersOut) (.+)$/.exec(facet) ?? []
      if (name === 'location') return [facet, this.target(value)]
      return [facet, name === undefined ? value : this.field(name, value)]
    })
    return Object.fromEntries(entries)
  }

  /** A text, with the secrets that stand in it. */
  text(text: string): string {
    let masked = text
    for (const [secret, mask] of this.#secrets) masked = masked.replaceAll(secret, mask)
    return masked
  }

  /** The same with every text in it, but for words of ours. */
  deep<T>(value: T): T {
    if (this.#secrets.size === 0) return value
    if (typeof value === 'string') return this.text(value) as T
    if (Array.isArray(value)) return value.map((one) => this.deep(one)) as T
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value
    const entries = Object.entries(value)
    return Object.fromEntries(entries.map(([name, one]) => [name, OWN.has(name) ? one : this.deep(one)])) as T
  }

  #secret(value: string): string {
    if (value === '' || /^masked-[0-9a-f]{12}$/.test(value)) return value
    const mask = hashed(value)
    if (value.length >= MIN_SECRET) this.#secrets.set(value, mask)
    return mask
  }
}

/** The name of an argument as a server would read it, in lower case. */
function decoded(name: string): string {
  const plain = name.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return plain.toLowerCase()
}

/** Something that was masked stands in it. */
export function holdsMasked(text: string): boolean {
  return /masked-[0-9a-f]{12}/.test(text)
}

/** Whether a value may be what a masked one was: nothing about it says otherwise. */
export function mayBeMasked(masked: string | undefined, value: string | undefined): boolean {
  if (masked === undefined || value === undefined || value.includes('masked-')) return false
  const parts = masked.split(/masked-[0-9a-f]{12}/)
  if (parts.length === 1 || !value.startsWith(parts[0]) || !value.endsWith(parts[parts.length - 1]))
    return false
  let at = 0
  return parts.every((part) => {
    const found = value.indexOf(part, at)
    at = found + part.length
    return found >= 0
  })
}
