/** `server_name`: exact names, wildcards and patterns (ngx_http_core_module, `server_name`). */
import { hostname } from 'node:os'
import type { Word } from './lexer.ts'
import type { ServerNameModel, Where } from './model.ts'
import type { Call } from './scope.ts'

export function parseServerNames(call: Call): void {
  for (const word of call.args) {
    call.scope.server!.names.push(
      ...(word.text.startsWith('~') ? patternName(call, word) : plainName(call, word)),
    )
  }
}

/** The name of a server that has none: it answers requests without a Host. */
export function emptyName(where: Where): ServerNameModel {
  return { where, kind: 'exact', text: '', name: '', pattern: null }
}

export type HostKey = {
  readonly kind: 'exact' | 'leading' | 'trailing' | 'both'
  readonly name: string
} | null

/**
 * A host name with at most one wildcard, as `server_name` and `map` with `hostnames` take it: `a.b`, `*.b` (leading),
 * `a.*` (trailing), `.b` (both: `b` and `*.b`). null for other forms.
 */
export function parseHostKey(text: string): HostKey {
  const name = text.toLowerCase()
  if (name.includes('..') || name.indexOf('*') !== name.lastIndexOf('*')) return null
  if (/^\../.test(name) && !name.includes('*')) return { kind: 'both', name }
  if (name.startsWith('*.') && name.length > 2) return { kind: 'leading', name: name.slice(1) }
  if (name.endsWith('.*') && name.length > 2) return { kind: 'trailing', name: name.slice(0, -1) }
  return name.includes('*') ? null : { kind: 'exact', name }
}

function plainName({ run }: Call, { text, where }: Word): ServerNameModel[] {
  const named = text.toLowerCase() === '$hostname' ? hostname() : text
  const key = named === '.' ? null : parseHostKey(named)
  if (!key) {
    run.error(
      where,
      `invalid server name "${text}"; a "*" may be its first or last part only, as in "*.example.com"`,
    )
    return []
  }
  if (named.includes('/')) run.notice(where, `the server name "${text}" holds a "/"; write the host only`)
  const shown = key.kind === 'both' ? key.name.slice(1) : named.toLowerCase()
  const entry = { where, text: shown, pattern: null }
  if (key.kind !== 'both') return [{ ...entry, kind: key.kind, name: key.name }]
  return [
    { ...entry, kind: 'exact', name: key.name.slice(1) },
    { ...entry, kind: 'leading', name: key.name },
  ]
}

function patternName({ run }: Call, word: Word): ServerNameModel[] {
  const source = word.text.slice(1)
  if (source === '') {
    run.error(word.where, 'empty pattern in "server_name ~"; write a regular expression behind "~"')
    return []
  }
  // Host names are compared in lower case: a pattern that is written with capitals would never match.
  const pattern = run.pattern(word, source, /[A-Z]/.test(source))
  if (!pattern) return []
  return [{ where: word.where, kind: 'pattern', text: word.text, name: source, pattern }]
}
