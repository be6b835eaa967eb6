/**
 * Servers of upstream groups that are changed while they serve: taken out (`down`), or left to those who are bound to them
 * (`drain`), and back. It holds until a reload brings the group as the configuration has it.
 */
import type { ServerChange } from './control.ts'
import type { Peer } from './upstream/peer.ts'
import type { Upstreams } from './upstreams.ts'

/** What cannot be changed, and what to do instead. */
export class ServerChangeError extends Error {}

/** @throws ServerChangeError, and nothing has changed */
export function changeServer(upstreams: Upstreams, change: ServerChange): void {
  const { kind, group, server } = change
  if (kind !== 'patch') throw fixed(`the servers of "${group}"`)
  const { down, drain, ...others } = change.options
  const [other] = Object.keys(others)
  if (other !== undefined) throw fixed(`"${other}" of a server`)
  for (const peer of peersOf(upstreams, group, server)) {
    if (down !== undefined) peer.down = down
    if (drain !== undefined) peer.drain = drain
  }
}

function fixed(what: string): ServerChangeError {
  return new ServerChangeError(
    `${what} cannot be changed while it serves; change the configuration and reload it`,
  )
}

/** By its address, or all addresses of a name. */
function peersOf(upstreams: Upstreams, group: string, server: string): readonly Peer[] {
  const all = upstreams.named(group)?.group.peers
  if (all === undefined) throw new ServerChangeError(`there is no upstream "${group}"`)
  const byAddress = all.filter(({ address }) => address.text === server)
  const found = byAddress.length > 0 ? byAddress : all.filter(({ name }) => name === server)
  if (found.length === 0) throw new ServerChangeError(`upstream "${group}" has no server "${server}"`)
  return found
}
