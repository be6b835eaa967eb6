/** An outgoing request handed to Node: to which address, over which connections, with which fields. Decides nothing else. */
import { type ClientRequest, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Address } from '../upstream/options.ts'
import type { FetchAgents } from './agents.ts'
import { literalAddress } from './allow-list.ts'
import type { Outgoing } from './outgoing.ts'

/** Bytes of the head of an answer. */
const MAX_HEAD = 32 * 1024

export interface Wire {
  readonly address: Address
  readonly agents: FetchAgents
  /** Of requests that bring no `User-Agent`. */
  readonly userAgent: string
  /** A connection that was used before may be used again. */
  readonly kept: boolean
}

/** Begins the request; its body is the caller's to write and end. */
export function wireRequest(out: Outgoing, { address, agents, userAgent, kept }: Wire): ClientRequest {
  const { url, method } = out
  const isSecure = url.protocol === 'https:'
  const options = {
    method,
    path: url.pathname + url.search,
    ...(address.path === undefined
      ? { host: address.host, port: address.port }
      : { socketPath: address.path }),
    headers: headersOf(out, userAgent),
    maxHeaderSize: MAX_HEAD,
    insecureHTTPParser: false,
    agent: kept ? (isSecure ? agents.https : agents.http) : false,
  }
  if (!isSecure) return httpRequest(options)
  // An address is no server name: RFC 6066 section 3.
  const servername = literalAddress(url) === null ? url.hostname : ''
  return httpsRequest({ ...options, ...agents.tls, servername })
}

function headersOf(
  { url, fields, body, method }: Outgoing,
  userAgent: string,
): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = Object.create(null)
  headers.host = url.host
  headers.accept = '*/*'
  headers['user-agent'] = userAgent
  const given = new Map<string, string[]>()
  for (const [name, value] of fields) {
    const lower = name.toLowerCase()
    const same = given.get(lower)
    if (same === undefined) given.set(lower, [value])
    else same.push(value)
  }
  for (const [name, values] of given) headers[name] = values.length === 1 ? values[0] : values
  if (body === 'stream') headers['transfer-encoding'] = 'chunked'
  else if (body !== null) headers['content-length'] = String(body.length)
  else if (method !== 'GET' && method !== 'HEAD') headers['content-length'] = '0'
  return headers
}
