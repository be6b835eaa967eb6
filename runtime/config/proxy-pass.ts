/** `proxy_pass`: what a URL of it may be, and where it may have a URI part (ngx_http_proxy_module). */
import { invalidValue } from './directive.ts'
import type { Word } from './lexer.ts'
import type { ProxyPassModel } from './model.ts'
import type { Call } from './scope.ts'
import { hasVariables } from './template.ts'
import { parseEndpoint } from './values.ts'

export function parseProxyPass(call: Call): void {
  const [word] = call.args as [Word]
  const template = call.run.template(word)
  if (hasVariables(template)) {
    call.scope.content.proxyPass = { where: call.where, template, fixed: null }
    return
  }
  const fixed = readUrl(call, word)
  if (fixed) call.scope.content.proxyPass = { where: call.where, template, fixed }
}

function readUrl(call: Call, word: Word): ProxyPassModel['fixed'] {
  const { run } = call
  const [, scheme, rest = ''] = /^(https?):\/\/(.*)$/is.exec(word.text) ?? []
  if (!scheme) {
    invalidValue(call, word, 'a URL that begins with "http://"')
    return null
  }
  if (scheme.toLowerCase() === 'https') {
    run.error(word.where, 'proxying to https is not built yet; write "http://"')
    return null
  }
  const endpoint = parseEndpoint(rest, { uri: true })
  if (typeof endpoint === 'string') {
    run.error(
      word.where,
      `${endpoint} in "proxy_pass ${word.text}"; write "http://HOST:PORT/URI" or "http://unix:PATH:URI"`,
    )
    return null
  }
  if (endpoint.uri !== '' && !mayHaveUri(call)) {
    run.error(
      word.where,
      `"proxy_pass" cannot have a URI part in a location given by a pattern, in a named location, in "if" or in "limit_except"; remove "${endpoint.uri}"`,
    )
    return null
  }
  const length = rest.length - endpoint.uri.length
  const host = endpoint.kind === 'unix' ? `unix:${endpoint.path}` : rest.slice(0, length)
  return { scheme: 'http', host, uri: endpoint.uri === '' ? null : endpoint.uri }
}

/** The URI part replaces the location's name, so there must be one. */
function mayHaveUri({ scope }: Call): boolean {
  return scope.context === 'location' && scope.match!.kind !== 'pattern' && scope.match!.kind !== 'named'
}
