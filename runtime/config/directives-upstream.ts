/** Rows of `upstream` blocks: servers, balancing methods, idle connections. */
import { isIP } from 'node:net'
import { stateDigest } from '../upstream/state-file.ts'
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
import { type Endpoint, parseCount, parseEndpoint, parseOffset, parseTime } from './values.ts'

type Method = UpstreamModel['method']
type Keepalive = Draft<UpstreamModel['keepalive']>

export const UPSTREAM_DIRECTIVES: readonly Directive[] = [
  { name: 'upstream', in: HTTP, args: '1', block: true, parse: parseUpstream },
  { name: 'server', in: UPSTREAM, args: '1+', parse: parseServer },
  { name: 'hash', in: UPSTREAM, args: '1-2', parse: parseHash },
  { name: 'ip_hash', in: UPSTREAM, args: 'none', parse: (call) => choose(call, 'ip_hash') },
  { name: 'least_conn', in: UPSTREAM, args: 'none', parse: (call) => choose(call, 'least_conn') },
  { name: 'random', in: UPSTREAM, args: '0-2', parse: parseRandom },
  { name: 'upstream_from_store', in: UPSTREAM, args: '1', once: true, parse: parseFromStore },
  { name: 'zone', in: UPSTREAM, args: '1-2', once: true, parse: parseZone },
  { name: 'state', in: UPSTREAM, args: '1', once: true, parse: parseState },
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
    resolver: null,
    resolverTimeout: null,
    fromStore: null,
    sticky: null,
    state: null,
    stateDigest: null,
    scripts: [],
    scriptLimits: null,
    scriptOnError: null,
    scriptAllowFetch: null,
    scriptEjectAfter: null,
  }
  const inside = openScope(call.scope, { context: 'upstream', upstream })
  run.interpret(call.block, inside)
  upstream.resolver = inside.settings.resolver ?? null
  upstream.resolverTimeout = inside.settings.resolverTimeout ?? null
  if (run.upstreamNames.has(name.toLowerCase())) {
    run.error(args[0]!.where, `duplicate upstream "${name}"; choose another name`)
    return
  }
  run.upstreamNames.add(name.toLowerCase())
  upstreams.push(upstream)
  checkSource(call, upstream)
  for (const server of upstream.servers) checkServer(call, upstream, server)
}

/** Where the servers come from: the block, a file, the store. */
function checkSource({ run, where, block }: Call, upstream: UpstreamDraft): void {
  const { name } = upstream
  const given = block.some((line) => line.name.text === 'server')
  if (upstream.state !== null && given) {
    run.error(
      where,
      `"server" cannot stand beside "state" in upstream "${name}"; move the lines into its file, or remove "state"`,
    )
  }
  if (upstream.state !== null && upstream.fromStore !== null)
    run.error(where, `the servers of upstream "${name}" are kept in a file or in the store; remove one`)
  if (!given && upstream.state === null && upstream.fromStore === null) {
    run.error(where, `no servers are inside upstream "${name}"; write "server ADDRESS;"`)
  }
}

function checkServer({ run }: Call, { method, state }: UpstreamDraft, server: UpstreamServerModel): void {
  const { where, backup, service } = server
  if (service !== '' && state !== null)
    run.error(
      where,
      'a state file keeps single servers, not a service; write it into a block without "state"',
    )
  if (backup && NO_BACKUP.includes(method))
    run.error(where, `the balancing method "${method}" does not support "backup"; remove it`)
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
    resolve: false,
    service: '',
  }
  for (const parameter of parameters) readServerParameter(call, parameter, server)
  const endpoint = parseEndpoint(word.text, {})
  if (typeof endpoint === 'string') {
    run.error(
      word.where,
      `${endpoint} in upstream server "${word.text}"; write "HOST", "HOST:PORT" or "unix:PATH"`,
    )
  } else {
    checkService(call, server, endpoint)
    scope.upstream!.servers.push(server)
  }
}

