/**
 * Requests in flight by peer, told between processes that share an upstream group (`zone`): what `least_conn`, `random two` and
 * `max_conns` go by is of all of them. Told soon after they change, many at a time. Knows no wire.
 *
 *     worker                                    supervisor
 *     its own counts         -- told -->        sums
 *     those of all others    <-- relayed --     sums less what that worker has told
 */
import type { UpstreamGroup } from './group.ts'
import type { Peer } from './peer.ts'

/** @param nth among the group's peers of this address */
export type PeerCount = readonly [group: string, address: string, nth: number, requests: number]

export type CountTeller = (counts: readonly PeerCount[]) => void

/** ms between two tellings; the first after a pause goes out at once. */
const GAP = 10

/** One that is told apart by its words. */
type Place = readonly [group: string, address: string, nth: number]

function keyOf([group, address, nth]: Place | PeerCount): string {
  return `${group}\0${address}\0${nth}`
}

/** Calls `work` soon after `ask`, never twice within the gap. */
class Soon {
  readonly #work: () => void
  #isAsked = false
  #last = 0

  constructor(work: () => void) {
    this.#work = work
  }

  ask(): void {
    if (this.#isAsked) return
    this.#isAsked = true
    const left = this.#last + GAP - performance.now()
    if (left <= 0) setImmediate(() => this.#run())
    else setTimeout(() => this.#run(), left).unref()
  }

  #run(): void {
    this.#isAsked = false
    this.#last = performance.now()
    this.#work()
  }
}

interface Counted {
  readonly place: Place
  readonly peer: Peer
  isChanged: boolean
}

/** A worker's side. */
export class PeerCounts {
  readonly #tell: CountTeller
  readonly #soon = new Soon(() => this.#tellChanged())
  /** In other processes. */
  readonly #elsewhere = new Map<string, number>()
  /** By the names of their groups, as they serve now. */
  readonly #groups = new Map<string, ReadonlyMap<string, Counted>>()
  #changed: Counted[] = []
  #gone: PeerCount[] = []

  constructor(tell: CountTeller) {
    this.#tell = tell
  }

  /** Peers of this group are counted together from now on, in place of those that it had before. */
  join(group: UpstreamGroup): void {
    if (!group.shared) return
    const counted = new Map<string, Counted>()
    const seen = new Map<string, number>()
    for (const peer of group.peers) {
      const { text } = peer.address
      const nth = seen.get(text) ?? 0
      seen.set(text, nth + 1)
      const one = { place: [group.name, text, nth] as Place, peer, isChanged: false } satisfies Counted
      counted.set(keyOf(one.place), one)
      peer.elsewhere = this.#elsewhere.get(keyOf(one.place)) ?? 0
      this.#follow(one)
    }
    this.#forget(group.name, counted)
    this.#groups.set(group.name, counted)
  }

  /** What still ends at servers that have left counts for nobody. */
  #forget(group: string, counted: ReadonlyMap<string, Counted>): void {
    for (const [key, { place }] of this.#groups.get(group) ?? []) {
      if (counted.has(key)) continue
      this.#gone.push([...place, 0])
      this.#soon.ask()
    }
  }

  #follow(counted: Counted): void {
    counted.peer.counted = () => {
      if (counted.isChanged) return
      counted.isChanged = true
      this.#changed.push(counted)
      this.#soon.ask()
    }
  }

  #tellChanged(): void {
    const [changed, gone] = [this.#changed, this.#gone]
    this.#changed = []
    this.#gone = []
    for (const counted of changed) counted.isChanged = false
    this.#tell([...gone, ...changed.map(({ place, peer }) => [...place, peer.connections] as const)])
  }

  /** What others have under way. */
  hear(counts: readonly PeerCount[]): void {
    for (const count of counts) {
      const key = keyOf(count)
      const [group, , , requests] = count
      if (requests === 0) this.#elsewhere.delete(key)
      else this.#elsewhere.set(key, requests)
      const counted = this.#groups.get(group)?.get(key)
      if (counted !== undefined) counted.peer.elsewhere = requests
    }
  }
}

interface Member {
  readonly tell: CountTeller
  /** What it has under way. */
  readonly counts: Map<string, number>
}

/** The supervisor's side. */
export class CountLedger {
  readonly #members = new Set<Member>()
  readonly #sums = new Map<string, { readonly place: Place; requests: number }>()
  readonly #changed = new Set<string>()
  readonly #soon = new Soon(() => this.#relay())

  /** @returns what hears the new member's counts, and what ends it: then it has nothing under way any more */
  join(tell: CountTeller): { readonly hear: CountTeller; readonly leave: () => void } {
    const member: Member = { tell, counts: new Map() }
    this.#members.add(member)
    if (this.#sums.size > 0) tell([...this.#sums.values()].map(({ place, requests }) => [...place, requests]))
    return {
      hear: (counts) => {
        for (const [group, address, nth, requests] of counts)
          this.#count(member, [group, address, nth], requests)
      },
      leave: () => {
        this.#members.delete(member)
        for (const key of [...member.counts.keys()]) this.#count(member, this.#sums.get(key)!.place, 0)
      },
    }
  }

  #count(member: Member, place: Place, requests: number): void {
    const key = keyOf(place)
    const before = member.counts.get(key) ?? 0
    if (requests === before) return
    if (requests === 0) member.counts.delete(key)
    else member.counts.set(key, requests)
    const sum = this.#sums.get(key)
    if (sum === undefined) this.#sums.set(key, { place, requests })
    else sum.requests += requests - before
    this.#changed.add(key)
    this.#soon.ask()
  }

  #relay(): void {
    const changed = [...this.#changed].map((key) => [key, this.#sums.get(key)!] as const)
    this.#changed.clear()
    for (const { tell, counts } of this.#members)
      tell(changed.map(([key, { place, requests }]) => [...place, requests - (counts.get(key) ?? 0)]))
    for (const [key, { requests }] of changed) if (requests === 0) this.#sums.delete(key)
  }
}
