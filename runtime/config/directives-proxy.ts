/** Rows of the proxy module: where requests go, and what is changed on the way there and back. */
import {
  append,
  buffers,
  count,
  type Directive,
  flag,
  HTTP_LOCATION,
  invalidParameter,
  invalidValue,
  offset,
  readChoice,
  size,
  time,
} from './directive.ts'
import { rateOf } from './directives-core.ts'
import { isFieldName } from './directives-headers.ts'
import type { Word } from './lexer.ts'
import { EVENT_NAMES, type Pattern, type ReplacementRule, type Template } from './model.ts'
import { parseProxyPass } from './proxy-pass.ts'
import type { Call } from './scope.ts'
import { hasVariables } from './template.ts'
import { parseEndpoint } from './values.ts'

const IGNORABLE = [
  'X-Accel-Redirect',
  'X-Accel-Expires',
  'X-Accel-Limit-Rate',
  'X-Accel-Buffering',
  'X-Accel-Charset',
  'Expires',
  'Cache-Control',
  'Set-Cookie',
  'Vary',
] as const

export const PROXY_DIRECTIVES: readonly Directive[] = [
  {
    name: 'proxy_pass',
    in: ['location', 'if in location', 'limit_except'],
    args: '1',
    once: true,
    parse: parseProxyPass,
  },

  // towards the upstream
  { name: 'proxy_set_header', in: HTTP_LOCATION, args: '2', parse: parseSetHeader },
  { name: 'proxy_http_version', in: HTTP_LOCATION, args: '1', once: true, parse: parseHttpVersion },
  { name: 'proxy_method', in: HTTP_LOCATION, args: '1', once: true, parse: templateOf('proxyMethod') },
  { name: 'proxy_set_body', in: HTTP_LOCATION, args: '1', once: true, parse: templateOf('proxySetBody') },
  flag('proxy_pass_request_headers', HTTP_LOCATION, 'proxyPassRequestHeaders'),
  flag('proxy_pass_request_body', HTTP_LOCATION, 'proxyPassRequestBody'),
  flag('proxy_request_buffering', HTTP_LOCATION, 'proxyRequestBuffering'),
  { name: 'proxy_bind', in: HTTP_LOCATION, args: '1-2', once: true, parse: parseBind },
  flag('proxy_socket_keepalive', HTTP_LOCATION, 'proxySocketKeepalive'),
  flag('proxy_ignore_client_abort', HTTP_LOCATION, 'proxyIgnoreClientAbort'),
  flag('proxy_websocket', HTTP_LOCATION, 'proxyWebsocket'),
  time('proxy_connect_timeout', HTTP_LOCATION, 'proxyConnectTimeout'),
  time('proxy_send_timeout', HTTP_LOCATION, 'proxySendTimeout'),
  time('proxy_read_timeout', HTTP_LOCATION, 'proxyReadTimeout'),
  { name: 'proxy_next_upstream', in: HTTP_LOCATION, args: '1+', parse: parseNextUpstream },
  count('proxy_next_upstream_tries', HTTP_LOCATION, 'proxyNextUpstreamTries'),
  time('proxy_next_upstream_timeout', HTTP_LOCATION, 'proxyNextUpstreamTimeout'),

  // back to the client
  { name: 'proxy_hide_header', in: HTTP_LOCATION, args: '1', parse: fieldNameOf('proxyHideHeaders') },
  { name: 'proxy_pass_header', in: HTTP_LOCATION, args: '1', parse: fieldNameOf('proxyPassHeaders') },
  { name: 'proxy_ignore_headers', in: HTTP_LOCATION, args: '1+', parse: parseIgnoreHeaders },
  flag('proxy_pass_trailers', HTTP_LOCATION, 'proxyPassTrailers'),
  flag('proxy_intercept_errors', HTTP_LOCATION, 'proxyInterceptErrors'),
  flag('proxy_force_ranges', HTTP_LOCATION, 'proxyForceRanges'),
  { name: 'proxy_redirect', in: HTTP_LOCATION, args: '1-2', parse: parseRedirect },
  { name: 'proxy_cookie_domain', in: HTTP_LOCATION, args: '1-2', parse: parseCookieDomain },
  { name: 'proxy_cookie_path', in: HTTP_LOCATION, args: '1-2', parse: parseCookiePath },
  { name: 'proxy_limit_rate', in: HTTP_LOCATION, args: '1', once: true, parse: rateOf('proxyLimitRate') },
  flag('proxy_buffering', HTTP_LOCATION, 'proxyBuffering'),
  size('proxy_buffer_size', HTTP_LOCATION, 'proxyBufferSize'),
  buffers('proxy_buffers', HTTP_LOCATION, 'proxyBuffers'),
  size('proxy_busy_buffers_size', HTTP_LOCATION, 'proxyBusyBuffersSize'),
  offset('proxy_max_temp_file_size', HTTP_LOCATION, 'proxyMaxTempFileSize'),
]

function parseSetHeader(call: Call): void {
  const [name, value] = call.args as [Word, Word]
  if (!isFieldName(name.text)) {
    invalidValue(call, name, 'a header field name')
    return
  }
  const { settings } = call.scope
  const rule = { where: call.where, name: name.text, value: call.run.template(value) }
  append(settings, 'proxySetHeaders', rule)
}

