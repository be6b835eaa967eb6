/** Rows that decide who may come in, and who a client is (access and realip modules). */
import { append, choice, type Directive, flag, HTTP_LOCATION, invalidValue } from './directive.ts'
import { isFieldName } from './directives-headers.ts'
import type { Word } from './lexer.ts'
import type { Cidr } from './model.ts'
import type { Call, Context, Run } from './scope.ts'
import { parseCidr } from './values.ts'

const ACCESS: readonly Context[] = [...HTTP_LOCATION, 'limit_except']

export const ACCESS_DIRECTIVES: readonly Directive[] = [
  { name: 'allow', in: ACCESS, args: '1', parse: ruleOf(true) },
  { name: 'deny', in: ACCESS, args: '1', parse: ruleOf(false) },
  choice('satisfy', HTTP_LOCATION, 'satisfy', ['all', 'any']),
  { name: 'set_real_ip_from', in: HTTP_LOCATION, args: '1', parse: parseRealIpFrom },
  { name: 'real_ip_header', in: HTTP_LOCATION, args: '1', once: true, parse: parseRealIpHeader },
  flag('real_ip_recursive', HTTP_LOCATION, 'realIpRecursive'),
  { name: 'auth_request', in: HTTP_LOCATION, args: '1', once: true, parse: parseAuthRequest },
  { name: 'auth_request_set', in: HTTP_LOCATION, args: '2', parse: parseAuthRequestSet },
]

function ruleOf(allow: boolean): (call: Call) => void {
  return (call) => {
    const [word] = call.args as [Word]
    const cidr: Cidr | null =
      word.text === 'all' ? { kind: 'all' } : readCidr(call.run, word, '"all", "unix:", ')
    if (!cidr) return
    const { settings } = call.scope
    append(settings, 'access', { where: call.where, allow, cidr })
  }
}

/** An address block or `unix:`; null, and a problem, for anything else. */
export function readCidr(run: Run, word: Word, alternatives: string): Cidr | null {
  if (word.text === 'unix:') return { kind: 'unix' }
  const parsed = parseCidr(word.text)
  if (!parsed) {
    run.error(
      word.where,
      `"${word.text}" is no address; write ${alternatives}an address or a block such as "192.0.2.0/24"`,
    )
    return null
  }
  if (parsed.lowBits)
    run.notice(word.where, `the low bits of "${word.text}" have no meaning; write the block's first address`)
  return parsed.cidr
}

function parseRealIpFrom(call: Call): void {
  const { settings } = call.scope
  const cidr = readCidr(call.run, call.args[0]!, '"unix:", ')
  if (cidr) append(settings, 'realIpFrom', cidr)
}

function parseRealIpHeader(call: Call): void {
  const [word] = call.args as [Word]
  if (isFieldName(word.text)) call.scope.settings.realIpHeader = word.text
  else call.run.error(word.where, `"${word.text}" is no header field name; write one, or "proxy_protocol"`)
}

function parseAuthRequest(call: Call): void {
  const [word] = call.args as [Word]
  if (word.text !== 'off' && !word.text.startsWith('/'))
    invalidValue(call, word, 'a URI that begins with "/", or "off"')
  else call.scope.settings.authRequest = word.text === 'off' ? '' : word.text
}

function parseAuthRequestSet(call: Call): void {
  const [name, text] = call.args as [Word, Word]
  const variable = call.run.defineVariable(name)
  const value = call.run.template(text)
  if (variable !== null)
    append(call.scope.settings, 'authRequestSets', { where: call.where, variable, value })
}
