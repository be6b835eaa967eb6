/**
 * One address of an upstream group and its state: weights of the smooth round robin, requests in flight, failures.
 * Knows nothing of how it is chosen, nor of its connections.
 *
 * Failures follow nginx: after `maxFails` of them the peer rests for `failTimeout`; then one request per `failTimeout`
 * probes it, until one succeeds.
 */
import type { Address, ServerOptions } from './options.ts'

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
  /** Requests in flight. */
  connections = 0
  fails = 0
  /** Second of the last failure. */
  accessed = 0
  /** Second since which `failTimeout` counts: the last failure, or the last probe. */
  checked = 0
  /** Seconds beyond `failTimeout` that it is left to another process to try it first (`zone`). */
  patience = 0
  /** Hears of failures and what comes of them, where other processes share them (`zone`). */
  watch: ((event: 'failed' | 'probed' | 'recovered') => void) | null = null
  /** The same address in the group that replaced this one; requests still in flight here count there too. */
  #successor: Peer | null = null

  constructor(server: ServerOptions, address: Address, index: number) {
    this.name = server.name
    this.address = address
    this.weight = server.weight
    this.backup = server.backup
    this.index = index
    this.maxFails = server.maxFails
    this.failTimeout = Math.ceil(server.failTimeout / 1000)
    this.maxConns = server.maxConns
    this.down = server.down
    this.drain = server.drain === true
    this.route = server.route ?? ''
    this.effectiveWeight = server.weight
  }

  /** Has as many requests in flight as it may (`max_conns`). */
  get full(): boolean {
    return this.maxConns > 0 && this.connections >= this.maxConns
  }

  /** Rests after failures. @param clock whole seconds; read only if there were failures */
  resting(clock: () => number): boolean {
    if (this.fails === 0 || this.maxFails === 0 || this.fails < this.maxFails) return false
    return clock() - this.checked <= this.failTimeout + this.patience
  }

  /** A request begins. When it is the probe of a failed peer, others wait another `failTimeout`. */
  begin(clock: () => number): void {
    this.connections++
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
    this.connections--
    if (this.fails > 0 && this.accessed < this.checked) {
      this.fails = 0
      this.#tell('recovered')
    }
    this.#successor?.endWell()
  }

  endFailed(clock: () => number): void {
    this.connections--
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
    if (this.#successor === null) this.watch?.(event)
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
    this.connections--
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

  /** Takes over what is known of the same address in the group that this peer's group replaces. */
  adopt(previous: Peer): void {
    this.connections += previous.connections
    this.fails = previous.fails
    this.accessed = previous.accessed
    this.checked = previous.checked
    this.patience = previous.patience
    if (previous.weight === this.weight) this.effectiveWeight = previous.effectiveWeight
    previous.#successor = this
  }
}
