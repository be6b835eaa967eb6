/**
 * `sticky`: requests of one client keep to one server of an upstream. A native balancer hook behind those of scripts, which
 * may decide before it. Owns how peers are named and found again; how a request says where it belongs is for the others.
 */
import { createHash } from 'node:crypto'
import { Outcome, type PhaseHandler } from '../phases.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import type { Peer } from '../upstream/peer.ts'
import type { UpstreamChoice } from './upstream-choice.ts'

/** What is to be done at a moment of a response that the peer gave. */
export type AtResponse = (call: UpstreamChoice, peer: Peer) => void

export class Sticky {
  readonly #hook: PhaseHandler
  /** Its head has come and goes on to the client. null: nothing to do. */
  readonly answered: AtResponse | null
  /** It is over, whole or not, and no other peer is asked in its place. null: nothing to do. */
  readonly ended: AtResponse | null
  readonly #alone: readonly PhaseHandler[]
  /** By the hooks that stand before it. */
  readonly #chains = new WeakMap<readonly PhaseHandler[], readonly PhaseHandler[]>()

  constructor(hook: PhaseHandler, { answered = null, ended = null }: Partial<Moments> = {}) {
    this.#hook = hook
    this.answered = answered
    this.ended = ended
    this.#alone = [hook]
  }

  /** The balancer hooks of a location, and this one behind them. */
  after(hooks: readonly PhaseHandler[] | null): readonly PhaseHandler[] {
    if (hooks === null) return this.#alone
    let chain = this.#chains.get(hooks)
    if (chain === undefined) {
      chain = [...hooks, this.#hook]
      this.#chains.set(hooks, chain)
    }
    return chain
  }
}

type Moments = Pick<Sticky, 'answered' | 'ended'>

/** Takes the peer for this try; one that is full, failed this request, is down or rests is left out of it. */
export function takePeer(call: UpstreamChoice, peer: Peer | undefined): Outcome {
  if (peer === undefined || !call.selection.takes(peer)) return Outcome.PASS
  call.choose(peer.index)
  return Outcome.PEER
}

/** The peer that a client's id names; a backup only when no primary could be taken, as in nginx. */
export function takeById(call: UpstreamChoice, id: string): Outcome {
  if (id === '') return Outcome.PASS
  const { group } = call
  for (const peer of namesOf(group).byId(id)) {
    if (peer.backup && group.primary.peers.some((other) => call.selection.eligible(other))) break
    if (takePeer(call, peer) === Outcome.PEER) return Outcome.PEER
  }
  return Outcome.PASS
}

/** How the peers of a group are known outside of it. */
export class PeerNames {
  readonly #byId = new Map<string, Peer[]>()
  readonly #byName = new Map<string, Peer>()
  readonly #ids: string[] = []
  readonly #names: string[] = []

  constructor(group: UpstreamGroup) {
    const counts = new Map<string, number>()
    for (const { name } of group.peers) counts.set(name, (counts.get(name) ?? 0) + 1)
    for (const peer of group.peers) {
      const { name, address, route, index } = peer
      this.#ids[index] = route === '' ? createHash('md5').update(address.text, 'latin1').digest('hex') : route
      const same = this.#byId.get(this.#ids[index])
      if (same === undefined) this.#byId.set(this.#ids[index], [peer])
      else same.push(peer)
      // Several addresses of one name are told apart by address.
      this.#names[index] = counts.get(name) === 1 ? name : address.text
      for (const text of [address.text, this.#names[index]])
        if (!this.#byName.has(text)) this.#byName.set(text, peer)
    }
  }

  /** nginx's: the `route` of its server, or the MD5 of its address. */
  id(peer: Peer): string {
    return this.#ids[peer.index]
  }

  /** As scripts name it. */
  name(index: number): string {
    return this.#names[index]
  }

  /** Primaries first. */
  byId(id: string): readonly Peer[] {
    return this.#byId.get(id) ?? NONE
  }

  /** By name or address. */
  byName(name: string): Peer | undefined {
    return this.#byName.get(name)
  }
}

const NONE: readonly Peer[] = []
const names = new WeakMap<UpstreamGroup, PeerNames>()

export function namesOf(group: UpstreamGroup): PeerNames {
  let known = names.get(group)
  if (known === undefined) {
    known = new PeerNames(group)
    names.set(group, known)
  }
  return known
}
