/** Rows of `upstream` blocks: servers, balancing methods, idle connections. */
import {
  type Directive,
  HTTP,
  invalidParameter,
  invalidValue,
  readCount,
  readTime,
  UPSTREAM,
} from './directive.ts'
import type { Word } from './lexer.ts'
import type { UpstreamModel, UpstreamServerModel } from './model.ts'
import { type Call, type Draft, openScope, type UpstreamDraft } from './scope.ts'
import { parseCount, parseEndpoint, parseOffset, parseTime } from './values.ts'

type Method = UpstreamModel['method']
type Keepalive = Draft<UpstreamModel['keepalive']>

export const UPSTREAM_DIRECTIVES: readonly Directive[] = [
  { name: 'upstream', in: HTTP, args: '1', block: true, parse: parseUpstream },
  { name: 'server', in: UPSTREAM, args: '1+', parse: parseServer },
  { name: 'hash', in: UPSTREAM, args: '1-2', parse: parseHash },
  { name: 'ip_hash', in: UPSTREAM, args: 'none', parse: (call) => choose(call, 'ip_hash') },
  { name: 'least_conn', in: UPSTREAM, args: 'none', parse: (call) => choose(call, 'least_conn') },
  { name: 'random', in: UPSTREAM, args: '0-2', parse: parseRandom },
  { name: 'zone', in: UPSTREAM, args: '1-2', once: true, parse: parseZone },
  { name: 'keepalive', in: UPSTREAM, args: '1-2', once: true, parse: parseKeepalive },
  {
    name: 'keepalive_requests',
    in: UPSTREAM,
    args: '1',
    once: true,
    parse: keepaliveOf('requests', readCount),
  },
  { name: 'keepalive_timeout', in: UPSTREAM, args: '1', once: true, parse: keepaliveOf('timeout', readTime) },
  { name: 'keepalive_time', in: UPSTREAM, args: '1', once: true, parse: keepaliveOf('time', readTime) },
]

/** nginx since 1.29.7: connections are kept without being asked to. */
export const DEFAULT_KEEPALIVE: UpstreamModel['keepalive'] = {
  size: 32,
  local: true,
  requests: 1000,
  timeout: 60_000,
  time: 3_600_000,
}

const NO_BACKUP: readonly Method[] = ['hash', 'hash consistent', 'ip_hash', 'random', 'random two']

function parseUpstream(call: Call): void {
  const { run, where, args } = call
  const name = args[0]!.text
  const { upstreams } = run.http!
  const upstream: UpstreamDraft = {
    where,
    name,
    servers: [],
    method: 'round_robin',
    hashKey: null,
    zone: null,
    keepalive: { ...DEFAULT_KEEPALIVE },
    sticky: null,
    scripts: [],
    scriptLimits: null,
    scriptOnError: null,
    scriptAllowFetch: null,
    scriptEjectAfter: null,
  }
  run.interpret(call.block, openScope(call.scope, { context: 'upstream', upstream }))
  if (run.upstreamNames.has(name.toLowerCase())) {
    run.error(args[0]!.where, `duplicate upstream "${name}"; choose another name`)
    return
  }
  run.upstreamNames.add(name.toLowerCase())
  upstreams.push(upstream)
  const given = call.block.some((line) => line.name.text === 'server')
  if (!given) {
    run.error(where, `no servers are inside upstream "${name}"; write "server ADDRESS;"`)
    return
  }
  for (const server of upstream.servers) {
    if (server.backup && NO_BACKUP.includes(upstream.method)) {
      run.error(
        server.where,
        `the balancing method "${upstream.method}" does not support "backup"; remove it`,
      )
    }
  }
}

function parseServer(call: Call): void {
  const { run, where, args, scope } = call
  const [word, ...parameters] = args as [Word, ...Word[]]
  const server: Draft<UpstreamServerModel> = {
    where,
    name: word.text,
    weight: 1,
    maxFails: 1,
    failTimeout: 10_000,
    maxConns: 0,
    backup: false,
    down: false,
    drain: false,
    route: '',
  }
  for (const parameter of parameters) readServerParameter(call, parameter, server)
  const endpoint = parseEndpoint(word.text, {})
  if (typeof endpoint === 'string') {
    run.error(
      word.where,
      `${endpoint} in upstream server "${word.text}"; write "HOST", "HOST:PORT" or "unix:PATH"`,
    )
  } else {
    scope.upstream!.servers.push(server)
  }
}

