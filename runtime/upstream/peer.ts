/**
 * One address of an upstream group and its state: weights of the smooth round robin, requests in flight, failures.
 * Knows nothing of how it is chosen, nor of its connections.
 *
 * Failures follow nginx: after `maxFails` of them the peer rests for `failTimeout`; then one request per `failTimeout`
 * probes it, until one succeeds.
 */
import type { Address, ServerOptions } from './options.ts'

/** What an address is from one group to the next: requests that began long ago know where they count. */
interface Lineage {
  /** The peer that stands for it now; null: its group does without it. */
  current: Peer | null
}

export class Peer {
  /** The configured name; several peers share it when it resolved to several addresses. */
  readonly name: string
  readonly address: Address
  readonly weight: number
  readonly backup: boolean
  /** Index into the group's `peers`: primaries, then backups. */
  readonly index: number
  readonly maxFails: number
  /** Seconds. */
  readonly failTimeout: number
  readonly maxConns: number
  down: boolean
  /** Takes only requests that are bound to it. */
  drain: boolean
  /** What such requests know it by; '': a hash of its address. */
  readonly route: string
  /** `weight`, lowered by failures and recovering with each pick. */
  effectiveWeight: number
  currentWeight = 0
  /** Requests in flight, of this process. */
  connections = 0
  /** Those of other processes that share the group (`zone`), as they were a moment ago. */
  elsewhere = 0
  fails = 0
  /** Second of the last failure. */
  accessed = 0
  /** Second since which `failTimeout` counts: the last failure, or the last probe. */
  checked = 0
  /** Seconds beyond `failTimeout` that it is left to another process to try it first (`zone`). */
  patience = 0
  /** Hears of failures and what comes of them, where other processes share them (`zone`). */
  watch: ((event: 'failed' | 'probed' | 'recovered') => void) | null = null
  /** Hears that `connections` is another number, where other processes go by it (`zone`). */
  counted: (() => void) | null = null
  /** null: its group has not been replaced yet. One for all that follow each other, so that they form no chain. */
  #lineage: Lineage | null = null

  constructor(server: ServerOptions, address: Address, index: number) {
    this.name = server.name
    this.address = address
    this.weight = server.weight
    this.backup = server.backup
    this.index = index
    this.maxFails = server.maxFails
    this.failTimeout = Math.ceil(server.failTimeout / 1000)
    this.maxConns = server.maxConns
    const apart = server.apart?.[address.text]
    this.down = apart?.down ?? server.down
    this.drain = apart?.drain ?? server.drain === true
    this.route = server.route ?? ''
    this.effectiveWeight = server.weight
  }

  /** The same address in the group that serves now; requests still in flight here count there too. */
  get #successor(): Peer | null {
    const lineage = this.#lineage
    return lineage === null || lineage.current === this ? null : lineage.current
  }

  /** No other one has taken its place. */
  get #isLast(): boolean {
    return this.#lineage === null || this.#lineage.current === this
  }

  /** Its address is none of the group's any more. */
  get gone(): boolean {
    return this.#lineage !== null && this.#lineage.current === null
  }

  /** Has as many requests in flight as it may (`max_conns`). */
  get full(): boolean {
    return this.maxConns > 0 && this.load >= this.maxConns
  }

  /** Requests in flight, of all processes that share the group. */
  get load(): number {
    return this.connections + this.elsewhere
  }

  #count(change: 1 | -1): void {
    this.connections += change
    if (this.counted !== null && this.#isLast) this.counted()
  }

  /** Rests after failures. @param clock whole seconds; read only if there were failures */
  resting(clock: () => number): boolean {
    if (this.fails === 0 || this.maxFails === 0 || this.fails < this.maxFails) return false
    return clock() - this.checked <= this.failTimeout + this.patience
  }

  /** A request begins. When it is the probe of a failed peer, others wait another `failTimeout`. */
  begin(clock: () => number): void {
    this.#count(1)
    // Without failures `checked` means nothing until the next one sets it: no need to read the clock.
    if (this.fails > 0) {
      const now = clock()
      if (now - this.checked > this.failTimeout) {
        this.checked = now
        this.#tell('probed')
      }
    }
    this.#successor?.begin(clock)
  }

  /** A request ended well: forgets the failures if none came since the last probe began. */
  endWell(): void {
    this.#count(-1)
    if (this.fails > 0 && this.accessed < this.checked) {
      this.fails = 0
      this.#tell('recovered')
    }
    this.#successor?.endWell()
  }

  endFailed(clock: () => number): void {
    this.#count(-1)
    this.#fail(this.fails + 1, clock)
    this.#tell('failed')
    this.#successor?.endFailed(clock)
  }

  #fail(fails: number, clock: () => number): void {
    this.fails = fails
    this.accessed = this.checked = clock()
    if (this.maxFails > 0) {
      const lost = Math.floor(this.weight / this.maxFails)
      this.effectiveWeight = Math.max(0, this.effectiveWeight - lost)
    }
  }

  /** The one that took this one's place tells it itself. */
  #tell(event: 'failed' | 'probed' | 'recovered'): void {
    if (this.#isLast) this.watch?.(event)
  }

  /** It failed in another process. @param fails counted there */
  hearFailure(clock: () => number, fails: number): void {
    this.#fail(Math.max(this.fails + 1, fails), clock)
  }

  /** Another process tries it. */
  hearProbe(clock: () => number): void {
    if (this.fails > 0) this.checked = clock()
  }

  hearRecovery(): void {
    this.fails = 0
  }

  /** A request to the only peer of its group ended: such a peer is never given up. */
  endSingle(): void {
    this.#count(-1)
    this.fails = 0
    this.#successor?.endWell()
  }

  /** One step of the smooth weighted round robin as a candidate; returns what it adds to the total. */
  advance(): number {
    const weight = this.effectiveWeight
    this.currentWeight += weight
    if (weight < this.weight) this.effectiveWeight = weight + 1
    return weight
  }

  /**
   * Takes over what is known of the same address in the group that this peer's group replaces.
   * @param bound that the current weight is kept to: the sum of the weights that take turns now
   */
  adopt(previous: Peer, bound: number): void {
    this.connections += previous.connections
    this.elsewhere = previous.elsewhere
    this.fails = previous.fails
    this.accessed = previous.accessed
    this.checked = previous.checked
    this.patience = previous.patience
    if (previous.weight === this.weight) this.effectiveWeight = previous.effectiveWeight
    this.currentWeight = Math.max(-bound, Math.min(bound, previous.currentWeight))
    previous.#lineage ??= { current: previous }
    previous.#lineage.current = this
    this.#lineage = previous.#lineage
  }

  /** The group that replaces this peer's one does without its address. */
  leave(): void {
    this.#lineage ??= { current: this }
    this.#lineage.current = null
  }
}
