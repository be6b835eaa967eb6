/**
 * An open WebSocket changes generations: the same request, looked up in what serves now. Nothing of the old generation
 * is held afterwards but the peer's connection. Variables that `set` or a hook had given values begin anew.
 */
import { HttpFault } from '../http1/fault.ts'
import { parseTarget } from '../http1/uri.ts'
import type { ClientConnection } from './client-connection.ts'
import type { Exchange } from './exchange.ts'
import type { LocationPlan, ServerPlan } from './plan.ts'

/** Moves to the generation that serves now, unless it is that one, or does not listen on this address any more. */
export function moveToCurrent(x: Exchange, client: ClientConnection): void {
  const { home } = client
  const old = x.generation
  if (home.draining || home.generation === old) return
  home.generation.acquire()
  old.releaseScripts(x)
  x.generation = home.generation
  x.values.length = 0
  x.captures = null
  x.scriptChoices = null
  x.server = client.listener.findServer(x.host, x)
  x.location = findLocation(x, x.server)
  old.release()
}

function findLocation(x: Exchange, server: ServerPlan): LocationPlan {
  const { kind, name } = x.location
  if (kind === 'named') return server.locations.named(name) ?? server.root
  const { path } = x
  // `rewrite ... break` and hooks change the path behind the location's back: it was found by the one asked for.
  if (!x.locationValid) x.path = askedPath(x) ?? path
  const location = server.locations.find(x) ?? server.root
  x.path = path
  return location
}

function askedPath(x: Exchange): string | null {
  const target = parseTarget(x.head.method, x.head.target, x.server.settings.mergeSlashes)
  return target instanceof HttpFault ? null : target.path
}
