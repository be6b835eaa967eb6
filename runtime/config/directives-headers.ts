/** Rows that shape a response's head, and `error_page`, which replaces the whole response. */
import { append, choice, type Directive, HTTP_IF, invalidParameter, invalidValue } from './directive.ts'
import type { Word } from './lexer.ts'
import type { Settings } from './model.ts'
import type { Call } from './scope.ts'
import { hasVariables } from './template.ts'
import { parseCount, parseTime } from './values.ts'

export const HEADER_DIRECTIVES: readonly Directive[] = [
  { name: 'add_header', in: HTTP_IF, args: '2-3', parse: adderOf('addHeaders') },
  { name: 'add_trailer', in: HTTP_IF, args: '2-3', parse: adderOf('addTrailers') },
  choice('add_header_inherit', HTTP_IF, 'addHeaderInherit', ['on', 'off', 'merge']),
  choice('add_trailer_inherit', HTTP_IF, 'addTrailerInherit', ['on', 'off', 'merge']),
  { name: 'expires', in: HTTP_IF, args: '1-2', once: true, parse: parseExpires },
  { name: 'error_page', in: HTTP_IF, args: '2+', parse: parseErrorPage },
]

function adderOf(key: 'addHeaders' | 'addTrailers'): (call: Call) => void {
  return (call) => {
    const [name, value, third] = call.args as [Word, Word, Word?]
    if (!isFieldName(name.text)) return invalidValue(call, name, 'a header field name')
    if (third && third.text !== 'always') return invalidParameter(call, third, '"always"')
    const rule = {
      where: call.where,
      name: name.text,
      value: call.run.template(value),
      always: third !== undefined,
    }
    append(call.scope.settings, key, rule)
  }
}

/** RFC 9110 section 5.1: a field name is a token. */
export function isFieldName(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)
}

type Expires = NonNullable<Settings['expires']>

function parseExpires(call: Call): void {
  const [first, second] = call.args as [Word, Word?]
  const { where } = call
  if (second && first.text !== 'modified') {
    invalidParameter(call, first, '"modified"')
    return
  }
  const word = second ?? first
  const template = call.run.template(word)
  if (hasVariables(template)) {
    call.scope.settings.expires = { where, kind: second ? 'modified' : 'variable', seconds: 0, template }
    return
  }
  const read = readExpires(word.text, second !== undefined)
  if (typeof read === 'string') {
    invalidValue(call, word, read)
    return
  }
  call.scope.settings.expires = { where, ...read, template: null }
}

/** The value of `expires`; a string says what to write instead. */
function readExpires(text: string, modified: boolean): Pick<Expires, 'kind' | 'seconds'> | string {
  if (!modified && (text === 'epoch' || text === 'max' || text === 'off')) return { kind: text, seconds: 0 }
  const sign = /^[@+-]/.exec(text)?.[0] ?? ''
  const ms = parseTime(text.slice(sign.length), 's')
  if (ms === null) return 'a time, "epoch", "max" or "off"'
  const seconds = ms / 1000
  if (sign !== '@')
    return { kind: modified ? 'modified' : 'access', seconds: sign === '-' ? -seconds : seconds }
  if (modified) return 'a time without "@", a time of day cannot follow "modified"'
  return seconds > 86400 ? 'a time of day of at most 24 hours' : { kind: 'daily', seconds }
}

/** Statuses of our own making; the client sees 400 unless the directive says otherwise. */
const SHOWN_AS_400: ReadonlySet<number> = new Set([494, 495, 496, 497])

function parseErrorPage(call: Call): void {
  const { run, where, scope } = call
  const words = call.args.slice(0, -1)
  const target = run.template(call.args.at(-1)!)
  const override = words.length > 1 && words.at(-1)!.text.startsWith('=') ? words.pop()! : null
  const status = override ? readOverride(call, override) : null
  if (status === undefined) return
  const statuses = words.map((word) => readStatus(call, word)).filter((number) => number !== null)
  const plain = statuses.filter((number) => override || !SHOWN_AS_400.has(number))
  const hidden = statuses.filter((number) => !plain.includes(number))
  const { settings } = scope
  if (plain.length > 0) append(settings, 'errorPages', { where, statuses: plain, status, target })
  if (hidden.length > 0) append(settings, 'errorPages', { where, statuses: hidden, status: 400, target })
}

/** undefined: wrong. */
function readOverride(call: Call, word: Word): number | 'answer' | undefined {
  if (word.text === '=') return 'answer'
  const status = parseCount(word.text.slice(1))
  if (status !== null && status >= 100 && status <= 999) return status
  invalidValue(call, word, '"=" and a status, such as "=200", or "=" alone')
  return undefined
}

function readStatus(call: Call, word: Word): number | null {
  const status = parseCount(word.text)
  if (status !== null && status >= 300 && status <= 599 && status !== 499) return status
  invalidValue(call, word, 'a status from 300 to 599 (499 is not sent to anybody)')
  return null
}
