/**
 * `set_real_ip_from`, `real_ip_header`, `real_ip_recursive`: the client's address is what a trusted proxy says.
 * From then on it is `$remote_addr`, and what `allow`, `geo` and `ip_hash` see.
 */
import { CidrList, parseAddress } from './cidr.ts'
import type { Exchange } from './exchange.ts'
import { forwardedAddress } from './forwarded-address.ts'
import type { Effective } from './plan.ts'

type RealIpSettings = Pick<Effective, 'realIpFrom' | 'realIpHeader' | 'realIpRecursive'>

/**
 * Sets `x.remoteAddress` and `x.remotePort`; does nothing once they have been set, so that it may run for the server
 * and again for the location. null: nothing to do.
 */
export function compileRealIp(settings: RealIpSettings): ((x: Exchange) => void) | null {
  const { realIpFrom, realIpRecursive } = settings
  const name = settings.realIpHeader.toLowerCase()
  // Listeners take no PROXY protocol header, so that there never is an address from one.
  if (realIpFrom.length === 0 || name === 'proxy_protocol') return null
  const trusted = new CidrList(realIpFrom.map((cidr) => ({ cidr, value: true as const })))
  return (x) => {
    const { client } = x
    if (x.remoteAddress !== client.remoteAddress || x.remotePort !== client.remotePort) return
    const values = fieldValues(x, name)
    if (values.length === 0) return
    const real = forwardedAddress(parseAddress(x.remoteAddress), values, trusted, realIpRecursive)
    if (real === null) return
    x.remoteAddress = real.text
    x.remotePort = real.port
  }
}

/** All fields of `X-Forwarded-For`; of any other name the first. */
function fieldValues(x: Exchange, name: string): string[] {
  const values = x.requestHeaders.valuesOf(name)
  return name === 'x-forwarded-for' ? values : values.slice(0, 1)
}
