/**
 * The Redis that machines share: two connections of the fleet's own, one to ask and one that hears. What it returns is as
 * hostile as whoever may write there: bounded, and for the caller to read strictly. Never hangs: a call that cannot be made
 * now fails now.
 */
import { Cluster, type Redis } from 'ioredis'
import { ConnectionFaults, connectRedis, describeRedis, type RedisSettings } from '../store/redis-connect.ts'
import { FleetError } from './fleet.ts'
import { AWAY } from './fleet-status.ts'
import { digestOf, MAX_REASON } from './record.ts'
import { FLEET_SCRIPTS } from './redis-scripts.ts'

/** What somebody has done, of which roll-out. */
export type NewsKind = 'asked' | 'answered' | 'recorded'

export interface Listener {
  /** Both connections are there: news may have been missed before. */
  joined(): void
  lost(): void
  news(kind: NewsKind, id: string): void
}

/** A roll-out as it is kept; nothing of it has been checked. */
export interface StoredRollout {
  /** ms of the server's clock */
  readonly now: number
  readonly at: number
  /** 0: it is not. */
  readonly recorded: number
  readonly proposal: string
  readonly state: string
  readonly reason: string
  /** By machine; '': none yet. */
  readonly answers: ReadonlyMap<string, string>
}

export interface Overview {
  /** ms of the server's clock */
  readonly now: number
  readonly machines: readonly { readonly machine: string; readonly seen: number; readonly words: string }[]
  readonly records: ReadonlyMap<string, string>
}

export interface Recording {
  readonly id: string
  readonly name: string
  /** What is replaced; '': nothing. */
  readonly before: string
  readonly record: string
  /** Hashes of the texts that have to be there, of those that are named besides, and of those that no longer are. */
  readonly needed: readonly string[]
  readonly named: readonly string[]
  readonly dropped: readonly string[]
}

/** ms for one call: texts are up to 1 MiB. */
const TIMEOUT = 2000
const NEWS = /^(asked|answered|recorded) ([0-9a-f]{16})$/

type ScriptName = keyof typeof FLEET_SCRIPTS

export class FleetRedis {
  readonly #settings: RedisSettings
  readonly #redis: Redis | Cluster
  readonly #ear: Redis | Cluster
  readonly #listener: Listener
  readonly #faults = new ConnectionFaults()
  readonly #channel: string
  #hears = false
  #joined = false
  #closed = false

