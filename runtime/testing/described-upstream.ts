/** A described upstream group as the balancing code of the proxy takes it. Names are not looked up. */
import { UpstreamGroup } from '../upstream/group.ts'
import { KEEPALIVE_DEFAULTS, type Method, SERVER_DEFAULTS, type ServerOptions } from '../upstream/options.ts'
import { type DescribedPeer, type DescribedUpstream, DescriptionError } from './description.ts'

/** How a method is written in an `upstream` block. */
const METHODS: Readonly<Record<string, Method>> = {
  '': 'round_robin',
  round_robin: 'round_robin',
  ip_hash: 'ip_hash',
  least_conn: 'least_conn',
  random: 'random',
  'random two': 'random two',
  'random two least_conn': 'random two',
}

export interface ReadMethod {
  readonly method: Method
  /** The key of `hash`, a text with variables. */
  readonly key: string | null
}

/** Reads `hash $arg_userId consistent` and its kin. @throws DescriptionError */
export function readMethod(text = ''): ReadMethod {
  const [, key, consistent] = /^hash (\S+)( consistent)?$/.exec(text) ?? []
  if (key !== undefined) return { method: consistent === undefined ? 'hash' : 'hash consistent', key }
  const method = METHODS[text]
  if (method !== undefined) return { method, key: null }
  const known = Object.keys(METHODS).filter((name) => name !== '')
  throw new DescriptionError(
    `upstream: there is no method "${text}"; write "hash KEY", "hash KEY consistent", ${known.join(', ')}`,
  )
}

export interface GroupSources {
  /** Whole seconds. */
  readonly now: () => number
  readonly random: () => number
}

/** @throws DescriptionError for a group that no configuration could have */
export function makeGroup(upstream: DescribedUpstream, method: Method, sources: GroupSources): UpstreamGroup {
  const described = upstream.servers.map((server) => (typeof server === 'string' ? { name: server } : server))
  const name = upstream.name ?? 'app'
  let group: UpstreamGroup
  try {
    const servers = described.map(toServer)
    group = new UpstreamGroup(
      { name, method, servers, keepalive: KEEPALIVE_DEFAULTS },
      sources.now,
      sources.random,
    )
  } catch (error) {
    throw new DescriptionError(`upstream: ${(error as Error).message}`)
  }
  for (const peer of group.peers) {
    const { fails = 0, connections = 0 } = described.find((one) => one.name === peer.name)!
    for (let i = 0; i < fails; i++) {
      peer.begin(group.now)
      peer.endFailed(group.now)
    }
    peer.connections = connections
  }
  return group
}

function toServer(peer: DescribedPeer): ServerOptions {
  const { name, address = name, connections: _connections, fails: _fails, ...options } = peer
  if (typeof name !== 'string' || name === '') throw new Error('a server has a name, as "10.0.0.1:8080"')
  return { ...SERVER_DEFAULTS, ...options, name, addresses: [{ text: address }] }
}
