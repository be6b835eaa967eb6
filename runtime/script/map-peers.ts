/**
 * What session maps mean in a balancer hook: their values may name peers. One that has left the group, is down, or rests
 * after failures is lost; and while the store is away a hash of the key may stand for what it would say.
 */
import type { BalancerView, MapValue, PeerInfo, ScriptMap } from '../phases.ts'
import { fromBytes, toBytes } from './guest-values.ts'
import type { Slot } from './slots.ts'

const QUOTE = 0x22
/** What names a server though it is none of the group: an address with a port, or a unix socket. */
const ADDRESS = /^(?:unix:.|(?:[\w.-]+|\[[\da-f:.]+\]):\d{1,5}$)/i

const known = new WeakMap<readonly PeerInfo[], ReadonlyMap<string, readonly PeerInfo[]>>()

/** It names a peer, by the configured name or by the address. */
export function namesPeer(peers: readonly PeerInfo[], value: MapValue): boolean {
  return isText(value) && named(peers).has(value.slice(1, -1))
}

/** It names a server, and none that requests should go to. */
export function isLost(peers: readonly PeerInfo[], value: MapValue): boolean {
  if (!isText(value)) return false
  const name = value.slice(1, -1)
  const found = named(peers).get(name)
  if (found === undefined) return ADDRESS.test(name)
  for (const peer of found) if (!peer.down && peer.resting !== true) return false
  return true
}

/** JSON of a text, as far as names of peers are concerned. */
function isText(value: MapValue): value is string {
  return typeof value === 'string' && value.length > 2 && value.charCodeAt(0) === QUOTE
}

function named(peers: readonly PeerInfo[]): ReadonlyMap<string, readonly PeerInfo[]> {
  const before = known.get(peers)
  if (before !== undefined) return before
  const names = new Map<string, PeerInfo[]>()
  const add = (bytes: string, peer: PeerInfo): void => {
    const name = fromBytes(bytes)
    const same = names.get(name)
    if (same === undefined) names.set(name, [peer])
    else if (!same.includes(peer)) same.push(peer)
  }
  for (const peer of peers) {
    add(peer.name, peer)
    add(peer.address, peer)
  }
  known.set(peers, names)
  return names
}

/** The group that a balancer hook is to choose from. */
export function balancerOf(slot: Slot | null): BalancerView | null {
  return slot !== null && slot.phase === 'balancer' && slot.active ? (slot.request?.balancer ?? null) : null
}

/** Whose hook asks a map for a key. */
interface MapQuestioner {
  readonly slot: Slot | null
  /** null: it is no map that is asked. */
  readonly map: ScriptMap | null
  readonly key: string
}

/**
 * `on_error=hash`: in a balancer hook a consistent hash of the key says which peer it is while the store is away.
 * @returns undefined: it is no such case; null: no peer is eligible
 */
export function hashedPeer({ map, key, slot }: MapQuestioner): MapValue | null | undefined {
  if (map?.onError !== 'hash') return undefined
  const view = balancerOf(slot)
  if (view === null) return undefined
  let index: number
  try {
    index = view.hash(toBytes(key), true)
  } catch {
    return undefined
  }
  if (index < 0) return null
  const { name, address } = view.peers[index]
  const isUnique = view.peers.every((peer, i) => i === index || peer.name !== name)
  const value = JSON.stringify(fromBytes(isUnique ? name : address))
  map.owe(key, value)
  return value
}
