/** Variables of the request and of the client's connection. undefined is nginx's "not found". */
import { randomUUID } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { Field } from '../http1/fields.ts'
import { percentEncode } from '../lib/ascii.ts'
import { describeSystemError } from '../lib/system-error.ts'
import { systemPath } from '../lib/system-path.ts'
import { formatSeconds } from '../lib/time-format.ts'
import { parseAddress } from './cidr.ts'
import type { Exchange } from './exchange.ts'
import { scheme } from './location-redirect.ts'
import { mapPath, rootPath } from './map-path.ts'
import type { VariableGetter } from './plan.ts'
import { requestFieldVariable } from './variables-named.ts'

const contentType = requestFieldVariable('content_type')

export const REQUEST_VARIABLES: Readonly<Record<string, VariableGetter>> = {
  // the target
  args: (x) => x.args,
  query_string: (x) => x.args,
  is_args: (x) => (x.args === '' ? '' : '?'),
  uri: (x) => x.path,
  document_uri: (x) => x.path,
  request_uri: (x) => x.unparsedUri,
  request: (x) => x.head.lineText,
  request_method: (x) => x.method,
  scheme,
  https: () => '',
  http2: (x) => (x.client.protocol === 'HTTP/2.0' ? 'h2c' : ''),

  // the host
  host: (x) => (x.host === '' ? x.server.name : x.host),
  request_port: (x) => x.hostPort,
  is_request_port: (x) => (x.hostPort === '' ? '' : ':'),
  server_name: (x) => x.server.name,
  server_addr: (x) => x.client.serverAddress,
  server_port: (x) => x.client.serverPort,
  server_protocol: (x) => (x.head.version === 9 ? undefined : x.client.protocol),

  // the client
  remote_addr: (x) => x.remoteAddress,
  remote_port: (x) => x.remotePort,
  binary_remote_addr: binaryAddress,
  realip_remote_addr: (x) => x.client.remoteAddress,
  realip_remote_port: (x) => x.client.remotePort,
  remote_user: basicUser,
  connection: (x) => String(x.client.connectionId),
  connection_requests: (x) => String(x.client.requests),
  connection_time: (x) => formatSeconds(Date.now() - x.client.openedAt),
  // Node gives no access to TCP_INFO, and listeners take no PROXY protocol header.
  tcpinfo_rtt: notFound,
  tcpinfo_rttvar: notFound,
  tcpinfo_snd_cwnd: notFound,
  tcpinfo_rcv_space: notFound,
  proxy_protocol_addr: notFound,
  proxy_protocol_port: notFound,
  proxy_protocol_server_addr: notFound,
  proxy_protocol_server_port: notFound,

  // the body
  content_type: contentType,
  content_length: contentLength,
  request_body: (x) => x.body?.inMemory() ?? undefined,
  request_body_file: (x) => x.body?.fileName ?? undefined,
  request_length: (x) => String(x.requestLength),

  // the request as a whole
  request_id: ({ main }) => (main.requestId ??= randomUUID().replaceAll('-', '')),
  request_time: (x) => formatSeconds(Date.now() - x.startedAt),
  request_completion: (x) => (x.completed ? 'OK' : ''),
  pipe: (x) => (x.pipelined ? 'p' : '.'),
  limit_req_status: ({ main }) => main.limits?.rate ?? undefined,
  limit_conn_status: ({ main }) => main.limits?.connections ?? undefined,
  limit_rate: (x) => String(Math.max(0, x.limitRate)),

  // files
  document_root: rootPath,
  realpath_root: realpathRoot,
  request_filename: mapPath,
}

/** The built-in variables that may be written. */
export const REQUEST_SETTERS: Readonly<Record<string, (x: Exchange, value: string) => void>> = {
  args: setArgs,
  limit_rate: setLimitRate,
}

function notFound(): undefined {
  return undefined
}

/** The address as bytes in network order, for keys that need to be short. */
function binaryAddress(x: Exchange): string {
  const address = parseAddress(x.remoteAddress)
  if (typeof address === 'number') {
    return String.fromCharCode(address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255)
  }
  return address instanceof Uint8Array ? String.fromCharCode(...address) : x.remoteAddress
}

const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i

/** The name in `Authorization: Basic` (RFC 7617); unchecked, of course. */
function basicUser(x: Exchange): string | undefined {
  const [value] = x.requestHeaders.valuesOf('authorization')
  const encoded = value === undefined ? null : BASIC.exec(value)
  if (encoded === null) return undefined
  const pair = Buffer.from(encoded[1], 'base64').toString('latin1')
  const colon = pair.indexOf(':')
  return colon > 0 ? pair.slice(0, colon) : undefined
}

/** The field; for a chunked body its length once it has come in. */
function contentLength(x: Exchange): string | undefined {
  const { fields } = x.head
  const at = fields.find(Field.CONTENT_LENGTH)
  if (at >= 0) return fields.value(at)
  return x.body?.done ? String(x.body.length) : undefined
}

/** As `$document_root` with links followed. One system call at each use, as in nginx. */
function realpathRoot(x: Exchange): string | undefined {
  const root = rootPath(x)
  try {
    return realpathSync(systemPath(root), 'latin1')
  } catch (error) {
    const reason = describeSystemError(error as NodeJS.ErrnoException)
    x.log('crit', `realpath() "${root}" failed (${reason})`)
    return undefined
  }
}

/** What may not stand in a request line: a value out of other variables must not end it. */
const LINE_BREAKERS = /[\x00-\x20\x7f]/g

/** Writes the query; bytes that would break the request line of an upstream are percent-encoded. */
export function setArgs(x: Exchange, value: string): void {
  x.args = percentEncode(value, LINE_BREAKERS)
  x.hasArgs = x.args !== ''
  x.unparsedValid = false
}

const SIZE = /^(\d{1,15})([km]?)$/i

/** `set $limit_rate 4k;` A value that is no size is logged and ignored. */
function setLimitRate(x: Exchange, value: string): void {
  const match = SIZE.exec(value)
  if (match === null) {
    x.log('error', `invalid $limit_rate "${value}"`)
    return
  }
  const unit = match[2].toLowerCase()
  x.limitRate = Number(match[1]) * (unit === 'k' ? 1024 : unit === 'm' ? 1048576 : 1)
}
