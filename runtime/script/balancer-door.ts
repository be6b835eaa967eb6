/** The host functions behind `upstream` and its peers. */
import type { BalancerView, PeerInfo } from '../phases.ts'
import { argument, type DoorContext, type HostFunctions, isAbsent, objectAt, slotOf } from './door.ts'
import { GuestError, Tag } from './guest-values.ts'
import type { PeerGroup } from './peer-groups.ts'
import type { Address } from './quickjs-module.ts'

const MAX_KEY = 64 * 1024
const MAX_TIMEOUT = 2 ** 31 - 1
const MAX_TRIES = 1000

export function balancerDoor(door: DoorContext): HostFunctions {
  const { values, instance } = door
  const consistentKey = values.string('consistent')
  const peer = (view: BalancerView, index: number): Address => {
    const group = door.groups.of(view.peers)
    return index < 0 || index >= group.peers.length ? values.null() : door.groups.cell(group, index)
  }
  const isTrue = (cell: Address): boolean => values.tag(cell) === Tag.BOOL && values.low(cell) === 1
  const plainShape = (): number => values.shape(values.low(door.guest.hashOptions))
  return {
    upstreamName: (self) => values.string(balancerOf(door, self).name),
    peers: (self) => instance.duplicate(door.groups.of(balancerOf(door, self).peers).array),
    tries: (self) => values.int(balancerOf(door, self).tries),
    lastFailure(self) {
      const reason = balancerOf(door, self).lastFailure
      return reason === null ? values.null() : values.string(reason)
    },
    hash(self, argv) {
      const view = balancerOf(door, self)
      const key = isAbsent(door, argv) ? '' : values.text(argv, 'the key', MAX_KEY)
      const options = argument(argv, 1)
      if (values.tag(options) !== Tag.OBJECT) return peer(view, view.hash(key, false))
      // Fast path: `{ consistent: true }` as everybody writes it (`test/bench/micro-script.ts`).
      const object = values.low(options)
      if (values.shape(object) === plainShape())
        return peer(view, view.hash(key, isTrue(values.firstProperty(object))))
      // Slow path: may run a getter of the script's, as anything in the guest may.
      const option = instance.quickJs.getProperty(instance.context, options, consistentKey)
      if (values.tag(option) === Tag.EXCEPTION) return option
      const consistent = isTrue(option)
      instance.free(option)
      return peer(view, view.hash(key, consistent))
    },
    roundRobin(self) {
      const view = balancerOf(door, self)
      return peer(view, view.roundRobin())
    },
    leastConn(self) {
      const view = balancerOf(door, self)
      return peer(view, view.leastConn())
    },
    random(self) {
      const view = balancerOf(door, self)
      return peer(view, view.random())
    },
    ipHash(self) {
      const view = balancerOf(door, self)
      return peer(view, view.ipHash())
    },
    setTimeouts(self, argv) {
      const at = (index: number, what: string): number | undefined =>
        milliseconds(door, argument(argv, index), what)
      balancerOf(door, self).setTimeouts(at(0, 'connect'), at(1, 'send'), at(2, 'read'))
      return 0
    },
    setMoreTries(self, argv) {
      const count = values.isNumber(argv) ? values.number(argv) : Number.NaN
      if (!Number.isInteger(count) || count < 0 || count > MAX_TRIES) {
        throw new GuestError('RangeError', `setMoreTries takes a whole number from 0 to ${MAX_TRIES}`)
      }
      balancerOf(door, self).setMoreTries(count)
      return 0
    },
    peerMade(self) {
      door.groups.peerMade(objectAt(door, self))
      return 0
    },
    peerWeight: (self) => values.int(peerOf(door, self).weight),
    peerConnections: (self) => values.int(peerOf(door, self).connections),
    peerFails: (self) => values.int(peerOf(door, self).fails),
    peerDown: (self) => values.boolean(peerOf(door, self).down),
  }
}

function balancerOf(door: DoorContext, self: Address): BalancerView {
  const slot = slotOf(door, self)
  const view = slot.request!.balancer
  if (view === null || !slot.active || slot.phase !== 'balancer') {
    throw new GuestError('TypeError', 'upstream is for the balancer hook while it runs')
  }
  return view
}

function peerOf(door: DoorContext, self: Address): PeerInfo {
  const peer = door.groups.peerAt(objectAt(door, self))
  if (peer === null) throw new GuestError('TypeError', 'this peer is gone')
  return peer
}

function milliseconds(door: DoorContext, cell: Address, what: string): number | undefined {
  if (isAbsent(door, cell)) return undefined
  const value = door.values.isNumber(cell) ? door.values.number(cell) : Number.NaN
  if (!(value > 0 && value <= MAX_TIMEOUT)) {
    throw new GuestError('RangeError', `the ${what} timeout is a number of milliseconds above 0`)
  }
  return Math.ceil(value)
}

/**
 * Index of the peer that a balancer hook returned: a peer object, or its name or address.
 * @throws GuestError when it names none
 */
export function chosenPeer(door: DoorContext, group: PeerGroup, cell: Address): number {
  const { values } = door
  if (values.tag(cell) === Tag.OBJECT) {
    const index = door.groups.indexOf(values.low(cell), group)
    if (index >= 0) return index
    throw new GuestError('TypeError', 'balancer returned an object that is no peer of this upstream group')
  }
  if (!values.isString(cell)) {
    throw new GuestError('TypeError', 'balancer returns a peer of upstream.peers, its host:port, or nothing')
  }
  const text = values.text(cell, 'the peer', MAX_KEY)
  const index = group.peers.findIndex((peer) => peer.name === text || peer.address === text)
  if (index >= 0) return index
  throw new GuestError(
    'Error',
    `balancer returned ${JSON.stringify(text.slice(0, 100))}; the peers are ${namesOf(group)}`,
  )
}

function namesOf(group: PeerGroup): string {
  const names = group.peers.slice(0, 10).map((peer) => peer.name)
  return names.join(', ') + (group.peers.length > 10 ? ` and ${group.peers.length - 10} more` : '')
}
