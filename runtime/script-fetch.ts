/**
 * Where the fetches of a generation's scripts go: its upstream groups, the resolver of its configuration, the
 * connections of the process.
 */
import type { Settings } from './config/model.ts'
import type { FetchAgents } from './fetch/agents.ts'
import { Lookups } from './fetch/lookups.ts'
import type { FetchSurroundings } from './fetch/network-fetch.ts'
import type { Exchange } from './proxy/exchange.ts'
import { NameResolver } from './upstream/name-resolver.ts'
import type { Upstreams } from './upstreams.ts'
import { VERSION } from './version.ts'

/** @param settings of the `http` block. @throws Error when its `resolver` cannot be used */
export function fetchSurroundings(
  upstreams: Upstreams,
  agents: FetchAgents,
  settings: Pick<Settings, 'resolver' | 'resolverTimeout'>,
): FetchSurroundings {
  const { servers = [], valid = null, ipv4 = true, ipv6 = true } = settings.resolver ?? {}
  const timeout = settings.resolverTimeout ?? 30_000
  return {
    findGroup(name, request) {
      const upstream = upstreams.named(name)
      if (upstream === undefined) return null
      const { live, key } = upstream
      return { group: live.group, key: key === null || request === null ? '' : key(request as Exchange) }
    },
    resolver: new Lookups(new NameResolver({ servers, valid, ipv4, ipv6, timeout })),
    agents,
    userAgent: `sluice/${VERSION}`,
  }
}
