/**
 * `geo`: the value of the smallest address block that holds an address. One table per length of block, so that a
 * block list of any size costs a look-up per length that occurs.
 */
import type { GeoModel } from '../config/model.ts'
import type { RequestBinder } from './binder.ts'
import { type Address, CidrList, maskOf, numberOf, parseAddress } from './cidr.ts'
import type { Exchange } from './exchange.ts'
import { forwardedAddress, type TrustedProxies } from './forwarded-address.ts'
import type { VariableGetter } from './plan.ts'

/** nginx looks this one up for unix sockets and for what is no address. */
const NO_ADDRESS = 0xffffffff

export function compileGeo(model: GeoModel, binder: RequestBinder): VariableGetter {
  const blocks = new Blocks(model)
  const source = addressSource(model, binder)
  return (x) => blocks.find(source(x))
}

/** Where the address comes from: the client, a variable, and then what trusted proxies say about it. */
function addressSource(model: GeoModel, binder: RequestBinder): (x: Exchange) => Address {
  const own = model.source === null ? clientAddress : variableAddress(binder.required(model.source))
  if (model.proxies.length === 0) return own
  const trusted: TrustedProxies = new CidrList(model.proxies.map((cidr) => ({ cidr, value: true as const })))
  return (x) => {
    const address = own(x)
    if (address === null) return null
    const values = x.requestHeaders.valuesOf('x-forwarded-for')
    return forwardedAddress(address, values, trusted, model.proxyRecursive)?.address ?? address
  }
}

function clientAddress(x: Exchange): Address {
  return parseAddress(x.remoteAddress)
}

function variableAddress(get: VariableGetter): (x: Exchange) => Address {
  return (x) => parseAddress(get(x) ?? '')
}

class Blocks {
  readonly #default: string
  /** Longest blocks first. */
  readonly #ipv4: { readonly mask: number; readonly values: ReadonlyMap<number, string> }[]
  readonly #ipv6: { readonly bits: number; readonly values: ReadonlyMap<string, string> }[]

  constructor(model: GeoModel) {
    this.#default = model.default
    const ipv4 = new Map<number, Map<number, string>>()
    const ipv6 = new Map<number, Map<string, string>>()
    for (const { cidr, value } of model.ranges) {
      if (cidr.kind !== 'ip') continue
      if (cidr.bytes.length === 4) {
        tableOf(ipv4, cidr.bits).set((numberOf(cidr.bytes) & maskOf(cidr.bits)) >>> 0, value)
      } else tableOf(ipv6, cidr.bits).set(firstBits(cidr.bytes, cidr.bits), value)
    }
    this.#ipv4 = longestFirst(ipv4).map(([bits, values]) => ({ mask: maskOf(bits), values }))
    this.#ipv6 = longestFirst(ipv6).map(([bits, values]) => ({ bits, values }))
  }

  find(address: Address): string {
    if (address instanceof Uint8Array) {
      for (const { bits, values } of this.#ipv6) {
        const value = values.get(firstBits(address, bits))
        if (value !== undefined) return value
      }
      return this.#default
    }
    const number = typeof address === 'number' ? address : NO_ADDRESS
    for (const { mask, values } of this.#ipv4) {
      const value = values.get((number & mask) >>> 0)
      if (value !== undefined) return value
    }
    return this.#default
  }
}

function tableOf<K>(tables: Map<number, Map<K, string>>, bits: number): Map<K, string> {
  let table = tables.get(bits)
  if (table === undefined) tables.set(bits, (table = new Map()))
  return table
}

function longestFirst<K>(tables: Map<number, Map<K, string>>): [number, Map<K, string>][] {
  return [...tables].sort(([a], [b]) => b - a)
}

/** The first bits of an address as a key: whole bytes, then what is left of the last one. */
function firstBits(bytes: ArrayLike<number>, bits: number): string {
  let key = ''
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) key += String.fromCharCode(bytes[i])
  const rest = bits & 7
  return rest === 0 ? key : key + String.fromCharCode(bytes[whole] & (0xff00 >> rest) & 255)
}
