/** A client of one Redis, of a Cluster, or of what a Sentinel names master: never queues, never hangs, connects again. */
import { Cluster, Redis, type RedisOptions } from 'ioredis'

export { ConnectionFaults } from './redis-faults.ts'

export interface RedisAddress {
  readonly host: string
  readonly port: number
}

export interface RedisSettings {
  /** One server; several nodes of a cluster; or the sentinels. */
  readonly addresses: readonly RedisAddress[]
  /** Instead of an address. */
  readonly path?: string
  readonly mode: 'single' | 'cluster' | 'sentinel'
  /** The master's name, for Sentinel. */
  readonly sentinel?: string
  readonly sentinelPassword?: string
  readonly username?: string
  readonly password?: string
  readonly database: number
  /** null: no TLS. `ca`: PEM. */
  readonly tls: { readonly ca?: string; readonly servername?: string } | null
  /** Begins every key. */
  readonly prefix: string
  /** ms for one call (`store_timeout`). */
  readonly timeout: number
}

const CONNECT_TIMEOUT = 2000
/** ms that the end of a process waits for a server that says nothing. */
const DISCONNECT_TIMEOUT = 100

/**
 * @param scripts defined as commands of the client
 * Failures are the calls' to report: the caller listens for `error` and need not do anything then.
 */
export function connectRedis(options: RedisSettings, scripts: RedisOptions['scripts'] = {}): Redis | Cluster {
  const { addresses, mode, username, password, timeout, tls } = options
  const common: RedisOptions = {
    protocol: 2,
    username,
    password,
    commandTimeout: timeout,
    connectTimeout: CONNECT_TIMEOUT,
    disconnectTimeout: DISCONNECT_TIMEOUT,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    ...(tls !== null && { tls: { ...tls } }),
  }
  if (mode === 'cluster')
    return new Cluster(
      addresses.map(({ host, port }) => ({ host, port })),
      {
        redisOptions: common,
        enableOfflineQueue: false,
        clusterRetryStrategy: backoff,
        slotsRefreshTimeout: CONNECT_TIMEOUT,
        scripts,
      },
    )
  const single: RedisOptions = {
    ...common,
    db: options.database,
    enableOfflineQueue: false,
    retryStrategy: backoff,
    scripts,
  }
  if (mode === 'sentinel')
    return insistOnDatabase(
      new Redis({
        ...single,
        sentinels: [...addresses],
        name: options.sentinel,
        sentinelPassword: options.sentinelPassword,
        sentinelRetryStrategy: backoff,
        enableTLSForSentinelMode: tls !== null,
        ...(tls !== null && { sentinelTLS: { ...tls } }),
      }),
    )
  return insistOnDatabase(
    new Redis(
      options.path === undefined ? { ...single, ...addresses[0] } : { ...single, path: options.path },
    ),
  )
}

/** The client would go on in database 0, where the keys of others may be. */
function insistOnDatabase(redis: Redis): Redis {
  return redis.on('error', (error: Error & { command?: { name?: string } }) => {
    if (error.command?.name === 'select') redis.disconnect(true)
  })
}

/** ms before the n-th attempt to connect again, some of it by chance, so that a fleet does not come all at once. */
function backoff(times: number): number {
  return Math.min(50 * 2 ** Math.min(times, 10), 2000) * (0.5 + Math.random() / 2)
}

/** For messages. */
export function describeRedis({ mode, addresses, path }: RedisSettings): string {
  const where = path ?? addresses.map(({ host, port }) => `${host}:${port}`).join(',')
  return mode === 'single' ? `redis ${where}` : `redis ${mode} ${where}`
}
