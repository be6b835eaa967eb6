/** The pairs of `proxy_redirect`, `proxy_cookie_domain` and `proxy_cookie_path`, compiled. */
import type { ReplacementRule } from '../config/model.ts'
import type { Exchange } from './exchange.ts'
import type { Binder, Getter } from './plan.ts'

export interface Replacement {
  /** The value with its beginning (or, for a pattern, all of it) replaced; null: no match. */
  prefix(x: Exchange, value: string): string | null
  /** The whole value replaced when it is equal, a leading dot aside (cookie domains); null: no match. */
  whole(x: Exchange, value: string): string | null
}

export function compileReplacements(
  rules: readonly (ReplacementRule | 'default')[],
  binder: Binder,
  fallback: { from: string; to: string } | null,
): readonly Replacement[] | null {
  const compiled: Replacement[] = []
  for (const rule of rules) {
    if (rule !== 'default') compiled.push(compile(rule, binder))
    else if (fallback !== null)
      compiled.push(
        textReplacement(
          () => fallback.from,
          () => fallback.to,
        ),
      )
  }
  return compiled.length === 0 ? null : compiled
}

function compile(rule: ReplacementRule, binder: Binder): Replacement {
  const to = binder.bind(rule.to)
  return 'source' in rule.from
    ? patternReplacement(binder.pattern(rule.from), to)
    : textReplacement(binder.bind(rule.from), to)
}

function textReplacement(from: Getter, to: Getter): Replacement {
  return {
    prefix(x, value) {
      const text = from(x)
      return value.startsWith(text) ? to(x) + value.slice(text.length) : null
    },
    whole(x, value) {
      // A leading dot says nothing (RFC 6265 section 5.2.3): it stays where it is, and is left out of the comparison.
      const dot = value.startsWith('.') ? '.' : ''
      if (value.slice(dot.length).toLowerCase() !== withoutDot(from(x)).toLowerCase()) return null
      return dot + withoutDot(to(x))
    },
  }
}

function withoutDot(domain: string): string {
  return domain.startsWith('.') ? domain.slice(1) : domain
}

function patternReplacement(pattern: RegExp, to: Getter): Replacement {
  const replace = (x: Exchange, value: string): string | null => {
    const match = pattern.exec(value)
    if (match === null) return null
    x.captures = match
    return to(x)
  }
  return { prefix: replace, whole: replace }
}

/** `Set-Cookie` with its Domain and Path attributes replaced. */
export function rewriteCookie(
  x: Exchange,
  cookie: string,
  domains: readonly Replacement[] | null,
  paths: readonly Replacement[] | null,
): string {
  const attributes = cookie.split(';')
  for (let i = 1; i < attributes.length; i++) {
    const match = /^\s*(domain|path)\s*=\s*(.*?)\s*$/i.exec(attributes[i])
    if (match === null) continue
    const isDomain = match[1].length === 6
    const rules = isDomain ? domains : paths
    for (const rule of rules ?? []) {
      const value = isDomain ? rule.whole(x, match[2]) : rule.prefix(x, match[2])
      if (value === null) continue
      attributes[i] = ` ${match[1]}=${value}`
      break
    }
  }
  return attributes.join(';')
}