function readServerParameter(call: Call, word: Word, server: Draft<UpstreamServerModel>): void {
  const [, key = '', value = ''] = /^([a-z_]+)(?:=(.*))?$/s.exec(word.text) ?? []
  const isWord = word.text === key
  if (isWord && ['backup', 'down', 'drain', 'resolve'].includes(key)) server[key as 'resolve'] = true
  else if (isWord) invalidParameter(call, word, SERVER_PARAMETERS)
  else if (key === 'weight') readNumber(call, word, value, 1, (number) => (server.weight = number))
  else if (key === 'max_fails') readNumber(call, word, value, 0, (number) => (server.maxFails = number))
  else if (key === 'max_conns') readNumber(call, word, value, 0, (number) => (server.maxConns = number))
  else if (key === 'fail_timeout') readFailTimeout(call, word, value, server)
  else if (key === 'route') readRoute(call, word, value, server)
  else if (key === 'service') server.service = readService(call, word, value)
  else if (key === 'slow_start') refuseUnbuilt(call, word)
  else invalidParameter(call, word, SERVER_PARAMETERS)
}

const SERVER_PARAMETERS =
  '"weight=N", "max_fails=N", "fail_timeout=TIME", "max_conns=N", "route=TEXT", "resolve", "service=NAME", "backup", "drain" or "down"'

/** Labels of a name in DNS. */
function readService(call: Call, word: Word, value: string): string {
  if (/^[\w-]{1,63}(?:\.[\w-]{1,63}){0,3}$/.test(value)) return value
  invalidParameter(call, word, 'the name of a service, such as "service=http" or "service=_http._tcp"')
  return ''
}

/** As nginx: records of a service name hosts and ports themselves. */
function checkService(call: Call, server: Draft<UpstreamServerModel>, endpoint: Endpoint): void {
  const { run, where } = call
  if (server.service === '') return
  const said = `the service "${server.service}" of "${server.name}"`
  if (!server.resolve) run.error(where, `${said} is looked up while it serves; add "resolve"`)
  if (endpoint.kind !== 'inet' || isIP(endpoint.host) !== 0)
    run.error(where, `${said} needs a name whose records say where it is; write a domain name`)
  else if (endpoint.port !== null)
    run.error(where, `${said} has the ports of its records; remove ":${endpoint.port}"`)
}

/** Of a key in the store: what is after the name of the map. */
function parseFromStore(call: Call): void {
  const [word] = call.args as [Word]
  call.scope.upstream!.fromStore = word.text
  if (!/^[\w.-]{1,64}$/.test(word.text))
    invalidValue(call, word, 'at most 64 letters, digits, "_", "." and "-"')
}

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

/** The servers as they were left; a file that is not there yet holds none. */
function parseState(call: Call): void {
  const { run, scope, args } = call
  const [word] = args as [Word]
  const upstream = scope.upstream!
  const path = run.prefixed(word.text)
  const other = run.http!.upstreams.find(({ state }) => state === path)
  upstream.state = path
  if (other !== undefined) {
    run.error(word.where, `upstream "${other.name}" has the state file "${path}" already; choose another one`)
    return
  }
  const file = run.ownFile(path)
  if (file === null) {
    noteMissing(call, path)
    return
  }
  upstream.stateDigest = stateDigest(file.text)
  for (const statement of file.statements) {
    const { name, block } = statement
    if (name.text === 'server' && block === null)
      run.interpret([statement], openScope(scope, { context: 'upstream', upstream }))
    else
      run.error(
        name.where,
        `"${name.text}" cannot stand in the state file of an upstream; it holds "server" lines`,
      )
  }
}

/** A file that the first change makes; but nothing could ever make it in a folder that is a typo, or a disk that is not mounted. */
function noteMissing({ run, scope, args }: Call, path: string): void {
  const [word] = args as [Word]
  if (run.folderExists(path))
    run.notice(
      word.where,
      `the state file "${path}" does not exist yet; upstream "${scope.upstream!.name}" begins without servers`,
    )
  else
    run.error(
      word.where,
      `the folder of the state file "${path}" does not exist; make it or correct the path`,
    )
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
