/** The `sticky` row of `upstream` blocks: ngx_http_upstream_sticky_module's `cookie`, `route` and `learn`, and our `map`. */
import { type Directive, invalidParameter, UPSTREAM } from './directive.ts'
import type { Word } from './lexer.ts'
import type { HttpModel, StickyModel, Template } from './model.ts'
import type { Call, Draft, Run } from './scope.ts'
import { parseSize, parseTime } from './values.ts'

export const STICKY_DIRECTIVES: readonly Directive[] = [
  { name: 'sticky', in: UPSTREAM, args: '1+', once: true, parse: parseSticky },
]

type OfKind<K extends StickyModel['kind']> = Draft<Extract<StickyModel, { kind: K }>>

const KINDS = '"cookie NAME", "route $VARIABLE", "learn create=$VARIABLE …" or "map=NAME key=TEXT"'

function parseSticky(call: Call): void {
  const [kind, ...words] = call.args as [Word, ...Word[]]
  const upstream = call.scope.upstream!
  if (kind.text === 'cookie') upstream.sticky = readCookie(call, kind, words)
  else if (kind.text === 'route') upstream.sticky = readRoute(call, kind, words)
  else if (kind.text === 'learn') upstream.sticky = readLearn(call, kind, words)
  else if (kind.text.startsWith('map=')) upstream.sticky = readMap(call, [kind, ...words])
  else invalidParameter(call, kind, KINDS)
}

const split = (word: Word): [name: string, value: string] => {
  const [, name = word.text, value = ''] = /^([a-z_]+)=(.*)$/s.exec(word.text) ?? []
  return [name, value]
}

/** `map=NAME key=TEXT` */
function readMap(call: Call, words: readonly Word[]): StickyModel | null {
  let map = ''
  let key: Template | null = null
  for (const word of words) {
    const [name, value] = split(word)
    if (value === '') invalidParameter(call, word, '"map=NAME" or "key=TEXT"')
    else if (name === 'map') map = value
    else if (name === 'key') key = call.run.template(word, value)
    else invalidParameter(call, word, '"map=NAME" or "key=TEXT"')
  }
  if (key === null) call.run.error(call.where, 'sticky needs a key; write "key=$arg_userId" or the like')
  return map === '' || key === null ? null : { kind: 'map', where: call.where, map, key }
}

// ---- nginx's ----

const COOKIE_WORDS =
  '"expires=TIME|max", "domain=TEXT", "path=PATH", "httponly", "secure" or "samesite=strict|lax|none"'
const SAME_SITE = /^(?:strict|lax|none)$/i
/** RFC 6265 section 4.1.1: a token; and nothing that would end a field of a cookie. */
const COOKIE_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const COOKIE_TEXT = /^[^\x00-\x1f\x7f;]+$/

function readCookie(call: Call, kind: Word, [name, ...words]: readonly Word[]): StickyModel | null {
  if (name === undefined || !COOKIE_NAME.test(name.text)) {
    invalidParameter(call, name ?? kind, 'the name of a cookie, such as "sticky cookie peer"')
    return null
  }
  const model: OfKind<'cookie'> = {
    kind: 'cookie',
    where: call.where,
    name: name.text,
    expires: null,
    domain: null,
    path: null,
    httpOnly: false,
    secure: false,
    sameSite: null,
  }
  const seen = new Set<string>()
  for (const word of words) {
    const [option] = split(word)
    if (seen.has(option)) call.run.error(word.where, `the parameter "${option}" is duplicate; remove one`)
    else readCookieWord(call, word, model)
    seen.add(option)
  }
  return model
}

function readCookieWord(call: Call, word: Word, model: OfKind<'cookie'>): void {
  const [name, value] = split(word)
  if (word.text === 'httponly') model.httpOnly = true
  else if (word.text === 'secure') model.secure = true
  else if (name === 'expires') {
    const ms = value === 'max' ? 0 : parseTime(value, 's')
    if (ms === null)
      invalidParameter(call, word, 'a time in whole seconds, such as "expires=1h", or "expires=max"')
    else model.expires = value === 'max' ? 'max' : ms / 1000
  } else if (name === 'domain' && COOKIE_TEXT.test(value)) model.domain = call.run.template(word, value)
  else if (name === 'path' && COOKIE_TEXT.test(value)) model.path = value
  else if (name === 'samesite' && (value.includes('$') || SAME_SITE.test(value)))
    model.sameSite = call.run.template(word, value)
  else invalidParameter(call, word, COOKIE_WORDS)
}

