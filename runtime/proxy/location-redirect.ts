/**
 * The `Location` of redirects of our own: absolute where `absolute_redirect` says so, with the host and port that
 * `server_name_in_redirect` and `port_in_redirect` choose.
 */
import { escapeUri } from '../http1/uri.ts'
import { percentEncode } from '../lib/ascii.ts'
import type { Exchange } from './exchange.ts'
import { Step } from './step.ts'

/** `$scheme`. Listeners speak plain HTTP. */
export function scheme(_x: Exchange): string {
  return 'http'
}

const CONTROLS = /[\x00-\x1f\x7f]/g

/**
 * A `Location` value. One that begins with `/` becomes absolute with `absolute_redirect on`. Control characters are
 * percent-encoded: `$uri` and captures hold what the client sent decoded, line breaks included.
 */
export function absoluteLocation(x: Exchange, uri: string): string {
  const { settings } = x.location
  const location = percentEncode(uri, CONTROLS)
  if (!location.startsWith('/') || !settings.absoluteRedirect) return location
  const port = settings.portInRedirect && x.client.serverPort !== '80' ? x.client.serverPort : ''
  return `${scheme(x)}://${redirectHost(x)}${port === '' ? '' : `:${port}`}${location}`
}

function redirectHost(x: Exchange): string {
  if (x.location.settings.serverNameInRedirect) return x.server.name
  if (x.host !== '') return x.host
  const address = x.client.serverAddress
  return address.includes(':') && !address.startsWith('unix:') ? `[${address}]` : address
}

/** 301 to the same path with a slash behind it: a directory, or a location whose name ends in one. */
export function directoryRedirect(x: Exchange): Step {
  const uri = `${escapeUri(x.path, 'uri')}/`
  x.headers.location = absoluteLocation(x, x.args === '' ? uri : `${uri}?${x.args}`)
  x.status = 301
  x.parts = null
  return Step.ERROR
}
