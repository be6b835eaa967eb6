/** `allow` and `deny`: the first rule that holds the client's address decides; without one the client may come. */
import type { AccessRule } from '../config/model.ts'
import { CidrList, parseAddress } from './cidr.ts'
import type { Exchange } from './exchange.ts'

/** true: the request may go on; false: 403. null when there are no rules. */
export function compileAccess(rules: readonly AccessRule[]): ((x: Exchange) => boolean) | null {
  if (rules.length === 0) return null
  const list = new CidrList(rules.map(({ cidr, allow }) => ({ cidr, value: allow })))
  return (x) => list.find(parseAddress(x.remoteAddress)) ?? true
}
