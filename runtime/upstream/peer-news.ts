/**
 * Failures of peers, told between processes that share an upstream group (`zone`): all of them give a peer a rest, and
 * one of them tries it afterwards. Plain data and the rules for it; knows no wire.
 *
 * Who saw the last failure tries the peer when its time is over. The others wait a little longer, each by its own
 * number, in case that one has no request for it.
 */
import type { UpstreamGroup } from './group.ts'
import type { Peer } from './peer.ts'

export interface PeerNews {
  /** Name of the group. */
  readonly group: string
  readonly address: string
  /** Place among the group's peers of this address. */
  readonly nth: number
  readonly event: 'failed' | 'probed' | 'recovered'
  /** What the teller has counted. */
  readonly fails: number
  /** The worker that it happened to. */
  readonly worker: number
}

/** Hears what happens to the peers of shared groups. */
export type PeerListener = (group: UpstreamGroup, peer: Peer, event: PeerNews['event']) => void

/** Seconds after the first that the slowest worker waits. */
const MAX_PATIENCE = 4

export function newsOf(group: UpstreamGroup, peer: Peer, event: PeerNews['event'], worker: number): PeerNews {
  const address = peer.address.text
  const nth = peersAt(group, address).indexOf(peer)
  return { group: group.name, address, nth, event, fails: peer.fails, worker }
}

/** @param worker the one that hears it @param isNew it knows nothing yet, not even what happened to it before it was replaced */
export function hear(group: UpstreamGroup, news: PeerNews, worker: number, isNew = false): void {
  const same = peersAt(group, news.address)
  const peer = same[news.nth] ?? same[0]
  if (peer === undefined) return
  const own = news.worker === worker
  if (news.event === 'failed') peer.patience = own ? 0 : 1 + (worker % MAX_PATIENCE)
  if (own && !isNew) return
  if (news.event === 'failed') peer.hearFailure(group.now, news.fails)
  else if (news.event === 'probed') peer.hearProbe(group.now)
  else peer.hearRecovery()
}

function peersAt(group: UpstreamGroup, text: string): Peer[] {
  return group.peers.filter(({ address }) => address.text === text)
}

/** What is known of failed peers, for a process that joins. */
export class PeerLedger {
  readonly #known = new Map<string, PeerNews>()

  note(news: PeerNews): void {
    const key = `${news.group}\0${news.address}\0${news.nth}`
    if (news.event === 'recovered') this.#known.delete(key)
    else if (news.event === 'failed') this.#known.set(key, news)
  }

  /** Forgets groups that there are no more. */
  keepOnly(groups: ReadonlySet<string>): void {
    for (const [key, { group }] of this.#known) if (!groups.has(group)) this.#known.delete(key)
  }

  /** Forgets peers of a group that are at none of these addresses. */
  keepAddresses(group: string, addresses: ReadonlySet<string>): void {
    for (const [key, news] of this.#known)
      if (news.group === group && !addresses.has(news.address)) this.#known.delete(key)
  }

  get all(): PeerNews[] {
    return [...this.#known.values()]
  }
}
