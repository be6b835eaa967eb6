/** What a gateway does now, as plain data. */
import type { UpstreamStatus, WorkerReport } from './control.ts'
import type { Gateway } from './gateway.ts'

const STARTED_AT = Math.round(performance.timeOrigin)

export function reportOf(gateway: Gateway): WorkerReport {
  const { stats, worker = 0 } = gateway.services
  const { store } = gateway.stores
  return {
    worker,
    pid: process.pid,
    startedAt: STARTED_AT,
    generation: gateway.generation.id,
    liveGenerations: gateway.liveGenerations,
    connections: stats.active,
    reading: stats.reading,
    writing: stats.writing,
    waiting: stats.waiting,
    accepted: stats.accepted,
    requests: stats.requests,
    memory: process.memoryUsage.rss(),
    store: { kind: store.kind, ...store.stats },
  }
}

export function upstreamsOf(gateway: Gateway): UpstreamStatus[] {
  return gateway.generation.upstreams.all.map(({ live: { group } }) => ({
    name: group.name,
    method: group.method,
    shared: group.shared,
    peers: group.peers.map((peer) => ({
      name: peer.name,
      address: peer.address.text,
      weight: peer.weight,
      backup: peer.backup,
      down: peer.down,
      draining: peer.drain,
      resting: !group.single && peer.resting(group.now),
      fails: peer.fails,
      connections: peer.connections,
    })),
  }))
}