function readRoute(call: Call, kind: Word, words: readonly Word[]): StickyModel | null {
  if (words.length === 0)
    invalidParameter(call, kind, 'variables behind it, such as "sticky route $cookie_route"')
  const lookups = words.flatMap((word) => variable(call, word, word.text))
  return lookups.length === 0 ? null : { kind: 'route', where: call.where, lookups }
}

/** The value is one variable and nothing else. */
function variable(call: Call, word: Word, text: string): Template[] {
  if (/^\$(?:\w+|\{\w+\})$/.test(text)) {
    const template = call.run.template(word, text)
    return [template]
  }
  invalidParameter(call, word, 'a variable, such as "$cookie_route"')
  return []
}

const LEARN_WORDS =
  '"create=$VARIABLE", "lookup=$VARIABLE", "zone=NAME:SIZE", "timeout=TIME", "header" or "sync"'
/** nginx: a megabyte holds about 8000 sessions. */
const SESSIONS_PER_BYTE = 8000 / (1024 * 1024)
const LEAST_ZONE = 32 * 1024

function readLearn(call: Call, kind: Word, words: readonly Word[]): StickyModel | null {
  const model: OfKind<'learn'> = {
    kind: 'learn',
    where: call.where,
    creates: [],
    lookups: [],
    header: false,
    map: '',
  }
  const zone = { name: '', size: 0, timeout: 600_000 }
  for (const word of words) readLearnWord(call, word, model, zone)
  const missing = [
    model.creates.length === 0 && 'create=$VARIABLE',
    model.lookups.length === 0 && 'lookup=$VARIABLE',
    zone.name === '' && 'zone=NAME:SIZE',
  ].filter((each) => each !== false)
  if (missing.length > 0) {
    call.run.error(
      kind.where,
      `sticky learn needs ${missing.map((each) => `"${each}"`).join(' and ')}; add it`,
    )
    return null
  }
  model.map = sessionsOf(call.run, zone)
  return model
}

function readLearnWord(
  call: Call,
  word: Word,
  model: OfKind<'learn'>,
  zone: { name: string; size: number; timeout: number },
): void {
  const [name, value] = split(word)
  if (word.text === 'sync') return
  if (word.text === 'header') {
    model.header = true
    return
  }
  if (name === 'create') model.creates = [...model.creates, ...variable(call, word, value)]
  else if (name === 'lookup') model.lookups = [...model.lookups, ...variable(call, word, value)]
  else if (name === 'timeout') {
    const timeout = parseTime(value)
    if (timeout === null || timeout === 0)
      invalidParameter(call, word, 'a time above 0, such as "timeout=10m"')
    else zone.timeout = timeout
  } else if (name === 'zone') {
    const [, text, size] = /^(\w[\w-]{0,63}):(.+)$/.exec(value) ?? []
    const bytes = size === undefined ? null : parseSize(size)
    if (bytes === null || bytes < LEAST_ZONE)
      invalidParameter(call, word, 'a name and a size from 32k on, such as "zone=sessions:1m"')
    else [zone.name, zone.size] = [text!, bytes]
  } else invalidParameter(call, word, LEARN_WORDS)
}

/** Sessions live in a map of the store, which no `session_map` can be named like. @returns its name */
function sessionsOf(run: Run, zone: { name: string; size: number; timeout: number }): string {
  const http = run.http!
  const name = `sticky:${zone.name}`
  if (!http.sessionMaps.some((map) => map.name === name)) {
    const max = Math.floor(zone.size * SESSIONS_PER_BYTE)
    const where = { file: '', line: 0, column: 0 }
    http.sessionMaps = [...http.sessionMaps, { where, name, ttl: zone.timeout, max, onError: 'stale' }]
  }
  return name
}

/** Maps may be defined further down than they are used. */
export function checkSticky(
  run: Run,
  { upstreams, sessionMaps }: Pick<HttpModel, 'upstreams' | 'sessionMaps'>,
): void {
  for (const { sticky } of upstreams) {
    if (sticky?.kind !== 'map' || sessionMaps.some(({ name }) => name === sticky.map)) continue
    run.error(
      sticky.where,
      `unknown session map "${sticky.map}"; define it with "session_map ${sticky.map};"`,
    )
  }
}
