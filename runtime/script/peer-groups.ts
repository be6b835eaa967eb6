/**
 * The peers of upstream groups as guest objects: made once per group, known by their addresses in linear memory.
 * They stay alive as long as their group is kept here, so an address means one peer only.
 */
import type { PeerInfo } from '../phases.ts'
import { Tag, toBytes } from './guest-values.ts'
import type { Instance } from './instance.ts'
import type { Address } from './quickjs-module.ts'

/** One script serves few groups; more come from servers that change, and from names that resolve anew. */
const MAX_GROUPS = 256
/** Peers of all groups that are kept, 230 bytes of the guest's memory each; of a larger group, its own alone. */
const MAX_PEERS = 8192

export interface PeerGroup {
  readonly peers: readonly PeerInfo[]
  /** Cell of the guest's frozen array. */
  readonly array: Address
  readonly addresses: readonly number[]
}

interface PeerPlace {
  readonly group: PeerGroup
  readonly index: number
}

export class PeerGroups {
  readonly #instance: Instance
  /** Guest function `(json) => Peer[]`. */
  readonly #makePeers: Address
  /** In the order they were used last, but for the very last one. */
  readonly #groups = new Map<readonly PeerInfo[], PeerGroup>()
  readonly #places = new Map<number, PeerPlace>()
  #making: number[] = []
  #last: PeerGroup | null = null

  constructor(instance: Instance, makePeers: Address) {
    this.#instance = instance
    this.#makePeers = makePeers
  }

  of(peers: readonly PeerInfo[]): PeerGroup {
    if (this.#last !== null && this.#last.peers === peers) return this.#last
    const group = this.#groups.get(peers) ?? this.#make(peers)
    this.#groups.delete(peers)
    this.#groups.set(peers, group)
    this.#last = group
    return group
  }

  /** The guest tells each peer's address while it makes a group. */
  peerMade(address: number): void {
    this.#making.push(address)
  }

  /** Index of the peer object at this address, or -1 if it is none of the group's. */
  indexOf(address: number, group: PeerGroup): number {
    const place = this.#places.get(address)
    return place !== undefined && place.group === group ? place.index : -1
  }

  /** The peer whose object this is, or null. */
  peerAt(address: number): PeerInfo | null {
    const place = this.#places.get(address)
    return place === undefined ? null : place.group.peers[place.index]
  }

  /** A new reference to the guest object of a peer. */
  cell(group: PeerGroup, index: number): Address {
    return this.#instance.values.object(group.addresses[index])
  }

  #make(peers: readonly PeerInfo[]): PeerGroup {
    const { values } = this.#instance
    while (this.#groups.size > 0 && this.#isFull(peers.length)) this.#dropOldest()
    const facts = peers.map(({ name, address, backup }) => ({ name, address, backup }))
    this.#making = []
    const json = values.string(toBytes(JSON.stringify(facts)))
    const array = this.#instance.call1(this.#makePeers, json)
    this.#instance.free(json)
    const addresses = this.#making
    if (values.tag(array) !== Tag.OBJECT || addresses.length !== peers.length) {
      throw this.#instance.doom('the peers of an upstream group could not be made')
    }
    const group: PeerGroup = { peers, array, addresses }
    for (const [index, address] of addresses.entries()) this.#places.set(address, { group, index })
    this.#groups.set(peers, group)
    return group
  }

  #isFull(more: number): boolean {
    return this.#groups.size >= MAX_GROUPS || this.#places.size + more > MAX_PEERS
  }

  #dropOldest(): void {
    const [peers, group] = this.#groups.entries().next().value!
    for (const address of group.addresses) this.#places.delete(address)
    this.#groups.delete(peers)
    if (this.#last === group) this.#last = null
    this.#instance.free(group.array)
  }
}
