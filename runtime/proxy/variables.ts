/**
 * The variables that exist without a definition: one table by name, and the families that a prefix makes
 * (`$arg_NAME`). Values come from the files beside this one; names are lower case.
 */
import type { Exchange } from './exchange.ts'
import type { VariableGetter } from './plan.ts'
import { argumentVariable, cookieVariable, requestFieldVariable } from './variables-named.ts'
import { PROCESS_VARIABLES } from './variables-process.ts'
import { REQUEST_SETTERS, REQUEST_VARIABLES } from './variables-request.ts'
import { RESPONSE_VARIABLES, sentFieldVariable, sentTrailerVariable } from './variables-response.ts'
import {
  UPSTREAM_VARIABLES,
  upstreamCookieVariable,
  upstreamFieldVariable,
  upstreamTrailerVariable,
} from './variables-upstream.ts'

export interface BuiltinVariable {
  readonly get: VariableGetter
  /** null: `set` and scripts may not write it. */
  readonly set: ((x: Exchange, value: string) => void) | null
}

const TABLE: ReadonlyMap<string, VariableGetter> = new Map(
  [REQUEST_VARIABLES, RESPONSE_VARIABLES, UPSTREAM_VARIABLES, PROCESS_VARIABLES].flatMap(Object.entries),
)

const SETTERS: ReadonlyMap<string, (x: Exchange, value: string) => void> = new Map(
  Object.entries(REQUEST_SETTERS),
)

/** What follows the prefix is the name that the variable is made from. */
const FAMILIES: readonly (readonly [prefix: string, make: (name: string) => VariableGetter])[] = [
  ['arg_', argumentVariable],
  ['http_', requestFieldVariable],
  ['cookie_', cookieVariable],
  ['sent_http_', sentFieldVariable],
  ['sent_trailer_', sentTrailerVariable],
  ['upstream_http_', upstreamFieldVariable],
  ['upstream_trailer_', upstreamTrailerVariable],
  ['upstream_cookie_', upstreamCookieVariable],
  // Listeners take no PROXY protocol header: there are no TLVs.
  ['proxy_protocol_tlv_', () => () => undefined],
]

/** @param name lower case. null: there is no such variable. */
export function builtinVariable(name: string): BuiltinVariable | null {
  const get = TABLE.get(name)
  if (get !== undefined) return { get, set: SETTERS.get(name) ?? null }
  for (const [prefix, make] of FAMILIES) {
    if (name.startsWith(prefix)) return { get: make(name.slice(prefix.length)), set: null }
  }
  return null
}
