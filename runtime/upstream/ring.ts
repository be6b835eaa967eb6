/**
 * The ring of nginx `hash KEY consistent` (ketama as Cache::Memcached::Fast has it): 160 points for each unit of weight,
 * placed by the server's configured name. Immutable; knows nothing of requests or of the peers' state.
 */
import { crc32, crc32Word } from '../lib/crc32.ts'
import type { Peer } from './peer.ts'

const POINTS_PER_WEIGHT = 160

/** Sum of weights up to which a ring is built: 10 million points, 80 MB. */
export const MAX_RING_WEIGHT = 65_536

/** A point and its owner in one number, so that sorting needs no comparison function: owners below 2^21. */
const OWNERS = 2 ** 21

export class Ring {
  /** Ascending, without duplicates. */
  readonly points: Uint32Array
  /** Index into `servers` for each point. */
  readonly owners: Uint32Array
  /** The peers of each configured name. */
  readonly servers: readonly (readonly Peer[])[]

  /** @throws RangeError when the weights add up to more than MAX_RING_WEIGHT */
  constructor(peers: readonly Peer[]) {
    const servers = new Map<string, Peer[]>()
    for (const peer of peers) {
      const same = servers.get(peer.name)
      if (same === undefined) servers.set(peer.name, [peer])
      else same.push(peer)
    }
    this.servers = [...servers.values()]
    const sorted = sortedPoints(this.servers)
    let count = 0
    this.points = new Uint32Array(sorted.length)
    this.owners = new Uint32Array(sorted.length)
    for (const packed of sorted) {
      const owner = packed % OWNERS
      const point = (packed - owner) / OWNERS
      if (count > 0 && this.points[count - 1] === point) continue
      this.points[count] = point
      this.owners[count++] = owner
    }
    this.points = this.points.slice(0, count)
    this.owners = this.owners.slice(0, count)
  }

  /** Position of the first point that is not below `hash`; equals the number of points when there is none. */
  locate(hash: number): number {
    const { points } = this
    let low = 0
    let high = points.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (points[middle]! < hash) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The peers that own the point at `position`, which goes around the ring as often as it likes. */
  at(position: number): readonly Peer[] {
    return this.servers[this.owners[position % this.owners.length]!]!
  }
}

function sortedPoints(servers: readonly (readonly Peer[])[]): Float64Array {
  // Peers of one name lie on the same points, the heaviest of them on the most.
  const weights = servers.map((peers) => Math.max(...peers.map((peer) => peer.weight)))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  if (total > MAX_RING_WEIGHT || servers.length > OWNERS) {
    throw new RangeError(
      `a consistent hash needs weights that add up to ${MAX_RING_WEIGHT} at most, not ${total}`,
    )
  }
  const packed = new Float64Array(total * POINTS_PER_WEIGHT)
  let count = 0
  servers.forEach((peers, owner) => {
    const { host, port } = splitName(peers[0]!.name)
    const base = crc32(`${host}\0${port}`)
    let point = 0
    for (let i = weights[owner]! * POINTS_PER_WEIGHT; i > 0; i--) {
      point = crc32Word(point, base)
      packed[count++] = point * OWNERS + owner
    }
  })
  return packed.sort()
}

/** Only a trailing `:digits` is a port; a unix socket has none. So `10.0.0.1` and `10.0.0.1:80` lie apart. */
function splitName(name: string): { host: string; port: string } {
  if (/^unix:/i.test(name)) return { host: name.slice(5), port: '' }
  const match = /^(.*):([0-9]*)$/s.exec(name)
  return match === null ? { host: name, port: '' } : { host: match[1]!, port: match[2]! }
}
