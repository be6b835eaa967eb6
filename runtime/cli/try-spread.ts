/**
 * Many requests that differ in one argument: where each goes, and how many would go elsewhere if a server were added
 * or lost.
 */
import type { Model, UpstreamModel, UpstreamServerModel } from '../config/model.ts'
import type { Peer } from '../upstream/peer.ts'
import { type DryRequest, withArgument } from './try-arguments.ts'
import type { Entrance } from './try-client.ts'
import type { TraceEnd } from './try-end.ts'
import { DryGeneration } from './try-generation.ts'

export interface Spread {
  readonly count: number
  /** Requests by where they went, e.g. `127.0.0.1:8001`, `answer 403`; peers in configured order, then answers. */
  readonly places: ReadonlyMap<string, number>
  /** Each request goes to the same place every time: else there is nothing that could move. */
  readonly settled: boolean
  readonly moves: readonly Move[]
}

/** What would happen to the requests. */
export interface Move {
  readonly address: string
  readonly group: string
  readonly change: 'added' | 'lost'
  /** Requests that would go elsewhere. */
  readonly moved: number
}

export interface SpreadOptions {
  readonly model: Model
  readonly prefix: string
  readonly request: DryRequest
  readonly at: string | null
  /** The argument that differs: `$arg_NAME` is 1, 2, … */
  readonly name: string
  readonly count: number
}

/** Where each request goes, with what tells whether it always would. */
interface Round {
  readonly places: readonly string[]
  /** Names of the groups that were asked. */
  readonly groups: ReadonlySet<string>
  /** Some choice followed turns, load or chance. */
  readonly arbitrary: boolean
}

export async function measureSpread(options: SpreadOptions, dry: DryGeneration): Promise<Spread> {
  const entrance = dry.entrance(options.at, options.request)
  const base = await askAll(options, dry, entrance)
  const again = await askAll(options, dry, entrance)
  const settled = !base.arbitrary && differences(base, again) === 0
  const upstreams = dry.generation.upstreams.all.filter(({ live }) => base.groups.has(live.name))
  const peers = upstreams.flatMap(({ live }) => live.group.peers)
  const moves: Move[] = []
  for (const { live, model } of settled ? upstreams : []) {
    if (model?.servers.some(({ backup }) => !backup)) moves.push(await added(options, model, base))
    for (const peer of live.group.peers) {
      if (peer.down || peer.backup) continue
      const moved = differences(base, await without(peer, () => askAll(options, dry, entrance)))
      moves.push({ address: peer.address.text, group: live.name, change: 'lost', moved })
    }
  }
  const places = countPlaces(base.places, [...new Set(peers.map(({ address }) => address.text))])
  return { count: options.count, places, settled, moves }
}

async function askAll(options: SpreadOptions, dry: DryGeneration, entrance: Entrance): Promise<Round> {
  const places: string[] = []
  const groups = new Set<string>()
  let arbitrary = false
  for (let n = 1; n <= options.count; n++) {
    const { end } = await dry.run(withArgument(options.request, options.name, String(n)), entrance)
    places.push(placeOf(end))
    if (end.kind !== 'peer') continue
    groups.add(end.group)
    arbitrary ||= isArbitrary(end)
  }
  return { places, groups, arbitrary }
}

function placeOf(end: TraceEnd): string {
  if (end.kind === 'peer') return end.address
  return end.kind === 'answer' ? `answer ${end.status}` : 'no answer'
}

/** A hash without a key is round robin. */
function isArbitrary({ hook, asked, method, key }: Extract<TraceEnd, { kind: 'peer' }>): boolean {
  if (hook === null) return key === null || (method.startsWith('hash') && key === '')
  return asked !== null && !/^hash\("[^"]|^ipHash/.test(asked)
}

function countPlaces(places: readonly string[], peers: readonly string[]): Map<string, number> {
  const counts = new Map(peers.map((peer) => [peer, 0]))
  for (const place of [...places].sort()) counts.set(place, (counts.get(place) ?? 0) + 1)
  return counts
}

function differences(a: Round, b: Round): number {
  return a.places.reduce((sum, place, i) => sum + (place === b.places[i] ? 0 : 1), 0)
}

/** As if this server had stopped; the others stay as they are. */
async function without(peer: Peer, ask: () => Promise<Round>): Promise<Round> {
  peer.down = true
  try {
    return await ask()
  } finally {
    peer.down = false
  }
}

/** As if the configuration had one `server` more, with the weight of the last one. */
async function added(options: SpreadOptions, upstream: UpstreamModel, base: Round): Promise<Move> {
  const last = upstream.servers.findLast(({ backup }) => !backup)!
  const address = freeAddress(upstream, last)
  const servers = [...upstream.servers, { ...last, name: address, down: false }]
  const http = options.model.http!
  const upstreams = http.upstreams.map((other) =>
    other.name === upstream.name ? { ...other, servers } : other,
  )
  const dry = await DryGeneration.compile({ ...options.model, http: { ...http, upstreams } }, options.prefix)
  try {
    const grown = await askAll(options, dry, dry.entrance(options.at, options.request))
    return { address, group: upstream.name, change: 'added', moved: differences(base, grown) }
  } finally {
    dry.close()
  }
}

/** An address that no server of the group has: the last one's with another port. Never a name to be looked up. */
function freeAddress({ servers }: UpstreamModel, last: UpstreamServerModel): string {
  const [, host = '127.0.0.1', port = '80'] =
    /^(\d+\.\d+\.\d+\.\d+|\[[^\]]*\])(?::(\d+))?$/.exec(last.name) ?? []
  for (let next = Number(port) + 1; ; next++) {
    const address = `${host}:${((next - 1) % 65_535) + 1}`
    if (servers.every(({ name }) => name !== address)) return address
  }
}
