/** nginx `random` and `random two least_conn`: a weighted draw, or the less busy of two. */
import { compareLoad } from './least-conn.ts'
import type { Peer } from './peer.ts'
import { pickRoundRobin } from './round-robin.ts'
import { MAX_SKIPS, type Search } from './search.ts'

export function pickRandom(search: Search): Peer | null {
  if (search.set.peers.length < 2) return pickRoundRobin(search)
  search.continues('random', '')
  return draw(search, null) ?? pickRoundRobin(search)
}

export function pickRandomTwo(search: Search): Peer | null {
  if (search.set.peers.length < 2) return pickRoundRobin(search)
  search.continues('random two', '')
  const first = draw(search, null)
  const second = first === null ? null : draw(search, first)
  if (first === null || second === null) return pickRoundRobin(search)
  return compareLoad(second, first) > 0 ? first : second
}

/** Draws until an eligible peer other than `not` comes; null after too many others, all draws of the request together. */
function draw(search: Search, not: Peer | null): Peer | null {
  const { set, group } = search
  for (; search.skips <= MAX_SKIPS; search.skips++) {
    const peer = set.ownerOf(Math.floor(group.random() * set.totalWeight))
    if (peer !== not && search.eligible(peer)) return peer
  }
  return null
}
