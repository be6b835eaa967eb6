/**
 * The rewrite module: `set`, `rewrite`, `return`, `break` and `if`, compiled to a list of rules that run in order
 * (ngx_http_rewrite_module, ngx_http_script). Searching locations again and counting how often is the steps' part.
 */
import type { Pattern, RewriteRule, Template } from '../config/model.ts'
import type { RequestBinder } from './binder.ts'
import { compileCondition } from './conditions.ts'
import type { Exchange } from './exchange.ts'
import { absoluteLocation } from './location-redirect.ts'
import type { Matcher } from './matcher.ts'
import { mediaType } from './media-type.ts'
import { type Getter, type LocationPlan, type RewriteProgram, RewriteResult } from './plan.ts'
import { decodeRedirect, encodedCapture, hasQuery, splitQuery } from './rewrite-text.ts'
import { setArgs } from './variables-request.ts'

export type IfRule = Extract<RewriteRule, { kind: 'if' }>
type RegexRule = Extract<RewriteRule, { kind: 'rewrite' }>
type ReturnRule = Extract<RewriteRule, { kind: 'return' }>
type SetRule = Extract<RewriteRule, { kind: 'set' }>

/** Makes the anonymous location that a request is in from a true `if` on. The language does not nest `if`s. */
export type EnterIf = (rule: IfRule) => LocationPlan

/** How the rules go on after one of them. */
const Flow = { NEXT: 0, STOP: 1, ANSWER: 2 } as const
type Flow = (typeof Flow)[keyof typeof Flow]

type Rule = (x: Exchange) => Flow

/**
 * @param enter makes the location of an `if`
 * @param scope on the server level no `SEARCH` results, because the locations have not been searched yet, and an `if`
 *   is no location
 * @returns null when there are no rules
 */
export function compileRules(
  rules: readonly RewriteRule[],
  binder: RequestBinder,
  enter: EnterIf,
  scope: 'server' | 'location' = 'location',
): RewriteProgram | null {
  return rules.length === 0 ? null : new Program(rules, binder, enter, scope)
}

class Program implements RewriteProgram {
  readonly #rules: readonly Rule[]
  readonly #binder: RequestBinder
  readonly #enter: EnterIf
  readonly #inLocation: boolean
  /** No `rewrite` has matched in this run yet. Runs are synchronous and do not nest. */
  #untouched = true

  constructor(
    rules: readonly RewriteRule[],
    binder: RequestBinder,
    enter: EnterIf,
    scope: 'server' | 'location',
  ) {
    this.#binder = binder
    this.#enter = enter
    this.#inLocation = scope === 'location'
    this.#rules = this.#compile(rules)
  }

  run(x: Exchange): RewriteResult {
    this.#untouched = true
    x.uriChanged = false
    if (runRules(this.#rules, x) === Flow.ANSWER) return RewriteResult.ANSWER
    const changed = x.uriChanged
    x.uriChanged = false
    return changed && this.#inLocation ? RewriteResult.SEARCH : RewriteResult.NEXT
  }

  #compile(rules: readonly RewriteRule[]): readonly Rule[] {
    return rules.map((rule) => this.#compileRule(rule))
  }

  #compileRule(rule: RewriteRule): Rule {
    switch (rule.kind) {
      case 'set':
        return this.#compileSet(rule)
      case 'rewrite':
        return this.#compileRewrite(rule)
      case 'return':
        return compileReturn(rule, this.#binder)
      case 'break':
        return breakRules
      case 'if':
        return this.#compileIf(rule)
    }
  }

  /** A value of `set` or `if`: captures are encoded as in a query until a `rewrite` has matched. */
  #bindValue(template: Template): Getter {
    return this.#binder.bindParts(template.parts, (n) => {
      const encoded = encodedCapture(n)
      return (x) => (this.#untouched ? encoded(x) : x.captures?.[n])
    })
  }

