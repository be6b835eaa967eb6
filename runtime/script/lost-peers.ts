/**
 * What a balancer hook finds in a session map may name a peer that is of no use any more: one that has left the group, is
 * down, or rests after failures. Knows neither maps nor requests.
 */
import type { MapValue, PeerInfo } from '../phases.ts'
import { fromBytes } from './guest-values.ts'

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