  constructor(settings: RedisSettings, listener: Listener) {
    this.#settings = settings
    this.#listener = listener
    this.#channel = this.#key('news')
    this.#redis = connectRedis({ ...settings, timeout: TIMEOUT }, FLEET_SCRIPTS)
    this.#ear = this.#redis instanceof Cluster ? this.#redis : this.#redis.duplicate(EAR_OPTIONS)
    for (const redis of new Set([this.#redis, this.#ear])) {
      // Failures are the calls' to report.
      this.#faults.watch(redis)
      redis.on('close', () => this.#onClose(redis))
      redis.on('ready', () => void this.#onReady(redis))
    }
    this.#ear.on('messageBuffer', (channel: Buffer, message: Buffer) => this.#onMessage(channel, message))
  }

  get connected(): boolean {
    return this.#joined
  }

  get description(): string {
    return describeRedis(this.#settings)
  }

  close(): void {
    this.#closed = true
    this.#joined = false
    this.#ear.disconnect()
    this.#redis.disconnect()
  }

  // ---- calls ----

  /** @returns the number of the process that was known by this name; '': none */
  async beat(machine: string, instance: string, words: string): Promise<string> {
    const reply = await this.#call('fleetBeat', ['beats', 'machines'], [machine, instance, words])
    return String(reply)
  }

  async leave(machine: string, instance: string): Promise<void> {
    await this.#call('fleetLeave', ['beats', 'machines'], [machine, instance])
  }

  /** @returns how many machines are asked */
  async propose(id: string, proposal: string, texts: ReadonlyMap<string, string>): Promise<number> {
    const keys = [`rollout:${id}`, 'beats', ...[...texts.keys()].map(textKey)]
    return Number(await this.#call('fleetPropose', keys, [id, proposal, String(AWAY), ...texts.values()]))
  }

  async answer(id: string, machine: string, answer: string): Promise<void> {
    await this.#call('fleetAnswer', [`rollout:${id}`], [id, machine, answer])
  }

  async refuse(id: string, reason: string): Promise<void> {
    await this.#call('fleetRefuse', [`rollout:${id}`], [id, reason.slice(0, MAX_REASON)])
  }

  /** @returns `over`: it was refused meanwhile, or is forgotten; `lost`: a text is gone */
  async record(recording: Recording): Promise<'recorded' | 'conflict' | 'full' | 'lost' | 'over'> {
    const { id, name, before, record, needed, named, dropped } = recording
    const keys = ['scripts', `rollout:${id}`, ...[...needed, ...named, ...dropped].map(textKey)]
    const counts = [String(needed.length), String(named.length)]
    const reply = await this.#call('fleetRecord', keys, [id, name, before, record, ...counts, ...dropped])
    return reply as 'recorded' | 'conflict' | 'full' | 'lost' | 'over'
  }

  /** Puts a record back that Redis has lost. @param before what is there; '': nothing */
  async restore(
    { id, name, before, record }: Pick<Recording, 'id' | 'name' | 'before' | 'record'>,
    texts: ReadonlyMap<string, string>,
  ): Promise<boolean> {
    const keys = ['scripts', ...[...texts.keys()].map(textKey)]
    return (await this.#call('fleetRestore', keys, [id, name, before, record, ...texts.values()])) === 1
  }

  /** @returns null when it is not known (any more) */
  async rollout(id: string): Promise<StoredRollout | null> {
    const reply = await this.#call('fleetRollout', [`rollout:${id}`], [])
    if (!Array.isArray(reply)) return null
    const [now, list] = reply as [string, string[]]
    const fields = new Map(pairs(list))
    const answers = [...fields].filter(([name]) => name.startsWith('m:'))
    const field = (name: string): string => fields.get(name) ?? ''
    return {
      now: Number(now),
      at: Number(field('at')),
      recorded: Number(field('recorded')),
      proposal: field('proposal'),
      state: field('state'),
      reason: field('reason'),
      answers: new Map(answers.map(([name, answer]) => [name.slice(2), answer])),
    }
  }

  /** Of each script that has one. */
  async records(): Promise<ReadonlyMap<string, string>> {
    return new Map(pairs((await this.#call('fleetRecords', ['scripts'], [])) as string[]))
  }

  /** @returns null when there is none, or when it is another one */
  async text(digest: string): Promise<string | null> {
    const text = await this.#call('fleetText', [textKey(digest)], [])
    return typeof text === 'string' && digestOf(text) === digest ? text : null
  }

  async overview(): Promise<Overview> {
    const reply = await this.#call('fleetOverview', ['beats', 'machines', 'scripts'], [])
    const [now, rows, records] = reply as [string, string[], string[]]
    const machines = Array.from({ length: rows.length / 3 }, (_, i) => {
      return { machine: rows[3 * i], seen: Number(rows[3 * i + 1]), words: rows[3 * i + 2] }
    })
    return { now: Number(now), machines, records: new Map(pairs(records)) }
  }

  /** @param args those after the channel, where the script tells the others */
  async #call(name: ScriptName, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const counted = 'numberOfKeys' in FLEET_SCRIPTS[name] ? [] : [String(keys.length)]
    const told = TELLING.has(name) ? [this.#channel] : []
    const all = [...counted, ...keys.map((key) => this.#key(key)), ...told, ...args]
    try {
      return await (this.#redis as unknown as Commands)[name](...all)
    } catch (error) {
      throw new FleetError('unavailable', `${this.description}: ${this.#faults.explain(error)}`)
    }
  }

  #key(name: string): string {
    return `${this.#settings.prefix}{fleet}${name}`
  }

  // ---- connections ----

  /** After a failover it may be another server: it is subscribed to anew. */
  async #onReady(redis: Redis | Cluster): Promise<void> {
    if (redis === this.#ear) {
      try {
        await this.#ear.subscribe(this.#channel)
        this.#hears = true
      } catch {
        // The connection was lost meanwhile: `ready` comes again.
        return
      }
    }
    if (this.#closed || this.#joined || !this.#hears || this.#redis.status !== 'ready') return
    this.#joined = true
    this.#listener.joined()
  }

  #onClose(redis: Redis | Cluster): void {
    if (redis === this.#ear) this.#hears = false
    if (!this.#joined) return
    this.#joined = false
    this.#listener.lost()
  }

  #onMessage(channel: Buffer, message: Buffer): void {
    if (channel.toString() !== this.#channel || message.length > 64) return
    const [, kind, id] = NEWS.exec(message.toString('latin1')) ?? []
    if (kind !== undefined) this.#listener.news(kind as NewsKind, id)
  }
}

type Commands = Record<ScriptName, (...args: string[]) => Promise<unknown>>

const TELLING: ReadonlySet<ScriptName> = new Set([
  'fleetPropose',
  'fleetAnswer',
  'fleetRefuse',
  'fleetRecord',
  'fleetRestore',
])

const EAR_OPTIONS = { enableOfflineQueue: true, autoResubscribe: false, commandTimeout: TIMEOUT }

function textKey(digest: string): string {
  return `text:${digest}`
}

function* pairs(list: readonly string[]): Generator<[string, string]> {
  for (let i = 0; i + 1 < list.length; i += 2) yield [list[i], list[i + 1]]
}
