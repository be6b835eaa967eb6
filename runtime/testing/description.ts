/**
 * What a test, a journal or a shadow run says about a request: plain data, every text a byte string. Knows no engine.
 */
import type { WebSocketState } from '../phases.ts'

/** A mistake in a description: it is no request, response or upstream group that could be. */
export class DescriptionError extends TypeError {
  override name = 'DescriptionError'
}

/** A value, or a list of values, by name; or pairs in order. */
export type DescribedFields =
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | readonly (readonly [name: string, value: string])[]

/** One server of the upstream group. */
export interface DescribedPeer {
  /** As configured: `hash … consistent` goes by it. */
  readonly name: string
  /** Default: the name. */
  readonly address?: string
  readonly weight?: number
  readonly down?: boolean
  readonly backup?: boolean
  readonly maxFails?: number
  /** ms */
  readonly failTimeout?: number
  readonly maxConns?: number
  /** Requests in flight. */
  readonly connections?: number
  /** Failures just now; `maxFails` of them, 1 by default, make the peer rest. */
  readonly fails?: number
}

export interface DescribedUpstream {
  readonly name?: string
  /** As the configuration says it: `least_conn`, `hash $arg_userId consistent`; default: round robin. */
  readonly method?: string
  readonly servers: readonly (string | DescribedPeer)[]
}

/** A try before the one that the balancer hook is asked about. */
export interface DescribedTry {
  /** Name or address. */
  readonly peer: string
  /** `error`, `timeout`, `http_502`, …; default: `error`. */
  readonly failure?: string
}

export interface DescribedWebSocket {
  /** The subprotocol agreed on. */
  readonly protocol?: string
  readonly reconnects?: number
  /** `ws.state` by script file, as an earlier sandbox left it. */
  readonly states?: ReadonlyMap<string, WebSocketState>
}

/** Everything has a default: `{}` is `GET / HTTP/1.1` from 127.0.0.1. */
export interface RequestDescription {
  readonly method?: string
  /** The path as scripts see it: decoded, without a query. */
  readonly uri?: string
  /** The query as sent, without `?`. */
  readonly args?: string
  /** The request target as sent, instead of `uri` and `args`: `/a%20b?c=d`. */
  readonly target?: string
  readonly httpVersion?: '1.0' | '1.1' | '2.0'
  readonly headers?: DescribedFields
  readonly body?: string | Uint8Array
  readonly remoteAddress?: string
  /** Values that stand in for what the variables of these names would have. */
  readonly variables?: Readonly<Record<string, string | undefined>>
  /** The group of this request alone, instead of the one that all of them share. */
  readonly peers?: readonly (string | DescribedPeer)[]
  readonly tried?: readonly DescribedTry[]
  /** Of the response, for `headerFilter` and what follows. Default: 200. */
  readonly status?: number
  /** As the upstream sent them. */
  readonly responseHeaders?: DescribedFields
  readonly webSocket?: DescribedWebSocket
}

/** Pairs in order. */
export function pairsOf(fields: DescribedFields | undefined): [name: string, value: string][] {
  if (fields === undefined) return []
  const entries = Array.isArray(fields) ? fields : Object.entries(fields)
  return entries.flatMap(([name, value]: [string, string | readonly string[] | undefined]) => {
    if (value === undefined) return []
    return (typeof value === 'string' ? [value] : [...value]).map((one): [string, string] => [name, one])
  })
}

/** Header lines. @throws DescriptionError for what no message can hold */
export function linesOf(fields: DescribedFields | undefined, what: string): string {
  return pairsOf(fields)
    .map(([name, value]) => {
      if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name))
        throw new DescriptionError(`${what}: ${JSON.stringify(name)} is no header name`)
      if (typeof value !== 'string' || /[^\x09\x20-\x7e\x80-\xff]/.test(value))
        throw new DescriptionError(`${what}: the value of ${name} cannot be ${JSON.stringify(value)}`)
      return `${name}: ${value}\r\n`
    })
    .join('')
}
