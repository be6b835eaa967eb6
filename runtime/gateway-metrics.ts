/**
 * All metrics of one gateway, gathered when somebody scrapes: what the data path counted, and what its connections,
 * peers, scripts, swaps and store are like now. The names here are the ones that dashboards know.
 */
import type { Gateway } from './gateway.ts'
import {
  counter,
  gauge,
  histogram,
  type Labels,
  type MetricFamily,
  ProcessMetrics,
} from './observe/metrics.ts'
import { Traffic } from './observe/metrics-traffic.ts'
import type { Store } from './store/store.ts'

const NONE: Labels = {}
const BREAKER = { closed: 0, 'half-open': 1, open: 2 } as const

export class GatewayMetrics {
  readonly #gateway: Gateway
  readonly #process = new ProcessMetrics()

  constructor(gateway: Gateway) {
    this.#gateway = gateway
  }

  async read(): Promise<MetricFamily[]> {
    const gateway = this.#gateway
    const traffic = gateway.services.traffic ?? new Traffic()
    return [
      ...connections(gateway),
      ...requests(traffic),
      ...upstreamCalls(traffic),
      ...peers(gateway),
      ...webSockets(traffic),
      ...scripts(gateway),
      ...swaps(gateway),
      ...store(gateway),
      ...(await this.#process.read()),
    ]
  }
}

function connections({ services, version }: Gateway): MetricFamily[] {
  const { stats } = services
  const by = (['reading', 'writing', 'waiting'] as const).map((state) => [{ state }, stats[state]] as const)
  return [
    gauge('sluice_info', 'The version that runs.', [[{ version }, 1]], 'max'),
    counter('sluice_connections_accepted_total', 'Client connections accepted.', [[NONE, stats.accepted]]),
    gauge('sluice_connections_active', 'Client connections that are open.', [[NONE, stats.active]]),
    gauge('sluice_connections', 'Client connections by what they do.', by),
  ]
}

function byClass(labels: Labels, classes: readonly number[]) {
  return classes.flatMap((count, first) =>
    count === 0 ? [] : [[{ ...labels, status: first === 0 ? 'none' : `${first}xx` }, count] as const],
  )
}

function requests({ servers }: Traffic): MetricFamily[] {
  const all = [...servers].map(([name, traffic]) => ({
    labels: { server: name === '' ? '_' : name },
    traffic,
  }))
  return [
    counter(
      'sluice_requests_total',
      'Requests answered, by server and class of status.',
      all.flatMap(({ labels, traffic }) => byClass(labels, traffic.classes)),
    ),
    histogram(
      'sluice_request_duration_seconds',
      'From the first byte of a request to the last one of its response; whole milliseconds.',
      all.map(({ labels, traffic }) => [labels, traffic.time]),
    ),
    counter(
      'sluice_received_bytes_total',
      'Bytes of requests.',
      all.map(({ labels, traffic }) => [labels, traffic.received]),
    ),
    counter(
      'sluice_sent_bytes_total',
      'Bytes of responses.',
      all.map(({ labels, traffic }) => [labels, traffic.sent]),
    ),
  ]
}

function upstreamCalls({ upstreams }: Traffic): MetricFamily[] {
  const all = [...upstreams].map(([upstream, traffic]) => ({ labels: { upstream }, traffic }))
  const times = (which: 'connect' | 'header' | 'response') =>
    all.map(({ labels, traffic }) => [labels, traffic[which]] as const)
  return [
    counter(
      'sluice_upstream_responses_total',
      'Answers of upstreams, by class of status.',
      all.flatMap(({ labels, traffic }) => byClass(labels, traffic.classes)),
    ),
    counter(
      'sluice_upstream_failures_total',
      'Tries that brought no answer.',
      all.map(({ labels, traffic }) => [labels, traffic.failures]),
    ),
    counter(
      'sluice_upstream_no_peer_total',
      'Requests for which no peer was left.',
      all.map(({ labels, traffic }) => [labels, traffic.peerless]),
    ),
    counter(
      'sluice_upstream_connections_total',
      'Tries by whether their connection was open already.',
      all.flatMap(({ labels, traffic }) => [
        [{ ...labels, connection: 'new' }, traffic.opened] as const,
        [{ ...labels, connection: 'reused' }, traffic.reused] as const,
      ]),
    ),
    histogram('sluice_upstream_connect_seconds', 'Time to open a connection.', times('connect')),
    histogram('sluice_upstream_header_seconds', 'Time to the head of the answer.', times('header')),
    histogram('sluice_upstream_response_seconds', 'Time to the end of the answer.', times('response')),
  ]
}

function peers({ generation }: Gateway): MetricFamily[] {
  const groups = generation.upstreams.all.map(({ live, pool }) => ({
    upstream: live.name,
    group: live.group,
    pool,
  }))
  const each = groups.flatMap(({ upstream, group }) =>
    group.peers.map((peer) => ({ labels: { upstream, peer: peer.address.text }, peer, now: group.now })),
  )
  return [
    gauge(
      'sluice_upstream_peer_up',
      '1: the peer may be chosen; 0: it is down, or rests after failures.',
      each.map(({ labels, peer, now }) => [labels, peer.down || peer.resting(now) ? 0 : 1]),
      'max',
    ),
    gauge(
      'sluice_upstream_peer_connections',
      'Requests in flight at the peer.',
      each.map(({ labels, peer }) => [labels, peer.connections]),
    ),
    gauge(
      'sluice_upstream_peer_fails',
      'Failures of the peer that still count against it.',
      each.map(({ labels, peer }) => [labels, peer.fails]),
      'max',
    ),
    gauge(
      'sluice_upstream_keepalive_idle',
      'Idle connections kept for the group.',
      groups.map(({ upstream, pool }) => [{ upstream }, pool.count]),
    ),
  ]
}

function webSockets({ webSockets: { opened, closed, fromClient, fromUpstream } }: Traffic): MetricFamily[] {
  return [
    counter('sluice_websockets_opened_total', 'WebSockets opened.', [[NONE, opened]]),
    gauge('sluice_websockets_open', 'WebSockets that are open.', [[NONE, opened - closed]]),
    counter('sluice_websocket_messages_total', 'Messages, of WebSockets that scripts look into.', [
      [{ from: 'client' }, fromClient],
      [{ from: 'upstream' }, fromUpstream],
    ]),
  ]
}

function scripts(gateway: Gateway): MetricFamily[] {
  const rows = gateway.hookTotals.flatMap(([script, hooks]) =>
    [...hooks].map(([hook, total]) => ({ labels: { script, hook }, total })),
  )
  const sum = (what: 'calls' | 'errors' | 'overruns') =>
    rows.map(({ labels, total }) => [labels, total[what]] as const)
  return [
    counter('sluice_script_calls_total', 'Calls of hooks.', sum('calls')),
    counter('sluice_script_errors_total', 'Calls that failed, overruns included.', sum('errors')),
    counter('sluice_script_overruns_total', 'Calls that exceeded a limit.', sum('overruns')),
    counter(
      'sluice_script_cpu_seconds_total',
      'Time that hooks computed; of short calls one in sixteen is measured.',
      rows.map(({ labels, total }) => [labels, total.cpuMicros / 1e6]),
    ),
    gauge(
      'sluice_script_memory_bytes',
      'Memory of the sandboxes.',
      [...memoryByScript(gateway)].map(([script, bytes]) => [{ script }, bytes]),
    ),
  ]
}

function memoryByScript({ generation }: Gateway): Map<string, number> {
  const bytes = new Map<string, number>()
  for (const { file, memoryUsed } of generation.scripts) bytes.set(file, (bytes.get(file) ?? 0) + memoryUsed)
  return bytes
}

function swaps({ swaps: { done, refused, time }, generation, liveGenerations }: Gateway): MetricFamily[] {
  return [
    counter('sluice_swaps_total', 'Generations that were asked for.', [
      [{ result: 'served' }, done],
      [{ result: 'refused' }, refused],
    ]),
    histogram('sluice_swap_duration_seconds', 'Time to make a generation and swap it in.', [[NONE, time]]),
    gauge('sluice_generation', 'Number of the generation that serves.', [[NONE, generation.id]], 'max'),
    gauge(
      'sluice_generations_alive',
      'Generations that still serve something.',
      [[NONE, liveGenerations]],
      'max',
    ),
  ]
}

function store({ stores }: Gateway): MetricFamily[] {
  const { store, maps } = stores.current
  const { kind, stats } = store
  const labels = { store: kind }
  const of = (what: 'hits' | 'misses' | 'fallbacks' | 'reconciled' | 'errors') =>
    maps.map(({ name, stats }) => [{ map: name, what }, stats[what]] as const)
  return [
    counter('sluice_store_calls_total', 'Calls of the store.', [[labels, stats.calls]]),
    counter('sluice_store_errors_total', 'Calls of the store that failed.', [[labels, stats.errors]]),
    counter('sluice_store_timeouts_total', 'Calls of the store that took too long.', [
      [labels, stats.timeouts],
    ]),
    counter('sluice_store_seconds_total', 'Time that calls of the store took.', [
      [labels, stats.time / 1000],
    ]),
    gauge(
      'sluice_store_breaker',
      'Circuit breaker of the store. 0: closed, 1: half open, 2: open.',
      [[labels, BREAKER[stats.breaker]]],
      'max',
    ),
    counter('sluice_session_map_total', 'What came of asking the session maps.', [
      ...of('hits'),
      ...of('misses'),
      ...of('fallbacks'),
      ...of('reconciled'),
      ...of('errors'),
    ]),
    ...nearCache(store, labels),
  ]
}

/** Of stores that are elsewhere and remember some of it here. */
function nearCache(store: Store & { readonly known?: number }, labels: Labels): MetricFamily[] {
  const { known } = store
  if (known === undefined) return []
  return [gauge('sluice_store_near_entries', 'Entries of the store that are known here.', [[labels, known]])]
}
