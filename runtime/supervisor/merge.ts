/** What all workers say of the same thing, as one: counts are added up, states are the worst. Pure. */
import type { PeerStatus, UpstreamStatus } from '../control.ts'
import type { ScriptStatus } from '../script-registry.ts'

export function mergeScripts(reports: readonly (readonly ScriptStatus[])[]): ScriptStatus[] {
  const rows = new Map<string, ScriptStatus>()
  for (const row of reports.flat()) {
    const { role, file, digest, state } = row
    // A hook is left out in one worker and not in another: they are the same version all the same.
    const key = `${role} ${file} ${digest} ${state === 'quarantined'}`
    const known = rows.get(key)
    rows.set(key, known === undefined ? row : addScript(known, row))
  }
  return [...rows.values()]
}

function addScript(a: ScriptStatus, b: ScriptStatus): ScriptStatus {
  const shown = a.state === 'left out' ? a : b.state === 'left out' ? b : a
  return {
    ...shown,
    generation: Math.min(a.generation, b.generation),
    calls: a.calls + b.calls,
    errors: a.errors + b.errors,
    overruns: a.overruns + b.overruns,
    memory: a.memory + b.memory,
  }
}

export function mergeUpstreams(reports: readonly (readonly UpstreamStatus[])[]): UpstreamStatus[] {
  const groups = new Map<string, UpstreamStatus>()
  for (const group of reports.flat()) {
    const known = groups.get(group.name)
    groups.set(
      group.name,
      known === undefined ? group : { ...group, peers: mergePeers(known.peers, group.peers) },
    )
  }
  return [...groups.values()]
}

function mergePeers(known: readonly PeerStatus[], more: readonly PeerStatus[]): PeerStatus[] {
  const rows = [...known]
  const places = new Map<string, number[]>()
  for (const [at, { address }] of known.entries()) {
    const same = places.get(address)
    if (same === undefined) places.set(address, [at])
    else same.push(at)
  }
  for (const peer of more) {
    const at = places.get(peer.address)?.shift()
    if (at === undefined) rows.push(peer)
    else rows[at] = addPeer(rows[at], peer)
  }
  return rows
}

function addPeer(a: PeerStatus, b: PeerStatus): PeerStatus {
  return {
    ...b,
    resting: a.resting || b.resting,
    fails: Math.max(a.fails, b.fails),
    connections: a.connections + b.connections,
  }
}
