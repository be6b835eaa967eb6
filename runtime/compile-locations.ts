/** Server and location blocks to their plans: settings inherited, rules, hooks, content, logs, error pages compiled. */
import { compileProxy, type ProxyTargets } from './compile-proxy.ts'
import { inherit } from './config/defaults.ts'
import type {
  ErrorPageModel,
  LocationContent,
  LocationModel,
  RewriteRule,
  ServerModel,
  Template,
  Where,
} from './config/model.ts'
import { compileAccessLogs } from './observe/access-log.ts'
import { ErrorLog } from './observe/error-log.ts'
import type { LogFiles } from './observe/log-files.ts'
import type { LogFormats } from './observe/log-format.ts'
import { compileAccess } from './proxy/access-rules.ts'
import { compileAuthRequest } from './proxy/auth-request.ts'
import type { RequestBinder } from './proxy/binder.ts'
import type { Exchange, Services } from './proxy/exchange.ts'
import { compileHeaderRules } from './proxy/header-rules.ts'
import { compileLimitConn } from './proxy/limit-conn.ts'
import { compileLimitReq } from './proxy/limit-req.ts'
import { buildLocations, type LocationEntry } from './proxy/locations.ts'
import { compileMirror } from './proxy/mirror.ts'
import type {
  Content,
  Effective,
  ErrorPagePlan,
  ErrorPages,
  FilePlan,
  LocationPlan,
  ServerPlan,
} from './proxy/plan.ts'
import { compileRealIp } from './proxy/real-ip.ts'
import { compileFilters } from './proxy/response-filters.ts'
import { compileRules } from './proxy/rewrite.ts'
import { compileTryFiles } from './proxy/try-files.ts'
import type { ScriptLevels, ScriptSet } from './script-set.ts'
import type { LimitZones } from './store/limit-zones.ts'
import type { Store } from './store/store.ts'

export interface ServerContext {
  readonly binder: RequestBinder
  readonly logs: { readonly formats: LogFormats<Exchange>; readonly files: LogFiles }
  readonly prefix: string
  /** Settings of the level outside. */
  readonly settings: Effective
  readonly scripts: ScriptSet
  readonly targets: ProxyTargets
  readonly services: Services
  readonly zones: LimitZones
  readonly store: Store
}

/** What a block passes on to the blocks inside it. */
interface Scope {
  readonly context: ServerContext
  readonly settings: Effective
  readonly scripts: ScriptLevels
  /** Content that anonymous locations of `if` blocks take over. */
  readonly content: LocationContent
  readonly internal: boolean
  readonly match: { readonly kind: LocationPlan['kind']; readonly name: string }
  /** The location that holds the `alias` in force, or null. */
  readonly alias: { readonly template: Template; readonly name: string | null } | null
}

export function compileServer(server: ServerModel, context: ServerContext): ServerPlan {
  const settings = inherit(context.settings, server.settings) as Effective
  const scripts = context.scripts.outer.inner(server.settings)
  const scope: Scope = {
    context,
    settings,
    scripts,
    content: {},
    internal: false,
    match: { kind: 'root', name: '' },
    alias: null,
  }
  const root = makePlan(server.where, scope, [])
  const entries = server.locations.map((location) => compileLocation(location, scope))
  return {
    where: server.where,
    name: server.names[0]?.text ?? '',
    settings,
    rules: compileRules(server.rules, context.binder, (rule) => enterIf(rule, scope), 'server'),
    realIp: compileRealIp(settings),
    root,
    locations: buildLocations(entries, context.binder),
  }
}

function compileLocation(location: LocationModel, outer: Scope): LocationEntry {
  const settings = inherit(outer.settings, location.settings) as Effective
  const { match, content } = location
  const name = match.kind === 'pattern' ? match.pattern!.text : match.path
  const alias =
    content.alias === undefined
      ? null
      : { template: content.alias, name: match.kind === 'pattern' ? null : match.path }
  const scope: Scope = {
    context: outer.context,
    settings,
    scripts: outer.scripts.inner(location.settings),
    content,
    internal: content.internal ?? outer.internal,
    match: { kind: match.kind, name },
    alias: alias ?? (location.settings.root === undefined ? outer.alias : null),
  }
  const nested = location.locations.map((inner) => compileLocation(inner, scope))
  return { match, plan: makePlan(location.where, scope, location.rules), nested }
}

/** The anonymous location of an `if` block: settings of its own, content of the location around it unless it has one. */
function enterIf(rule: Extract<RewriteRule, { kind: 'if' }>, outer: Scope): LocationPlan {
  const content = { ...outer.content, ...rule.content }
  const settings = inherit(outer.settings, rule.settings) as Effective
  return makePlan(rule.where, { ...outer, settings, content }, [], 'if')
}

