// Consistent hashing by whatever the `script` line names: script hash-by.js by=cookie name=cart;

import { get } from 'sluice:cookie'
import { pattern } from 'sluice:url'

const { by = '', name = '' } = sluice.params

/** @type {Record<string, () => (r: Sluice.BalancerRequest) => string | undefined>} */
const KEYS = {
  tenant: () => (r) => r.variables.host?.split('.')[0],
  cookie: () => (r) => get(r, name),
  header: () => (r) => r.headersIn.get(name),
  path: () => {
    const match = pattern(name)
    return (r) => match(r.uri)?.id
  },
}

if (!Object.hasOwn(KEYS, by)) throw new Error(`by= is one of ${Object.keys(KEYS).join(', ')}; it is "${by}"`)
const key = KEYS[by]()

/** @type {Sluice.Balancer} */
export function balancer(r, upstream) {
  return upstream.hash(key(r), { consistent: true })
}