  #compileSet(rule: SetRule): Rule {
    const set = this.#binder.setter(rule.variable)
    if (set === null) throw new Error(`variable "$${rule.variable}" cannot be set`)
    const value = this.#bindValue(rule.value)
    return (x) => {
      set(x, value(x))
      return Flow.NEXT
    }
  }

  #compileIf(rule: IfRule): Rule {
    const condition = compileCondition(rule.condition, this.#binder, (template) => this.#bindValue(template))
    const location = this.#inLocation ? this.#enter(rule) : null
    const rules = this.#compile(rule.rules)
    return (x) => {
      if (!condition(x)) return Flow.NEXT
      if (location !== null) x.location = location
      return runRules(rules, x)
    }
  }

  #compileRewrite(rule: RegexRule): Rule {
    const matcher = this.#binder.matcher(rule.pattern)
    const change = isRedirect(rule) ? compileRedirect(rule, this.#binder) : compileChange(rule, this.#binder)
    return (x) => {
      if (!matches(x, matcher, rule.pattern)) return Flow.NEXT
      this.#untouched = false
      x.internal = true
      x.unparsedValid = false
      x.uriChanged = rule.flag !== 'break'
      if (rule.flag === 'break') x.locationValid = false
      return change(x)
    }
  }
}

function runRules(rules: readonly Rule[], x: Exchange): Flow {
  for (const rule of rules) {
    const flow = rule(x)
    if (flow !== Flow.NEXT) return flow
  }
  return Flow.NEXT
}

function breakRules(x: Exchange): Flow {
  if (x.uriChanged) {
    x.uriChanged = false
    x.locationValid = false
  }
  return Flow.STOP
}

// ---- rewrite ----

function matches(x: Exchange, matcher: Matcher, pattern: Pattern): boolean {
  const matched = matcher.exec(x, x.path)
  if (!matched) x.captures = null
  if (x.location.settings.rewriteLog) {
    x.log('notice', `"${pattern.text}" ${matched ? 'matches' : 'does not match'} "${x.path}"`)
  }
  return matched
}

function isRedirect({ flag, replacement: { text } }: RegexRule): boolean {
  if (flag === 'redirect' || flag === 'permanent') return true
  return text.startsWith('http://') || text.startsWith('https://') || text.startsWith('$scheme')
}

/** The replacement becomes `Location`; its path is decoded where that is harmless, as nginx does. */
function compileRedirect(rule: RegexRule, binder: RequestBinder): Rule {
  const target = binder.bindParts(rule.replacement.parts, encodedCapture)
  const status = rule.flag === 'permanent' ? 301 : 302
  const separator = hasQuery(rule.replacement.parts) ? '&' : '?'
  return (x) => {
    let location = decodeRedirect(target(x))
    if (!rule.dropArgs && x.args !== '') location += separator + x.args
    if (x.location.settings.rewriteLog) x.log('notice', `rewritten redirect: "${location}"`)
    return redirect(x, status, location)
  }
}

/** The replacement becomes path and query: everything behind the first `?` that is written in it. */
function compileChange(rule: RegexRule, binder: RequestBinder): Rule {
  const [pathParts, argsParts] = splitQuery(rule.replacement.parts)
  const path = binder.bindParts(pathParts)
  const args = argsParts === null ? null : binder.bindParts(argsParts, encodedCapture)
  const flow = rule.flag === null ? Flow.NEXT : Flow.STOP
  return (x) => {
    const added = args === null ? null : args(x)
    x.path = path(x)
    if (added !== null) setArgs(x, !rule.dropArgs && x.args !== '' ? `${added}&${x.args}` : added)
    else if (rule.dropArgs) setArgs(x, '')
    if (x.location.settings.rewriteLog) x.log('notice', `rewritten data: "${x.path}", args: "${x.args}"`)
    if (x.path !== '') return flow
    x.log('error', 'the rewritten URI has a zero length')
    return answer(x, 500)
  }
}

// ---- return ----

function compileReturn({ status, body }: ReturnRule, binder: RequestBinder): Rule {
  // An error status alone gets the page for it.
  if (status >= 400 && (body === null || body.text === '')) return (x) => answer(x, status)
  const text: Getter = body === null ? () => '' : binder.bind(body)
  if (isRedirectStatus(status)) return (x) => redirect(x, status, text(x))
  return (x) => {
    const content = text(x)
    x.headers.contentType = status === 204 ? null : mediaType(x)
    x.headers.contentLength = content.length
    answer(x, status)
    x.parts = content === '' ? [] : [content]
    return Flow.ANSWER
  }
}

function isRedirectStatus(status: number): boolean {
  return (status >= 301 && status <= 303) || status === 307 || status === 308
}

/** The page for the status, with this `Location`. */
function redirect(x: Exchange, status: number, location: string): Flow {
  x.headers.location = absoluteLocation(x, location)
  return answer(x, status)
}

/** Ends the request with the page for the status. */
function answer(x: Exchange, status: number): Flow {
  x.status = status
  x.parts = null
  return Flow.ANSWER
}
