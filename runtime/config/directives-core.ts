/** Rows of nginx's core http module that set one value. */
import { isIP } from 'node:net'
import {
  buffers,
  choice,
  count,
  type Directive,
  flag,
  HTTP_IF,
  HTTP_LOCATION,
  HTTP_SERVER,
  invalidParameter,
  invalidValue,
  offset,
  readChoice,
  readSeconds,
  readTime,
  size,
  time,
  UPSTREAM,
} from './directive.ts'
import type { Word } from './lexer.ts'
import type { Call } from './scope.ts'
import { hasVariables } from './template.ts'
import { parseSize } from './values.ts'

/** An `upstream` block may have a resolver of its own. */
const RESOLVING = [...HTTP_LOCATION, ...UPSTREAM]

export const CORE_DIRECTIVES: readonly Directive[] = [
  // requests
  offset('client_max_body_size', HTTP_LOCATION, 'clientMaxBodySize'),
  size('client_body_buffer_size', HTTP_LOCATION, 'clientBodyBufferSize'),
  choice('client_body_in_file_only', HTTP_LOCATION, 'clientBodyInFileOnly', ['on', 'clean', 'off']),
  flag('client_body_in_single_buffer', HTTP_LOCATION, 'clientBodyInSingleBuffer'),
  { name: 'client_body_temp_path', in: HTTP_LOCATION, args: '1-4', once: true, parse: parseBodyTempPath },
  time('client_header_timeout', HTTP_SERVER, 'clientHeaderTimeout'),
  time('client_body_timeout', HTTP_LOCATION, 'clientBodyTimeout'),
  size('client_header_buffer_size', HTTP_SERVER, 'clientHeaderBufferSize'),
  buffers('large_client_header_buffers', HTTP_SERVER, 'largeClientHeaderBuffers'),
  count('max_headers', HTTP_SERVER, 'maxHeaders'),
  flag('underscores_in_headers', HTTP_SERVER, 'underscoresInHeaders'),
  flag('ignore_invalid_headers', HTTP_SERVER, 'ignoreInvalidHeaders'),
  flag('merge_slashes', HTTP_SERVER, 'mergeSlashes'),
  flag('http2', HTTP_SERVER, 'http2'),
  count('http2_max_concurrent_streams', HTTP_SERVER, 'http2MaxConcurrentStreams'),
  size('http2_body_preread_size', HTTP_SERVER, 'http2BodyPrereadSize'),

  // connections
  time('send_timeout', HTTP_LOCATION, 'sendTimeout'),
  { name: 'keepalive_timeout', in: HTTP_LOCATION, args: '1-2', once: true, parse: parseKeepaliveTimeout },
  count('keepalive_requests', HTTP_LOCATION, 'keepaliveRequests'),
  time('keepalive_time', HTTP_LOCATION, 'keepaliveTime'),
  time('keepalive_min_timeout', HTTP_LOCATION, 'keepaliveMinTimeout'),
  { name: 'keepalive_disable', in: HTTP_LOCATION, args: '1-2', once: true, parse: parseKeepaliveDisable },
  choice('lingering_close', HTTP_LOCATION, 'lingeringClose', ['off', 'on', 'always']),
  time('lingering_time', HTTP_LOCATION, 'lingeringTime'),
  time('lingering_timeout', HTTP_LOCATION, 'lingeringTimeout'),
  flag('reset_timedout_connection', HTTP_LOCATION, 'resetTimedoutConnection'),
  flag('tcp_nodelay', HTTP_LOCATION, 'tcpNodelay'),
  { name: 'limit_rate', in: HTTP_IF, args: '1', once: true, parse: rateOf('limitRate') },
  { name: 'limit_rate_after', in: HTTP_IF, args: '1', once: true, parse: rateOf('limitRateAfter') },

  // responses
  flag('chunked_transfer_encoding', HTTP_LOCATION, 'chunkedTransferEncoding'),
  choice('server_tokens', HTTP_LOCATION, 'serverTokens', ['on', 'off', 'build']),
  flag('absolute_redirect', HTTP_LOCATION, 'absoluteRedirect'),
  flag('port_in_redirect', HTTP_LOCATION, 'portInRedirect'),
  flag('server_name_in_redirect', HTTP_LOCATION, 'serverNameInRedirect'),
  flag('recursive_error_pages', HTTP_LOCATION, 'recursiveErrorPages'),
  flag('log_not_found', HTTP_LOCATION, 'logNotFound'),
  flag('log_subrequest', HTTP_LOCATION, 'logSubrequest'),
  flag('msie_padding', HTTP_LOCATION, 'msiePadding'),
  size('subrequest_output_buffer_size', HTTP_LOCATION, 'subrequestOutputBufferSize'),

  { name: 'resolver', in: RESOLVING, args: '1+', once: true, parse: parseResolver },
  time('resolver_timeout', RESOLVING, 'resolverTimeout'),
]

