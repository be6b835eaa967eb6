// Upstream groups written as in nginx's configuration, with a clock and a die that the test holds.

import { UpstreamGroup } from '../../runtime/upstream/group.ts'
import {
  KEEPALIVE_DEFAULTS,
  type Method,
  SERVER_DEFAULTS,
  type ServerOptions,
} from '../../runtime/upstream/options.ts'
import type { Peer } from '../../runtime/upstream/peer.ts'
import type { Selection } from '../../runtime/upstream/selection.ts'

/** What a test may fix beside the servers. */
export interface World {
  /** Whole seconds. */
  second: number
  /** Numbers from 0 to below 1 that the next draws give; then Math.random decides. */
  draws: number[]
}

export function world(second = 1_000_000): World {
  return { second, draws: [] }
}

/**
 * @param servers one line each: `NAME [weight=N] [max_fails=N] [fail_timeout=N] [max_conns=N] [backup] [down]
 * [-> ADDRESS …]`; without addresses the name is the address
 */
export function group(method: Method, servers: readonly string[], held: World = world()): UpstreamGroup {
  return new UpstreamGroup(
    { name: 'app', method, servers: servers.map(server), keepalive: KEEPALIVE_DEFAULTS },
    () => held.second,
    () => held.draws.shift() ?? Math.random(),
  )
}

export function server(line: string): ServerOptions {
  const [left, right] = line.split(' -> ')
  const [name, ...words] = left!.split(' ')
  const number = (word: string, otherwise: number) => {
    const found = words.find((text) => text.startsWith(`${word}=`))
    return found === undefined ? otherwise : Number(found.slice(word.length + 1))
  }
  return {
    name: name!,
    addresses: (right?.split(' ') ?? [name!]).map((text) => ({ text })),
    weight: number('weight', SERVER_DEFAULTS.weight),
    maxFails: number('max_fails', SERVER_DEFAULTS.maxFails),
    failTimeout: number('fail_timeout', 10) * 1000,
    maxConns: number('max_conns', SERVER_DEFAULTS.maxConns),
    backup: words.includes('backup'),
    down: words.includes('down'),
  }
}

/** One request whose try ends with this verdict; the name of the peer it took, or `-`. */
export function request(from: UpstreamGroup, verdict: 'ok' | 'failed' | 'next' = 'ok', key = ''): string {
  const selection = from.select(key)
  const peer = selection.next()
  if (peer !== null) selection.release(peer, verdict)
  return peer?.address.text ?? '-'
}

/** `count` requests one after the other, all of them well. */
export function requests(from: UpstreamGroup, count: number, key = ''): string {
  return Array.from({ length: count }, () => request(from, 'ok', key)).join(' ')
}

/** The peers that one request takes when each try before has failed, `-` when there is none. */
export function tries(selection: Selection, count: number): string {
  const names: string[] = []
  for (let i = 0; i < count; i++) {
    const peer = selection.next()
    names.push(peer?.address.text ?? '-')
    if (peer !== null) selection.release(peer, 'failed')
  }
  return names.join(' ')
}

/** Takes the next peer and keeps the request in flight. @throws Error when there is none */
export function begin(selection: Selection): Peer {
  const peer = selection.next()
  if (peer === null) throw new Error('no live upstreams')
  return peer
}
