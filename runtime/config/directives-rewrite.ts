/** Rows of the rewrite module: the small program that runs before a location's content. */
import { parseCondition } from './condition.ts'
import { type Directive, flag, invalidParameter, invalidValue } from './directive.ts'
import type { Word } from './lexer.ts'
import type { LocationContent, RewriteRule, Settings } from './model.ts'
import { type Call, type Context, openScope } from './scope.ts'
import { parseCount } from './values.ts'

const RULES: readonly Context[] = ['server', 'if in server', 'location', 'if in location']

export const REWRITE_DIRECTIVES: readonly Directive[] = [
  { name: 'rewrite', in: RULES, args: '2-3', parse: parseRewrite },
  { name: 'return', in: RULES, args: '1-2', parse: parseReturn },
  { name: 'break', in: RULES, args: 'none', parse: parseBreak },
  { name: 'set', in: RULES, args: '2', parse: parseSet },
  { name: 'if', in: ['server', 'location'], args: '1+', block: true, parse: parseIf },
  flag('rewrite_log', ['http', ...RULES], 'rewriteLog'),
  flag('uninitialized_variable_warn', ['http', ...RULES], 'uninitializedVariableWarn'),
]

type Flag = Extract<RewriteRule, { kind: 'rewrite' }>['flag']
const FLAGS: readonly string[] = ['last', 'break', 'redirect', 'permanent'] satisfies Flag[]

function parseRewrite(call: Call): void {
  const { run, where, scope } = call
  const [source, onto, third] = call.args as [Word, Word, Word?]
  if (onto.text === '') {
    invalidValue(call, onto, 'the URI to rewrite to')
    return
  }
  if (third && !FLAGS.includes(third.text)) {
    invalidParameter(call, third, '"last", "break", "redirect" or "permanent"')
    return
  }
  const pattern = run.pattern(source, source.text, false)
  const dropArgs = onto.text.endsWith('?')
  const replacement = run.template(onto, dropArgs ? onto.text.slice(0, -1) : onto.text)
  const given = (third?.text ?? null) as Flag
  const flag = isUrl(onto.text) && given !== 'permanent' ? 'redirect' : given
  if (pattern) scope.rules.push({ kind: 'rewrite', where, pattern, replacement, dropArgs, flag })
}

/** What `rewrite` and `return` take for the URL of a redirect. */
function isUrl(text: string): boolean {
  return /^(https?:\/\/|\$scheme)/.test(text)
}

function parseReturn(call: Call): void {
  const { run, where, scope } = call
  const [first, second] = call.args as [Word, Word?]
  const status = parseCount(first.text)
  if (status === null && !second && isUrl(first.text)) {
    scope.rules.push({ kind: 'return', where, status: 302, body: run.template(first) })
  } else if (status === null || status > 999) {
    invalidValue(call, first, 'a status, or a URL that begins with "http://", "https://" or "$scheme"')
  } else {
    scope.rules.push({ kind: 'return', where, status, body: second ? run.template(second) : null })
  }
}

function parseBreak({ scope, where }: Call): void {
  scope.rules.push({ kind: 'break', where })
}

function parseSet({ run, scope, where, args }: Call): void {
  const [name, text] = args as [Word, Word]
  const variable = run.defineVariable(name)
  const value = run.template(text)
  if (variable !== null) scope.rules.push({ kind: 'set', where, variable, value })
}

function parseIf(call: Call): void {
  const { run, scope, where } = call
  const condition = parseCondition(call)
  const rules: RewriteRule[] = []
  const settings: Settings = {}
  const content: LocationContent = {}
  const context = scope.context === 'server' ? 'if in server' : 'if in location'
  run.interpret(call.block, openScope(scope, { context, rules, settings, content }))
  if (condition) scope.rules.push({ kind: 'if', where, condition, rules, settings, content })
}
