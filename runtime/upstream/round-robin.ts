/**
 * nginx's smooth weighted round robin. Each pick adds every candidate's effective weight to its current one, takes the
 * largest (the first of equals) and subtracts the total from it: weights 5, 1, 1 give `a a b a c a a`, not `aaaaabc`.
 */
import type { Peer } from './peer.ts'
import type { Search } from './search.ts'

/** The round robin's next peer; falls back to the backups. The only peer of a group is never given up for failures. */
export function pickRoundRobin(search: Search): Peer | null {
  if (search.group.single) return pickSingle(search.set.peers[0]!)
  const peer = smoothStep(search, search.set.peers)
  if (peer !== null || !search.useBackups()) return peer
  return smoothStep(search, search.set.peers)
}

/** One pick among the eligible of `peers`. */
export function smoothStep(search: Search, peers: readonly Peer[]): Peer | null {
  let best: Peer | null = null
  let total = 0
  for (const peer of peers) {
    if (!search.eligible(peer)) continue
    total += peer.advance()
    if (best === null || peer.currentWeight > best.currentWeight) best = peer
  }
  if (best !== null) best.currentWeight -= total
  return best
}

function pickSingle(peer: Peer): Peer | null {
  return peer.down || peer.full ? null : peer
}
