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
    this.effectiveWeight = server.weight
  }

  /** Has as many requests in flight as it may (`max_conns`). */
  get full(): boolean {
    return this.maxConns > 0 && this.connections >= this.maxConns
  }

  /** Rests after failures. @param clock whole seconds; read only if there were failures */
  resting(clock: () => number): boolean {
    if (this.fails === 0 || this.maxFails === 0 || this.fails < this.maxFails) return false
    return clock() - this.checked <= this.failTimeout
  }

  /** A request begins. When it is the probe of a failed peer, others wait another `failTimeout`. */
  begin(clock: () => number): void {
    this.connections++
    // Without failures `checked` means nothing until the next one sets it: no need to read the clock.
    if (this.fails > 0) {
      const now = clock()
      if (now - this.checked > this.failTimeout) this.checked = now
    }
    this.#successor?.begin(clock)
  }

  /** A request ended well: forgets the failures if none came since the last probe began. */
  endWell(): void {
    this.connections--
    if (this.accessed < this.checked) this.fails = 0
    this.#successor?.endWell()
  }

  endFailed(clock: () => number): void {
    this.connections--
    this.fails++
    this.accessed = this.checked = clock()
    if (this.maxFails > 0) {
      const lost = Math.floor(this.weight / this.maxFails)
      this.effectiveWeight = Math.max(0, this.effectiveWeight - lost)
    }
    this.#successor?.endFailed(clock)
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
    if (previous.weight === this.weight) this.effectiveWeight = previous.effectiveWeight
    previous.#successor = this
  }
}
