/** The primaries or the backups of a group: a row of peers that share the space of their weights. */
import type { Peer } from './peer.ts'

export class PeerSet {
  readonly peers: readonly Peer[]
  readonly totalWeight: number

  constructor(peers: readonly Peer[]) {
    this.peers = peers
    this.totalWeight = peers.reduce((sum, peer) => sum + peer.weight, 0)
  }

  /** The peer that a slot belongs to; each has as many as its weight, in order. @param slot below `totalWeight` */
  ownerOf(slot: number): Peer {
    const { peers } = this
    let rest = slot
    let i = 0
    while (rest >= peers[i]!.weight) rest -= peers[i++]!.weight
    return peers[i]!
  }
}
