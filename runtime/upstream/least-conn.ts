/** nginx `least_conn`: fewest requests in flight for its weight; equals take turns by the smooth round robin. */
import type { Peer } from './peer.ts'
import { pickRoundRobin } from './round-robin.ts'
import type { Search } from './search.ts'

export function pickLeastConn(search: Search): Peer | null {
  if (search.group.single) return pickRoundRobin(search)
  const peer = leastBusy(search)
  if (peer !== null || !search.useBackups()) return peer
  return leastBusy(search)
}

function leastBusy(search: Search): Peer | null {
  let best: Peer | null = null
  let tied = false
  for (const peer of search.set.peers) {
    if (!search.eligible(peer)) continue
    const order = best === null ? -1 : compareLoad(peer, best)
    if (order < 0) {
      best = peer
      tied = false
    } else if (order === 0) tied = true
  }
  return best !== null && tied ? takeTurns(search, best) : best
}

/** One smooth round robin step among those as busy as `first`, which is the first of them. */
function takeTurns(search: Search, first: Peer): Peer {
  let best = first
  let total = 0
  for (const peer of search.set.peers) {
    if (compareLoad(peer, first) !== 0 || !search.eligible(peer)) continue
    total += peer.advance()
    if (peer.currentWeight > best.currentWeight) best = peer
  }
  best.currentWeight -= total
  return best
}

/** Negative: `a` is less busy for its weight than `b`. */
export function compareLoad(a: Peer, b: Peer): number {
  return a.load * b.weight - b.load * a.weight
}