function parseHttpVersion(call: Call): void {
  const [word] = call.args as [Word]
  if (word.text === '2') {
    call.run.error(word.where, 'HTTP/2 to upstreams is not built yet; write "1.1"')
    return
  }
  const version = readChoice(call, word, ['1.0', '1.1'])
  if (version) call.scope.settings.proxyHttpVersion = version
}

function templateOf(key: 'proxyMethod' | 'proxySetBody'): (call: Call) => void {
  return (call) => {
    call.scope.settings[key] = call.run.template(call.args[0]!)
  }
}

function fieldNameOf(key: 'proxyHideHeaders' | 'proxyPassHeaders'): (call: Call) => void {
  return (call) => {
    const [word] = call.args as [Word]
    const { settings } = call.scope
    if (isFieldName(word.text)) append(settings, key, word.text)
    else invalidValue(call, word, 'a header field name')
  }
}

function parseIgnoreHeaders(call: Call): void {
  const { settings } = call.scope
  const names = call.args.map((word) => readChoice(call, word, IGNORABLE)).filter((name) => name !== null)
  settings.proxyIgnoreHeaders = [...new Set([...(settings.proxyIgnoreHeaders ?? []), ...names])]
}

function parseNextUpstream(call: Call): void {
  const { settings } = call.scope
  const chosen = call.args.map((word) => readChoice(call, word, ['off', ...EVENT_NAMES]))
  const events = chosen.filter((name) => name !== null && name !== 'off')
  settings.proxyNextUpstream = chosen.includes('off')
    ? []
    : [...new Set([...(settings.proxyNextUpstream ?? []), ...events])]
}

function parseBind(call: Call): void {
  const [word, option] = call.args as [Word, Word?]
  const { settings } = call.scope
  if (word.text === 'off' && !option) {
    settings.proxyBind = 'off'
    return
  }
  if (option && option.text !== 'transparent') {
    invalidParameter(call, option, '"transparent"')
    return
  }
  if (option) call.run.withoutEffect.push({ text: 'proxy_bind ... transparent', where: call.where })
  const address = call.run.template(word)
  if (!hasVariables(address) && typeof parseEndpoint(word.text, {}) === 'string') {
    invalidValue(call, word, 'an address, with or without a port, or "off"')
    return
  }
  settings.proxyBind = { address, transparent: option !== undefined }
}

function parseRedirect(call: Call): void {
  const { settings, content } = call.scope
  const [word, to] = call.args as [Word, Word?]
  const before = settings.proxyRedirects
  if (before?.length === 0 || (before && !to && word.text === 'off')) {
    refuseAfterOff(call)
    return
  }
  if (to) {
    append(settings, 'proxyRedirects', replacement(call, readFrom(call, word, false), to))
  } else if (word.text === 'off') {
    settings.proxyRedirects = []
  } else if (word.text !== 'default') {
    invalidParameter(call, word, '"off", "default" or a prefix and its replacement')
  } else if (!content.proxyPass) {
    call.run.error(call.where, '"proxy_redirect default" needs a "proxy_pass" above it in the same location')
  } else if (!content.proxyPass.fixed) {
    call.run.error(
      call.where,
      '"proxy_redirect default" cannot follow a "proxy_pass" with variables; write both URLs',
    )
  } else {
    append(settings, 'proxyRedirects', 'default')
  }
}

function parseCookieDomain(call: Call): void {
  const undotted = (word: Word) => (word.text.startsWith('.') ? { ...word, text: word.text.slice(1) } : word)
  parseCookie(call, 'proxyCookieDomains', (from, to) => {
    // Domains are compared without regard to case.
    if (from.text.startsWith('~')) return replacement(call, readFrom(call, from, true), to)
    return replacement(call, call.run.template(undotted(from)), undotted(to))
  })
}

function parseCookiePath(call: Call): void {
  parseCookie(call, 'proxyCookiePaths', (from, to) => replacement(call, readFrom(call, from, false), to))
}

function parseCookie(
  call: Call,
  key: 'proxyCookieDomains' | 'proxyCookiePaths',
  rule: (from: Word, to: Word) => ReplacementRule,
): void {
  const { settings } = call.scope
  const [from, to] = call.args as [Word, Word?]
  const before = settings[key]
  if (!to && from.text !== 'off') {
    invalidParameter(call, from, '"off", or a text and its replacement')
    return
  }
  if (before?.length === 0 || (before && !to)) {
    refuseAfterOff(call)
    return
  }
  if (to) append(settings, key, rule(from, to))
  else settings[key] = []
}

function refuseAfterOff({ run, name, where }: Call): void {
  run.error(where, `"${name} off" cannot stand beside other lines of "${name}"; remove one`)
}

/** A text, or a pattern behind `~` or (without regard to case) `~*`. */
function readFrom(call: Call, word: Word, caseless: boolean): Template | Pattern {
  if (!word.text.startsWith('~')) return call.run.template(word)
  const folds = !caseless && word.text.startsWith('~*')
  const pattern = call.run.pattern(word, word.text.slice(folds ? 2 : 1), caseless || folds)
  return pattern ?? call.run.template({ ...word, text: '' })
}

function replacement(call: Call, from: Template | Pattern, to: Word): ReplacementRule {
  return { where: call.where, from, to: call.run.template(to) }
}