function makePlan(
  where: Where,
  scope: Scope,
  rules: readonly RewriteRule[],
  kind: LocationPlan['kind'] = scope.match.kind,
): LocationPlan {
  const { context, settings, match } = scope
  const { binder } = context
  const compiled = compileContent(scope, where)
  const upstream = compiled.kind === 'proxy' ? compiled.upstream : null
  const hooks = context.scripts.hooks(scope.scripts, upstream)
  return {
    where,
    name: match.name,
    kind,
    settings,
    internal: scope.internal,
    autoRedirect:
      compiled.kind === 'proxy' &&
      match.name.endsWith('/') &&
      (kind === 'prefix' || kind === 'priority' || kind === 'exact'),
    rules: compileRules(rules, binder, (rule) => enterIf(rule, scope)),
    hooks,
    realIp: compileRealIp(settings),
    limitReq: compileLimitReq(settings, context.zones, binder, context.store),
    limitConn: compileLimitConn(settings, context.zones, binder),
    access: compileAccess(settings.access),
    limitExcept: compileLimitExcept(scope),
    content: compiled.content,
    keepaliveDisabled: compileKeepaliveDisable(settings.keepaliveDisable),
    files: compileFiles(scope),
    body: {
      memory: settings.clientBodyBufferSize,
      folder: settings.clientBodyTempPath,
      inFileOnly: settings.clientBodyInFileOnly,
      max: settings.clientMaxBodySize,
    },
    serverTokens: typeof settings.serverTokens === 'string' ? null : binder.bind(settings.serverTokens),
    errorPages: compileErrorPages(settings.errorPages, binder),
    headerRules: compileHeaderRules(settings, binder),
    filters: compileFilters(settings, binder),
    authRequest: compileAuthRequest(settings, binder),
    mirror: compileMirror(settings),
    logs: compileAccessLogs(settings.accessLogs, {
      ...context.logs,
      binder,
      cache: settings.openLogFileCache,
      report: (level, text) => context.services.log(level, text, null),
    }),
    tryFiles: settings.tryFiles === undefined ? null : compileTryFiles(settings.tryFiles, binder),
    errorLog: settings.errorLogs.length === 0 ? null : new ErrorLog(settings.errorLogs, context.logs.files),
  }
}

function compileContent(scope: Scope, where: Where) {
  const { content, context } = scope
  if (content.proxyPass !== undefined) {
    const { proxy, upstream } = compileProxy(content.proxyPass, scope.settings, scope.match, context)
    return { kind: 'proxy', content: { kind: 'proxy', proxy } satisfies Content, upstream, where } as const
  }
  const other: Content = content.stubStatus
    ? { kind: 'stub_status' }
    : content.emptyGif
      ? { kind: 'empty_gif' }
      : { kind: 'static' }
  return { kind: 'other', content: other } as const
}

function compileLimitExcept(scope: Scope): LocationPlan['limitExcept'] {
  const limit = scope.content.limitExcept
  if (limit === undefined) return null
  const methods = new Set(limit.methods)
  if (methods.has('GET')) methods.add('HEAD')
  const access = compileAccess(limit.settings.access ?? [])
  return access === null ? null : { methods, access }
}

function compileFiles(scope: Scope): FilePlan {
  const { settings, alias, context } = scope
  const { binder } = context
  return {
    root: binder.bind(alias === null ? settings.root : alias.template),
    alias: alias !== null,
    aliased: alias === null ? null : alias.name,
    index: settings.index.map((template) => ({
      get: binder.bind(template),
      absolute: template.text.startsWith('/'),
    })),
    types: new Map(Object.entries(settings.types)),
    defaultType: settings.defaultType,
  }
}

function compileErrorPages(models: readonly ErrorPageModel[], binder: RequestBinder): ErrorPages | null {
  if (models.length === 0) return null
  const pages = new Map<number, ErrorPagePlan>()
  for (const model of models) {
    const page = { status: model.status, target: binder.bind(model.target), kind: targetKind(model.target) }
    // As nginx: the first page given for a status is the one.
    for (const status of model.statuses) if (!pages.has(status)) pages.set(status, page)
  }
  return { find: (status) => pages.get(status) }
}

function targetKind(target: Template): ErrorPagePlan['kind'] {
  if (target.text.startsWith('@')) return 'named'
  if (target.text.startsWith('/')) return 'uri'
  return target.text.startsWith('$') ? 'variable' : 'url'
}

/** `keepalive_disable msie6|safari`: browsers that once mishandled kept connections after a POST, or at all. */
function compileKeepaliveDisable(names: readonly string[]): LocationPlan['keepaliveDisabled'] {
  const msie6 = names.includes('msie6')
  const safari = names.includes('safari')
  if (!msie6 && !safari) return null
  return (x) => {
    if (x.method !== 'POST' && !safari) return false
    const agent = x.requestHeaders.get('user-agent')
    if (agent === undefined) return false
    if (msie6 && x.method === 'POST' && /MSIE [456]\./.test(agent) && !agent.includes('Opera')) return true
    return safari && agent.includes('Safari/') && agent.includes('Mac OS X') && !agent.includes('Chrom')
  }
}
