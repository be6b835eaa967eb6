/** Rows of the shared state: where it lives (`store`), how long a call may take, and the maps (`session_map`). */
import { type Directive, HTTP, invalidParameter, readChoice, readTime } from './directive.ts'
import type { Word } from './lexer.ts'
import type { RedisModel, SessionMapModel, StoreModel } from './model.ts'
import { decodeBytes } from './problems.ts'
import type { Call } from './scope.ts'
import { parseCount, parseOffset, parseTime } from './values.ts'

export const STORE_DIRECTIVES: readonly Directive[] = [
  { name: 'store', in: HTTP, args: '1+', once: true, parse: parseStore },
  { name: 'store_timeout', in: HTTP, args: '1', once: true, parse: parseStoreTimeout },
  { name: 'session_map', in: HTTP, args: '1+', parse: parseSessionMap },
]

const MEBIBYTE = 1024 * 1024
const LEAST_SIZE = MEBIBYTE

function parseStore(call: Call): void {
  const [kind, ...words] = call.args as [Word, ...Word[]]
  const store = kind.text === 'memory' ? memoryStore(call, words) : redisStore(call, kind, words)
  if (store !== null) call.run.http!.store = store
}

function memoryStore(call: Call, words: readonly Word[]): StoreModel | null {
  let size = 64 * MEBIBYTE
  for (const word of words) {
    const bytes = word.text.startsWith('size=') ? parseOffset(word.text.slice(5)) : null
    if (bytes === null || bytes < LEAST_SIZE)
      invalidParameter(call, word, 'a size from 1m on, such as "size=64m"')
    else size = bytes
  }
  return { kind: 'memory', size }
}

type Draft = { -readonly [K in keyof RedisModel]: RedisModel[K] }

const ADDRESS = '"memory" or an address such as "redis://127.0.0.1:6379/0", with further nodes after commas'

/** `redis://[USER[:PASSWORD]@]HOST[:PORT][,HOST[:PORT]…][/DATABASE]`, `rediss://…` for TLS, `redis+unix:/path`. */
function redisStore(call: Call, address: Word, words: readonly Word[]): StoreModel | null {
  const draft = readAddress(call, address.text)
  if (draft === null) {
    call.run.error(address.where, `invalid store "${withoutPassword(address.text)}"; write ${ADDRESS}`)
    return null
  }
  for (const word of words) readRedisWord(call, word, draft)
  if (draft.mode === 'single' && draft.addresses.length > 1)
    call.run.error(address.where, 'several addresses need "cluster" or "sentinel=NAME"; add one of them')
  if (draft.mode === 'cluster' && draft.database !== 0)
    call.run.error(address.where, 'a cluster has database 0 only; remove the number at the end')
  return draft
}

const DEFAULT_PORT = 6379

function readAddress({ where }: Call, text: string): Draft | null {
  const [, scheme, user, hosts, path] =
    /^(rediss?|redis\+unix):(?:\/\/)?(?:([^@/]*)@)?([^/]*)(\/.*)?$/.exec(text) ?? []
  if (scheme === undefined) return null
  const [, username, password] = /^([^:]*)(?::(.*))?$/s.exec(user ?? '') ?? []
  const draft: Draft = {
    where,
    kind: 'redis',
    mode: 'single',
    addresses: [],
    path: null,
    sentinel: null,
    username: decoded(username),
    password: decoded(password),
    passwordFile: null,
    database: 0,
    tls: scheme === 'rediss',
    tlsCa: null,
    prefix: 'sluice:',
    allowEval: false,
  }
  if (scheme === 'redis+unix') {
    draft.path = path === undefined ? null : decodeBytes(path)
    return draft.path === null || hosts !== '' ? null : draft
  }
  const database = path === undefined || path === '/' ? 0 : parseCount(path.slice(1))
  if (database === null || database > 65_535) return null
  const addresses = hosts.split(',').map(readHost)
  if (addresses.includes(null)) return null
  return { ...draft, database, addresses: addresses as RedisModel['addresses'] }
}

function readHost(text: string): { host: string; port: number } | null {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/i.exec(text) ?? []
  const host = bracketed ?? plain
  const number = port === undefined ? DEFAULT_PORT : Number(port)
  return host === undefined || number < 1 || number > 65_535 ? null : { host, port: number }
}

