/**
 * The zones of `limit_req` and `limit_conn` where several workers serve: one book for all of them, kept by their
 * supervisor, so that all agree. `LimitBooks` is the supervisor's end, `MachineLimits` a worker's. Knows no requests.
 *
 *   worker --take [claims]--> books      all are looked at; unless one refuses, all are counted
 *   worker --admit [claims]-> books      likewise; each that is admitted is released, by the end of the worker at last
 */
import type { LimitZoneModel } from '../config/model.ts'
import { type Channel, ChannelError } from '../lib/channel.ts'
import { ConnectionZone } from './connection-zone.ts'
import { NO_ROOM, RateZone } from './rate-zone.ts'

/** A zone as all processes know it: zones of one identity are one zone. */
export interface ZoneIdentity {
  readonly kind: LimitZoneModel['kind']
  readonly name: string
  /** The key's text. */
  readonly key: string
  readonly size: number
}

export interface RateClaim {
  readonly zone: ZoneIdentity
  readonly key: string
  /** Thousandths per second, and thousandths. */
  readonly rate: number
  readonly burst: number
}

export interface RateVerdict {
  /** Index of the claim that refuses; -1: none does. */
  readonly refused: number
  /** Thousandths above the rate: of the one that refuses, or of each. NO_ROOM: it cannot be counted. */
  readonly excess: readonly number[]
}

export interface ConnectionClaim {
  readonly zone: ZoneIdentity
  readonly key: string
  readonly max: number
}

export interface ConnectionVerdict {
  /** Index of the claim that refuses; -1: none does. */
  readonly refused: number
  /** It refuses for want of room. */
  readonly full: boolean
}

export function identityOf({ kind, name, key, size }: LimitZoneModel): ZoneIdentity {
  return { kind, name, key: key.text, size }
}

function textOf({ kind, name, key, size }: ZoneIdentity): string {
  return JSON.stringify([kind, name, key, size])
}

export class LimitBooks {
  readonly #rates = new Map<string, RateZone>()
  readonly #connections = new Map<string, ConnectionZone>()

  /** The zones of the configuration that serves from now on; of the others, only what is under way stays. */
  adopt(models: readonly LimitZoneModel[]): void {
    const wanted = new Set(models.map((model) => textOf(identityOf(model))))
    for (const id of this.#rates.keys()) if (!wanted.has(id)) this.#rates.delete(id)
    for (const [id, zone] of this.#connections)
      if (!wanted.has(id) && zone.keys === 0) this.#connections.delete(id)
  }

  /**
   * Answers a worker.
   * @returns a function that ends it: nothing of the worker's is under way any more
   */
  serve(channel: Channel): () => void {
    const held = new Map<string, { readonly zone: ConnectionZone; readonly key: string; count: number }>()
    channel.answer('limit take', (claims: readonly RateClaim[], counts: boolean) =>
      this.#take(claims, counts),
    )
    channel.answer('limit admit', (claims: readonly ConnectionClaim[]) => {
      const verdict = this.#admit(claims)
      if (verdict.refused >= 0) return verdict
      for (const { zone, key } of claims) {
        const id = `${textOf(zone)} ${key}`
        const entry = held.get(id)
        if (entry === undefined) held.set(id, { zone: this.#connectionZone(zone), key, count: 1 })
        else entry.count++
      }
      return verdict
    })
    channel.answer('limit release', (zone: ZoneIdentity, key: string) => {
      const id = `${textOf(zone)} ${key}`
      const entry = held.get(id)
      if (entry === undefined) return
      entry.zone.release(key)
      if (--entry.count === 0) held.delete(id)
    })
    return () => {
      for (const { zone, key, count } of held.values()) for (let i = 0; i < count; i++) zone.release(key)
      held.clear()
    }
  }

  #take(claims: readonly RateClaim[], counts: boolean): RateVerdict {
    const zones = claims.map(({ zone }) => this.#rateZone(zone))
    for (const [i, { key, rate, burst }] of claims.entries()) {
      const excess = zones[i].look(key, rate)
      if (excess > burst) return { refused: i, excess: [excess] }
    }
    if (!counts) return { refused: -1, excess: [] }
    const excess = claims.map(({ key, rate, burst }, i) => zones[i].take(key, rate, burst))
    const full = excess.indexOf(NO_ROOM)
    return full < 0 ? { refused: -1, excess } : { refused: full, excess: [NO_ROOM] }
  }

  #admit(claims: readonly ConnectionClaim[]): ConnectionVerdict {
    for (const [i, { zone, key, max }] of claims.entries()) {
      const admission = this.#connectionZone(zone).admit(key, max)
      if (admission === 'admitted') continue
      for (const before of claims.slice(0, i)) this.#connectionZone(before.zone).release(before.key)
      return { refused: i, full: admission === 'no room' }
    }
    return { refused: -1, full: false }
  }

  #rateZone(identity: ZoneIdentity): RateZone {
    const id = textOf(identity)
    let zone = this.#rates.get(id)
    if (zone === undefined) this.#rates.set(id, (zone = new RateZone(identity)))
    return zone
  }

  #connectionZone(identity: ZoneIdentity): ConnectionZone {
    const id = textOf(identity)
    let zone = this.#connections.get(id)
    if (zone === undefined) this.#connections.set(id, (zone = new ConnectionZone(identity)))
    return zone
  }
}

export class MachineLimits {
  readonly #channel: Channel
  readonly #timeout: number

  /** @param timeout ms for one question */
  constructor(channel: Channel, timeout: number) {
    this.#channel = channel
    this.#timeout = timeout
  }

  /** @param counts false: they are looked at only. @throws ChannelError */
  take(claims: readonly RateClaim[], counts: boolean): Promise<RateVerdict> {
    return this.#channel.ask('limit take', this.#timeout, claims, counts)
  }

  /** @throws ChannelError; what is admitted too late is released */
  admit(claims: readonly ConnectionClaim[]): Promise<ConnectionVerdict> {
    return new Promise((done, fail) => {
      let late = false
      const timer = setTimeout(() => {
        late = true
        fail(new ChannelError('timeout', `"limit admit" took over ${this.#timeout} ms`))
      }, this.#timeout)
      const answered = (verdict: ConnectionVerdict) => {
        clearTimeout(timer)
        if (!late) done(verdict)
        else if (verdict.refused < 0) for (const { zone, key } of claims) this.release(zone, key)
      }
      const failed = (error: unknown) => {
        clearTimeout(timer)
        fail(error)
      }
      this.#channel.ask<ConnectionVerdict>('limit admit', Infinity, claims).then(answered, failed)
    })
  }

  release(zone: ZoneIdentity, key: string): void {
    this.#channel.tell('limit release', zone, key)
  }
}
