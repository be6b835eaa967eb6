/**
 * What only the whole http block can tell: the same address, name or location twice, formats and upstreams that
 * other lines refer to.
 */
import { checkSticky } from './directives-sticky.ts'
import type {
  AccessLogModel,
  HttpModel,
  LimitConnModel,
  LimitReqModel,
  ListenModel,
  LocationContent,
  LocationModel,
  RewriteRule,
  ServerModel,
  Settings,
} from './model.ts'
import type { Draft, HttpDraft, ListenDraft, Run, ServerDraft } from './scope.ts'
import { canonicalHost } from './values.ts'

export function validate(run: Run, http: HttpDraft): void {
  checkListens(run, http.servers)
  checkSticky(run, http)
  for (const server of http.servers) checkLocations(run, server.locations)
  eachBlock(http, (settings, content) => {
    for (const log of settings.accessLogs ?? []) resolveFormat(run, log, http)
    checkUpstreamPort(run, content)
    checkLimits(run, settings, http)
  })
}

/** Every level of settings, `if` and `limit_except` included. */
function eachBlock(http: HttpDraft, visit: (settings: Settings, content: LocationContent) => void): void {
  const visitRules = (rules: readonly RewriteRule[]) => {
    for (const rule of rules) {
      if (rule.kind !== 'if') continue
      visit(rule.settings, rule.content)
      visitRules(rule.rules)
    }
  }
  const visitBlock = (block: ServerModel | LocationModel, content: LocationContent) => {
    visit(block.settings, content)
    visitRules(block.rules)
    const limit = content.limitExcept
    if (limit) visit(limit.settings, limit.content)
    for (const location of block.locations) visitBlock(location, location.content)
  }
  visit(http.settings, {})
  for (const server of http.servers) visitBlock(server, {})
}

function resolveFormat(run: Run, log: AccessLogModel, http: Pick<HttpModel, 'logFormats'>): void {
  const wanted = log.format.toLowerCase()
  const format =
    http.logFormats.find(({ name }) => name === log.format) ??
    http.logFormats.find(({ name }) => name.toLowerCase() === wanted)
  if (format) (log as Draft<AccessLogModel>).format = format.name
  else
    run.error(log.where, `unknown log format "${log.format}"; define it with "log_format ${log.format} ...;"`)
}

/** Zones may be defined further down than they are used. */
function checkLimits(run: Run, { limitReqs = [], limitConns = [] }: Settings, http: HttpDraft): void {
  const check = ({ where, zone }: LimitReqModel | LimitConnModel, kind: 'req' | 'conn', define: string) => {
    if (!http.limitZones.some((known) => known.kind === kind && known.name === zone))
      run.error(where, `unknown zone "${zone}"; define it with "${define}"`)
  }
  for (const limit of limitReqs) check(limit, 'req', `limit_req_zone KEY zone=${limit.zone}:10m rate=10r/s;`)
  for (const limit of limitConns) check(limit, 'conn', `limit_conn_zone KEY zone=${limit.zone}:10m;`)
}

/** A name that is an upstream has its ports in the upstream. */
function checkUpstreamPort(run: Run, { proxyPass }: LocationContent): void {
  const [, host, port] = /^([^:[\]]+):([0-9]+)$/.exec(proxyPass?.fixed?.host ?? '') ?? []
  if (!host || !run.upstreamNames.has(host.toLowerCase())) return
  run.error(
    proxyPass!.where,
    `the upstream "${host}" may not have the port ${port} here; write it behind its servers`,
  )
}

/** One socket: what the servers on it have said so far. */
interface SocketUse {
  readonly servers: Set<ServerDraft>
  readonly names: Set<string>
  optionsSet: boolean
  defaultTaken: boolean
}

function checkListens(run: Run, servers: readonly ServerDraft[]): void {
  const sockets = new Map<string, SocketUse>()
  for (const server of servers) {
    for (const listen of server.listens) checkListen(run, server, listen, sockets)
  }
}

function checkListen(
  run: Run,
  server: ServerDraft,
  listen: ListenDraft,
  sockets: Map<string, SocketUse>,
): void {
  const key = socketKey(listen)
  const use = sockets.get(key) ?? {
    servers: new Set(),
    names: new Set(),
    optionsSet: false,
    defaultTaken: false,
  }
  sockets.set(key, use)
  if (use.servers.has(server)) {
    run.error(listen.where, `duplicate "listen ${listen.text}" in one server; remove one`)
    return
  }
  if (listen.setsOptions && use.optionsSet) {
    run.error(listen.where, `duplicate listen options for "${listen.text}"; give them in one server only`)
  }
  if (listen.defaultServer && use.defaultTaken) {
    run.error(
      listen.where,
      `a duplicate default server for "${listen.text}"; remove "default_server" from one`,
    )
  }
  use.servers.add(server)
  use.optionsSet ||= listen.setsOptions
  use.defaultTaken ||= listen.defaultServer
  checkNames(run, server, listen, use)
}

function checkNames(run: Run, server: ServerDraft, listen: ListenDraft, use: SocketUse): void {
  const own = new Set<string>()
  for (const { kind, name, where } of server.names) {
    if (kind === 'pattern') continue
    const key = `${kind} ${name}`
    if (use.names.has(key) || own.has(key)) {
      run.notice(
        where,
        `conflicting server name "${name}" on "${listen.text}": the server above has it, this one is ignored`,
      )
    }
    own.add(key)
  }
  for (const key of own) use.names.add(key)
}

export function socketKey({ address }: Pick<ListenModel, 'address'>): string {
  return 'path' in address ? `unix:${address.path}` : `${canonicalHost(address.host)} ${address.port}`
}

function checkLocations(run: Run, locations: readonly LocationModel[]): void {
  const known = new Set<string>()
  for (const { match, where, locations: nested } of locations) {
    // `^~` is a prefix like any other; patterns may repeat, the first one wins.
    const key = `${match.kind === 'priority' ? 'prefix' : match.kind} ${match.path}`
    if (match.kind !== 'pattern' && known.has(key)) {
      const message = `duplicate location "${match.path}"; join the two blocks`
      if (match.kind === 'named') run.notice(where, message)
      else run.error(where, message)
    }
    known.add(key)
    checkLocations(run, nested)
  }
}
