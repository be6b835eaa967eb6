/** The peers of a group as scripts see them: live views, made once per group. */
import type { PeerInfo } from '../phases.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import type { Peer } from '../upstream/peer.ts'

class PeerView implements PeerInfo {
  readonly #peer: Peer
  readonly #group: UpstreamGroup
  readonly name: string
  readonly address: string
  readonly weight: number
  readonly backup: boolean

  constructor(peer: Peer, group: UpstreamGroup) {
    this.#peer = peer
    this.#group = group
    this.name = peer.name
    this.address = peer.address.text
    this.weight = peer.weight
    this.backup = peer.backup
  }

  get down(): boolean {
    return this.#peer.down
  }

  get connections(): number {
    return this.#peer.load
  }

  get fails(): number {
    return this.#peer.fails
  }

  /** The only peer of a group is never given up. */
  get resting(): boolean {
    return !this.#group.single && this.#peer.resting(this.#group.now)
  }
}

export function peerInfos(group: UpstreamGroup): readonly PeerInfo[] {
  group.infos ??= group.peers.map((peer) => new PeerView(peer, group))
  return group.infos
}
