/**
 * nginx `hash KEY consistent`: the key's CRC finds a point of the group's ring; an unusable server's point passes the
 * key on to the next point. Where one name has several addresses they take turns.
 */
import { crc32 } from '../lib/crc32.ts'
import type { Peer } from './peer.ts'
import { pickRoundRobin, smoothStep } from './round-robin.ts'
import { MAX_SKIPS, type Search } from './search.ts'

/**
 * @param key byte string; empty: round robin
 * @throws RangeError when the group's weights are too large for a ring
 */
export function pickConsistent(search: Search, key: string): Peer | null {
  const { group, set } = search
  // The ring holds primaries only; nginx allows no backups beside this method.
  if (key === '' || set.peers.length < 2 || set !== group.primary) return pickRoundRobin(search)
  const { ring } = group
  if (!search.continues('hash consistent', key)) search.hash = ring.locate(crc32(key))
  else if (search.pending !== null) return search.pending
  for (; search.skips <= MAX_SKIPS; search.skips++, search.hash++) {
    const peer = smoothStep(search, ring.at(search.hash))
    if (peer !== null) return search.choose(peer)
  }
  return pickRoundRobin(search)
}
