/**
 * What an upstream group is made of: nginx's `upstream` block after names are resolved. Data only; knows neither the
 * configuration language nor how a peer is chosen.
 */

/** Where a peer listens: `path` for a unix socket, else `host` (an IP literal without brackets) and `port`. */
export interface Address {
  /** As `$upstream_addr` shows it: `ip:port`, `[v6]:port`, `unix:/path`. */
  readonly text: string
  readonly host?: string
  readonly port?: number
  readonly path?: string
}

/** One `server` line. */
export interface ServerOptions {
  /** The text after `server`, as configured: `hash … consistent` places it on the ring by this. */
  readonly name: string
  /** One peer for each, every one with the full weight. */
  readonly addresses: readonly Address[]
  readonly weight: number
  /** Failures within `failTimeout` after which the peer is left out; 0: never. */
  readonly maxFails: number
  /** ms; counted in whole seconds, as nginx does. */
  readonly failTimeout: number
  /** Requests in flight; 0: no limit. */
  readonly maxConns: number
  readonly backup: boolean
  readonly down: boolean
  /** Takes only requests that are bound to it. Default: false */
  readonly drain?: boolean
  /** What such requests know it by. Default: a hash of its address */
  readonly route?: string
  /** Single addresses, by their text, that are down or drain apart from the others. */
  readonly apart?: Readonly<Record<string, { readonly down?: boolean; readonly drain?: boolean }>>
  /** Its name is looked up while it serves. Default: false */
  readonly resolve?: boolean
  /** Number of the configured line whose name is looked up while it serves (`resolve`); a service makes several servers. */
  readonly line?: number
}

export type Method =
  | 'round_robin'
  | 'hash'
  | 'hash consistent'
  | 'ip_hash'
  | 'least_conn'
  | 'random'
  | 'random two'

/** The `keepalive*` directives of an upstream block. */
export interface KeepaliveOptions {
  /** Idle connections kept, all peers together; 0: none. */
  readonly size: number
  /** Requests over one connection. */
  readonly requests: number
  /** ms that a connection may be idle. */
  readonly timeout: number
  /** ms after which a connection is not kept any more. */
  readonly time: number
}

export interface GroupOptions {
  readonly name: string
  readonly method: Method
  readonly servers: readonly ServerOptions[]
  readonly keepalive: KeepaliveOptions
  /** Failures are counted over all processes that share the group (`zone`). */
  readonly shared?: boolean
  /** It may be without servers, for now: requests find no live upstreams then. */
  readonly allowEmpty?: boolean
}

/** nginx's defaults since 1.29.7. */
export const KEEPALIVE_DEFAULTS: KeepaliveOptions = {
  size: 32,
  requests: 1000,
  timeout: 60_000,
  time: 3_600_000,
}

/** nginx's defaults of a `server` line. */
export const SERVER_DEFAULTS = {
  weight: 1,
  maxFails: 1,
  failTimeout: 10_000,
  maxConns: 0,
  backup: false,
  down: false,
} as const

/** The group that a `proxy_pass` without an upstream block stands for. */
export function implicitGroup(name: string, addresses: readonly Address[]): GroupOptions {
  return {
    name,
    method: 'round_robin',
    servers: [{ name, addresses, ...SERVER_DEFAULTS }],
    keepalive: KEEPALIVE_DEFAULTS,
  }
}