function parseResolver(call: Call): void {
  const servers: string[] = []
  let valid: number | null = null
  let ipv4 = true
  let ipv6 = true
  for (const word of call.args) {
    const [name, value] = word.text.split('=', 2)
    if (value === undefined) servers.push(readNameServer(call, word))
    else if (name === 'valid') valid = readTime(call, { ...word, text: value })
    else if (name === 'ipv4' || name === 'ipv6') {
      if (value !== 'on' && value !== 'off') invalidParameter(call, word, `"${name}=on" or "${name}=off"`)
      else if (name === 'ipv4') ipv4 = value === 'on'
      else ipv6 = value === 'on'
    } else if (name !== 'status_zone') invalidParameter(call, word, '"valid=TIME", "ipv4=off" or "ipv6=off"')
  }
  if (!ipv4 && !ipv6)
    call.run.error(call.where, 'names without IPv4 and IPv6 have no addresses; leave one of them on')
  call.scope.settings.resolver = { servers, valid, ipv4, ipv6 }
}

/** Name servers are given by address: who would look their name up? */
function readNameServer(call: Call, word: Word): string {
  const [, port = '53'] = /:(\d+)$/.exec(word.text.replace(/^\[[^\]]*\]$/, '')) ?? []
  const host = word.text.replace(/:\d{1,5}$/, '').replace(/^\[|\]$/g, '')
  if ((isIP(host) === 0 && host !== 'localhost') || Number(port) < 1 || Number(port) > 65_535)
    invalidParameter(call, word, 'the address of a name server, such as "127.0.0.1:53"')
  return word.text.replace(/^localhost/, '127.0.0.1')
}

function parseBodyTempPath(call: Call): void {
  call.scope.settings.clientBodyTempPath = call.run.prefixed(call.args[0]!.text)
}

function parseKeepaliveTimeout(call: Call): void {
  const [timeout, header] = call.args
  const { settings } = call.scope
  const value = readTime(call, timeout!)
  if (value !== null) settings.keepaliveTimeout = value
  const seconds = header ? readSeconds(call, header) : null
  if (seconds !== null) settings.keepaliveHeader = seconds / 1000
}

function parseKeepaliveDisable(call: Call): void {
  const chosen = call.args.map((word) => readChoice(call, word, ['none', 'msie6', 'safari']))
  call.scope.settings.keepaliveDisable = chosen.filter((name) => name !== null && name !== 'none') as string[]
}

/** Bytes per second, or a variable that holds them. */
export function rateOf(key: 'limitRate' | 'limitRateAfter' | 'proxyLimitRate'): (call: Call) => void {
  return (call) => {
    const [word] = call.args
    const rate = call.run.template(word!)
    if (!hasVariables(rate) && parseSize(word!.text) === null) {
      return invalidValue(call, word!, 'a size, such as "100k", or a variable')
    }
    call.scope.settings[key] = rate
  }
}
