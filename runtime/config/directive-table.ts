/** The whole directive table: the rows of every topic by name. Several rows of one name differ in their contexts. */
import type { Directive } from './directive.ts'
import { ACCESS_DIRECTIVES } from './directives-access.ts'
import { ADMIN_DIRECTIVES } from './directives-admin.ts'
import { CORE_DIRECTIVES } from './directives-core.ts'
import { FILE_DIRECTIVES } from './directives-files.ts'
import { FILTER_DIRECTIVES } from './directives-filters.ts'
import { FLEET_DIRECTIVES } from './directives-fleet.ts'
import { HEADER_DIRECTIVES } from './directives-headers.ts'
import { INERT_DIRECTIVES } from './directives-inert.ts'
import { LIMIT_DIRECTIVES } from './directives-limit.ts'
import { LOG_DIRECTIVES } from './directives-log.ts'
import { MAIN_DIRECTIVES } from './directives-main.ts'
import { MAP_DIRECTIVES } from './directives-map.ts'
import { PROXY_DIRECTIVES } from './directives-proxy.ts'
import { REWRITE_DIRECTIVES } from './directives-rewrite.ts'
import { SCRIPT_DIRECTIVES } from './directives-script.ts'
import { SERVER_DIRECTIVES } from './directives-server.ts'
import { STICKY_DIRECTIVES } from './directives-sticky.ts'
import { STORE_DIRECTIVES } from './directives-store.ts'
import { UPSTREAM_DIRECTIVES } from './directives-upstream.ts'
import { WEB_SOCKET_DIRECTIVES } from './directives-ws.ts'

const TABLE = new Map<string, Directive[]>()

for (const row of [
  ...MAIN_DIRECTIVES,
  ...CORE_DIRECTIVES,
  ...SERVER_DIRECTIVES,
  ...FILE_DIRECTIVES,
  ...REWRITE_DIRECTIVES,
  ...ACCESS_DIRECTIVES,
  ...HEADER_DIRECTIVES,
  ...FILTER_DIRECTIVES,
  ...LIMIT_DIRECTIVES,
  ...LOG_DIRECTIVES,
  ...MAP_DIRECTIVES,
  ...PROXY_DIRECTIVES,
  ...UPSTREAM_DIRECTIVES,
  ...STICKY_DIRECTIVES,
  ...SCRIPT_DIRECTIVES,
  ...STORE_DIRECTIVES,
  ...FLEET_DIRECTIVES,
  ...ADMIN_DIRECTIVES,
  ...WEB_SOCKET_DIRECTIVES,
  ...INERT_DIRECTIVES,
]) {
  const rows = TABLE.get(row.name)
  if (rows) rows.push(row)
  else TABLE.set(row.name, [row])
}

export function findDirective(name: string): readonly Directive[] | undefined {
  return TABLE.get(name)
}

export function knownNames(): Iterable<string> {
  return TABLE.keys()
}
