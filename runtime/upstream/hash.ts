/**
 * nginx `hash KEY`: the key's CRC picks a slot in the space of weights (as Cache::Memcached does). An unusable peer's
 * slot is not given to its neighbour: the key is hashed again with the round's number before it.
 */
import { crc32 } from '../lib/crc32.ts'
import type { Peer } from './peer.ts'
import { pickRoundRobin } from './round-robin.ts'
import { MAX_SKIPS, type Search } from './search.ts'

/** @param key byte string; empty: round robin */
export function pickHash(search: Search, key: string): Peer | null {
  const { set } = search
  if (key === '' || set.peers.length < 2) return pickRoundRobin(search)
  if (search.continues('hash', key)) {
    if (search.pending !== null) return search.pending
  } else {
    search.hash = 0
    search.round = 0
  }
  for (; search.skips <= MAX_SKIPS; search.skips++) {
    const crc = search.round === 0 ? crc32(key) : crc32(key, crc32(String(search.round)))
    search.hash = (search.hash + ((crc >>> 16) & 0x7fff)) >>> 0
    search.round++
    const peer = set.ownerOf(search.hash % set.totalWeight)
    if (search.eligible(peer)) return search.choose(peer)
  }
  return pickRoundRobin(search)
}
