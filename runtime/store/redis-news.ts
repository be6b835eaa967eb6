/**
 * Hears of changes to a Redis: over a connection of its own, by the server's client tracking (RESP2, broadcasting,
 * redirected: https://redis.io/docs/latest/develop/reference/client-side-caching/) or, where that cannot be had (a
 * cluster, a forbidden command), by what those who write publish. Says so when it may have missed something.
 */
import { randomBytes } from 'node:crypto'
import { Cluster, type Redis, type RedisOptions } from 'ioredis'

export interface News {
  changed(map: string, key: string): void
  /** The connection was lost, or everything was deleted. */
  missed(): void
}

/** ms */
const TRY_AGAIN = 500
const TRACKING = '__redis__:invalidate'

export class RedisNews {
  /** The server tells of changes: those who write need not. */
  tracked = false
  /** Changes are heard of now. */
  listening = false
  readonly #channel: string
  /** Begins what this process publishes, which it does not hear itself. */
  readonly #author = `${randomBytes(9).toString('base64url')}\0`
  readonly #redis: Redis | Cluster
  readonly #keyStart: string
  readonly #news: News
  /** Hears; null for a cluster, which has one inside. */
  readonly #ear: Redis | null
  #earId = 0
  #subscribed = false
  #ready: () => void = () => undefined
  readonly #whenReady = new Promise<void>((done) => {
    this.#ready = done
  })
  #closed = false

  constructor(redis: Redis | Cluster, { prefix }: { readonly prefix: string }, news: News) {
    this.#redis = redis
    this.#news = news
    this.#channel = `${prefix}changed`
    this.#keyStart = `${prefix}m:`
    this.#ear = redis instanceof Cluster ? null : redis.duplicate(EAR_OPTIONS)
    const ear = this.#ear ?? redis
    ear.on('messageBuffer', (channel: Buffer, message: unknown) => this.#onMessage(channel, message))
    ear.on('error', () => undefined)
    // Either connection may be another server's now, after a failover.
    ear.on('close', () => this.#onLost())
    ear.on('ready', () => void this.#subscribe(ear))
    if (this.#ear === null) return
    redis.on('close', () => this.#onLost())
    redis.on('ready', () => void this.#begin())
  }

  /** Where those who write publish, and what; '' where the server itself tells of changes. */
  told(map: string, key: string): [channel: string, message: string] {
    return this.tracked ? ['', ''] : [this.#channel, `${this.#author}${map}\0${key}`]
  }

  ready(): Promise<void> {
    return this.#whenReady
  }

  close(): void {
    this.#closed = true
    this.#ear?.disconnect()
  }

  /** The ear has a connection. A subscriber can do nothing but listen, so it asks for its number first. */
  async #subscribe(ear: Redis | Cluster): Promise<void> {
    try {
      if (this.#ear !== null) this.#earId = await this.#ear.client('ID')
      await ear.subscribe(this.#channel, TRACKING)
      this.#subscribed = true
      await this.#begin()
    } catch {
      // The connection was lost meanwhile: `ready` comes again.
    }
  }

  /** Both connections are there. */
  async #begin(): Promise<void> {
    const redis = this.#redis
    if (this.#closed || redis.status !== 'ready' || !this.#subscribed) return
    try {
      this.tracked = this.#ear !== null && (await this.#track(redis as Redis))
      this.#news.missed()
      this.listening = this.#subscribed
      if (this.listening) this.#ready()
    } catch {
      // Too slow, or the connection was lost: then `ready` comes again as well.
      setTimeout(() => void this.#begin(), TRY_AGAIN).unref()
    }
  }

  /** @returns false where the server, or what stands before it, does not allow it */
  async #track(redis: Redis): Promise<boolean> {
    const { status } = redis
    try {
      await redis.client('TRACKING', 'OFF')
      const words = ['ON', 'REDIRECT', this.#earId, 'BCAST', 'PREFIX', this.#keyStart, 'NOLOOP']
      await redis.call('CLIENT', 'TRACKING', ...words)
      return true
    } catch (error) {
      if (redis.status === status && /^(ERR|NOPERM)/.test((error as Error).message)) return false
      throw error
    }
  }

  #onLost(): void {
    if (this.#ear === null || this.#ear.status !== 'ready') this.#subscribed = false
    if (!this.listening) return
    this.listening = false
    this.#news.missed()
  }

  #onMessage(channel: Buffer, message: unknown): void {
    if (channel.toString() === TRACKING) {
      if (!Array.isArray(message)) this.#news.missed()
      else for (const key of message as Buffer[]) this.#onKey(key.toString('utf8'))
      return
    }
    const text = (message as Buffer).toString('utf8')
    if (text.startsWith(this.#author)) return
    const [from, to] = [text.indexOf('\0') + 1, text.indexOf('\0', text.indexOf('\0') + 1)]
    if (to > 0) this.#news.changed(text.slice(from, to), text.slice(to + 1))
  }

  #onKey(text: string): void {
    const at = text.indexOf('{}', this.#keyStart.length)
    if (text.startsWith(this.#keyStart) && at > 0)
      this.#news.changed(text.slice(this.#keyStart.length, at), text.slice(at + 2))
  }
}

const EAR_OPTIONS: Partial<RedisOptions> = {
  enableOfflineQueue: true,
  autoResubscribe: false,
  commandTimeout: 2000,
}