function readServerParameter(call: Call, word: Word, server: Draft<UpstreamServerModel>): void {
  const [, key = '', value = ''] = /^([a-z_]+)(?:=(.*))?$/s.exec(word.text) ?? []
  const isWord = word.text === key
  if (isWord && (key === 'backup' || key === 'down' || key === 'drain')) server[key] = true
  else if (isWord && key === 'resolve') refuseUnbuilt(call, word)
  else if (isWord) invalidParameter(call, word, SERVER_PARAMETERS)
  else if (key === 'weight') readNumber(call, word, value, 1, (number) => (server.weight = number))
  else if (key === 'max_fails') readNumber(call, word, value, 0, (number) => (server.maxFails = number))
  else if (key === 'max_conns') readNumber(call, word, value, 0, (number) => (server.maxConns = number))
  else if (key === 'fail_timeout') readFailTimeout(call, word, value, server)
  else if (key === 'route') readRoute(call, word, value, server)
  else if (['service', 'slow_start'].includes(key)) refuseUnbuilt(call, word)
  else invalidParameter(call, word, SERVER_PARAMETERS)
}

const SERVER_PARAMETERS =
  '"weight=N", "max_fails=N", "fail_timeout=TIME", "max_conns=N", "route=TEXT", "backup", "drain" or "down"'

/** nginx's bound; a cookie's value holds neither spaces nor what ends it. */
function readRoute(call: Call, word: Word, value: string, server: Draft<UpstreamServerModel>): void {
  if (/^[^\s\x00-\x1f\x7f;,"\\]{1,32}$/.test(value)) server.route = value
  else invalidParameter(call, word, 'at most 32 characters of a cookie, such as "route=a"')
}

function refuseUnbuilt({ run }: Call, word: Word): void {
  run.error(word.where, `the parameter "${word.text}" of an upstream's server is not built yet; remove it`)
}

function readNumber(
  call: Call,
  word: Word,
  value: string,
  least: number,
  store: (number: number) => void,
): void {
  const number = parseCount(value)
  if (number === null || number < least) invalidParameter(call, word, `a whole number of at least ${least}`)
  else store(number)
}

function readFailTimeout(call: Call, word: Word, value: string, server: Draft<UpstreamServerModel>): void {
  const time = parseTime(value, 's')
  if (time === null) invalidParameter(call, word, 'a time in whole seconds, such as "fail_timeout=10s"')
  else server.failTimeout = time
}

function choose({ run, where, scope, name }: Call, method: Method): void {
  const upstream = scope.upstream!
  if (upstream.method !== 'round_robin')
    run.notice(where, `"${name}" replaces the method "${upstream.method}" above; remove one`)
  upstream.method = method
}

function parseHash(call: Call): void {
  const [key, option] = call.args as [Word, Word?]
  if (option && option.text !== 'consistent') {
    invalidParameter(call, option, '"consistent"')
    return
  }
  choose(call, option ? 'hash consistent' : 'hash')
  call.scope.upstream!.hashKey = call.run.template(key)
}

function parseRandom(call: Call): void {
  const [first, second] = call.args as [Word?, Word?]
  if (first && first.text !== 'two') {
    invalidParameter(call, first, '"two"')
    return
  }
  if (second && second.text !== 'least_conn') {
    invalidParameter(call, second, '"least_conn"')
    return
  }
  choose(call, first ? 'random two' : 'random')
}

/** The size is nginx's: here a peer takes what it takes. */
function parseZone(call: Call): void {
  const [name, size] = call.args as [Word, Word?]
  const bytes = size === undefined ? 0 : parseOffset(size.text)
  if (bytes === null) invalidValue(call, size!, 'a size, such as "64k"')
  else call.scope.upstream!.zone = name.text
}

function parseKeepalive(call: Call): void {
  const [size, option] = call.args as [Word, Word?]
  if (option && option.text !== 'local') {
    invalidParameter(call, option, '"local"')
    return
  }
  const number = parseCount(size.text)
  if (number === null) {
    invalidValue(call, size, 'how many idle connections to keep, such as "32"')
    return
  }
  const keepalive: Keepalive = call.scope.upstream!.keepalive
  keepalive.size = number
  keepalive.local = option !== undefined
}

function keepaliveOf(
  key: 'requests' | 'timeout' | 'time',
  read: (call: Call, word: Word) => number | null,
): (call: Call) => void {
  return (call) => {
    const value = read(call, call.args[0]!)
    if (value === null) return
    const keepalive: Keepalive = call.scope.upstream!.keepalive
    keepalive[key] = value
  }
}