function decoded(text: string | undefined): string | null {
  if (text === undefined || text === '') return null
  try {
    return decodeURIComponent(decodeBytes(text))
  } catch {
    return decodeBytes(text)
  }
}

/** A password is nobody's to read in a log. */
function withoutPassword(text: string): string {
  return text.replace(/:[^:@/]*@/, ':…@')
}

const REDIS_WORDS =
  '"cluster", "sentinel=NAME", "prefix=TEXT", "password_file=FILE", "tls_ca=FILE" or "allow_eval"'

function readRedisWord(call: Call, word: Word, draft: Draft): void {
  const [, name = word.text, value = ''] = /^([a-z_]+)=(.*)$/s.exec(word.text) ?? []
  if (word.text === 'cluster' || (name === 'sentinel' && value !== '')) {
    if (draft.mode !== 'single')
      call.run.error(word.where, 'a store is a cluster or has a sentinel; remove one')
    draft.mode = word.text === 'cluster' ? 'cluster' : 'sentinel'
    if (draft.mode === 'sentinel') draft.sentinel = decodeBytes(value)
  } else if (word.text === 'allow_eval') draft.allowEval = true
  else if (name === 'prefix' && /^[\w:.-]{1,64}$/.test(value)) draft.prefix = value
  else if (name === 'prefix')
    invalidParameter(call, word, 'letters, digits, ":", ".", "_" and "-", such as "prefix=sluice:"')
  else if (name === 'password_file' && value !== '')
    draft.passwordFile = decodeBytes(call.run.besideConfig(value))
  else if (name === 'tls_ca' && value !== '') draft.tlsCa = decodeBytes(call.run.besideConfig(value))
  else invalidParameter(call, word, REDIS_WORDS)
}

function parseStoreTimeout(call: Call): void {
  const value = readTime(call, call.args[0]!)
  if (value === 0)
    call.run.error(call.args[0]!.where, 'a call needs some time; write a time above 0, such as "50ms"')
  else if (value !== null) call.run.http!.storeTimeout = value
}

const MAP_WORDS = '"ttl=TIME", "max=N" or "on_error=hash|stale|closed"'

function parseSessionMap(call: Call): void {
  const [name, ...words] = call.args as [Word, ...Word[]]
  const http = call.run.http!
  if (!/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(name.text)) {
    call.run.error(name.where, `invalid map name "${name.text}"; write letters, digits, "_" and "-"`)
    return
  }
  if (name.text === 'upstreams') {
    call.run.error(
      name.where,
      'the map "upstreams" holds the lists of "upstream_from_store"; choose another name',
    )
    return
  }
  if (http.sessionMaps.some((map) => map.name === name.text)) {
    call.run.error(name.where, `duplicate session_map "${name.text}"; remove one`)
    return
  }
  const map: { -readonly [K in keyof SessionMapModel]: SessionMapModel[K] } = {
    where: call.where,
    name: name.text,
    ttl: 3_600_000,
    max: 1_000_000,
    onError: 'hash',
  }
  for (const word of words) readMapWord(call, word, map)
  http.sessionMaps = [...http.sessionMaps, map]
}

function readMapWord(
  call: Call,
  word: Word,
  map: { -readonly [K in keyof SessionMapModel]: SessionMapModel[K] },
): void {
  const [, name, value = ''] = /^([a-z_]+)=(.*)$/s.exec(word.text) ?? []
  if (name === 'ttl') {
    const ttl = parseTime(value)
    if (ttl === null || ttl === 0)
      invalidParameter(call, word, 'a time above 0 in w, d, h, m, s or ms, such as "ttl=1h"')
    else map.ttl = ttl
  } else if (name === 'max') {
    const max = parseCount(value)
    if (max === null || max === 0) invalidParameter(call, word, 'a number from 1 on, such as "max=1000000"')
    else map.max = max
  } else if (name === 'on_error') {
    const chosen = readChoice(call, { ...word, text: value }, ['hash', 'stale', 'closed'])
    if (chosen !== null) map.onError = chosen
  } else invalidParameter(call, word, MAP_WORDS)
}
