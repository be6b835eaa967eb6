/**
 * What a hook finds when it begins, as plain data that nothing changes any more: the request as it stands, the upstream
 * group, the chunk or the message. Variables and the request's body are not in it: they are asked for one by one.
 */
import type {
  BalancerView,
  HookRequest,
  PeerInfo,
  Phase,
  WebSocketEnd,
  WebSocketMessage,
  WebSocketState,
} from '../phases.ts'

export type Pairs = readonly (readonly [name: string, value: string])[]

export interface UpstreamInput {
  readonly name: string
  readonly peers: readonly PeerInfo[]
  /** Tries before this one. */
  readonly tries: number
  readonly lastFailure: string | null
}

export interface SocketInput {
  readonly protocol: string
  readonly reconnects: number
  readonly message: WebSocketMessage | null
  readonly end: WebSocketEnd | null
  /** `ws.state` of the script that runs. */
  readonly state: WebSocketState | null
}

/** Byte strings. */
export interface HookInput {
  readonly method: string
  readonly httpVersion: string
  readonly remoteAddress: string
  readonly uri: string
  readonly args: string
  readonly status: number
  readonly headersIn: Pairs
  readonly headersOut: Pairs
  readonly upstream: UpstreamInput | null
  readonly chunk: { readonly data: Uint8Array; readonly last: boolean } | null
  readonly socket: SocketInput | null
}

/** @param stateKey name of the running script's `ws.state` in `WebSocketView.states` */
export function inputOf(x: HookRequest, phase: Phase, stateKey: string): HookInput {
  const { bodyChunk, balancer } = x
  return {
    method: x.method,
    httpVersion: x.httpVersion,
    remoteAddress: x.remoteAddress,
    uri: x.uri,
    args: x.rawArgs,
    status: x.status,
    headersIn: x.requestHeaders.entries(),
    headersOut: x.responseHeaders.entries(),
    upstream: phase === 'balancer' && balancer !== null ? upstreamOf(balancer) : null,
    chunk:
      phase === 'bodyFilter' && bodyChunk !== null
        ? { data: Uint8Array.from(bodyChunk.data), last: bodyChunk.last }
        : null,
    socket: phase.startsWith('ws') ? socketOf(x, stateKey) : null,
  }
}

function upstreamOf({ name, peers, tries, lastFailure }: BalancerView): UpstreamInput {
  return { name, peers, tries, lastFailure }
}

function socketOf({ webSocket }: HookRequest, stateKey: string): SocketInput | null {
  if (webSocket === null) return null
  const { protocol, reconnects, message, end, states } = webSocket
  const state = states.get(stateKey)
  return {
    protocol,
    reconnects,
    message: message && { from: message.from, data: Uint8Array.from(message.data), binary: message.binary },
    end: end && { by: end.by, code: end.code, reason: end.reason },
    state: state === undefined ? null : { json: state.json, version: state.version },
  }
}

/** As the engine names the `ws.state` of a script. */
export function stateKeyOf(file: string, params: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(params).sort()
  return pairs.length === 0 ? file : `${file} ${JSON.stringify(pairs)}`
}

/** `GET /chat?userId=7 HTTP/1.1` */
export function requestLine({ method, uri, args, httpVersion }: HookInput): string {
  return `${method} ${uri}${args === '' ? '' : `?${args}`} HTTP/${httpVersion}`
}
