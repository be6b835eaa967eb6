/** `proxy_pass` to its plan: which group, which request, which response; addresses that variables make. */
import type { ServerContext } from './compile-locations.ts'
import { ConfigError } from './config/config-error.ts'
import type {
  HttpModel,
  LocationContent,
  LocationModel,
  ProxyPassModel,
  RewriteRule,
  Where,
} from './config/model.ts'
import type { Exchange } from './proxy/exchange.ts'
import { type Effective, type Getter, PENDING, type ProxyPlan, type ProxyTarget } from './proxy/plan.ts'
import { Step } from './proxy/step.ts'
import { compileUpstreamRequest, type LocationName } from './proxy/upstream-request.ts'
import { compileUpstreamResponse } from './proxy/upstream-response.ts'
import { NameResolver } from './upstream/name-resolver.ts'
import { parseAddress } from './upstream/resolve.ts'
import type { Upstream, Upstreams } from './upstreams.ts'

export function compileProxy(
  model: ProxyPassModel,
  settings: Effective,
  location: LocationName,
  context: ServerContext,
) {
  const { binder, targets } = context
  const fixed = targets.fixed(model)
  const upstream = model.fixed === null ? null : targets.upstream(model)
  const proxy: ProxyPlan = {
    where: model.where,
    fixed,
    resolve: fixed === null ? targets.dynamic(binder.bind(model.template), settings) : null,
    request: compileUpstreamRequest(settings, location, binder),
    response: compileUpstreamResponse(settings, location, fixed, binder),
    settings,
    nextUpstream: new Set(settings.proxyNextUpstream),
    bind:
      settings.proxyBind === undefined || settings.proxyBind === 'off'
        ? null
        : binder.bind(settings.proxyBind.address),
    ignores: new Set(settings.proxyIgnoreHeaders.map((name) => name.toLowerCase())),
  }
  return { proxy, upstream }
}

/** Every address that a `proxy_pass` of the configuration names, looked up before anything is served. */
export class ProxyTargets {
  readonly #upstreams: Upstreams
  readonly #fixed = new Map<ProxyPassModel, { upstream: Upstream; target: ProxyTarget }>()
  readonly #dynamic: DynamicTargets

  constructor(upstreams: Upstreams) {
    this.#upstreams = upstreams
    this.#dynamic = new DynamicTargets(upstreams)
  }

  /** @throws ConfigError when a name cannot be resolved. */
  async load(http: HttpModel): Promise<void> {
    for (const model of proxyPasses(http)) {
      if (model.fixed === null) continue
      const { host } = model.fixed
      const upstream = this.#upstreams.named(host) ?? (await this.#upstreams.single(host, 80, model.where))
      this.#fixed.set(model, { upstream, target: makeTarget(upstream, model.fixed, model.where) })
    }
  }

  fixed(model: ProxyPassModel): ProxyTarget | null {
    return this.#fixed.get(model)?.target ?? null
  }

  upstream(model: ProxyPassModel): Upstream | null {
    return this.#fixed.get(model)?.upstream ?? null
  }

  dynamic(template: Getter, settings: Effective): NonNullable<ProxyPlan['resolve']> {
    const resolver = this.#dynamic.resolver(settings)
    return (x) => this.#dynamic.find(x, template(x), resolver)
  }
}

function makeTarget(
  upstream: Upstream,
  fixed: NonNullable<ProxyPassModel['fixed']>,
  where: Where,
): ProxyTarget {
  const { host, scheme, uri } = fixed
  const { live, pool, key, sticky } = upstream
  const unix = host.startsWith('unix:')
  let port = '80'
  try {
    const address = parseAddress(host, 80)
    if ('port' in address) port = String(address.port)
  } catch (error) {
    throw new ConfigError(where, String(error))
  }
  return {
    live,
    pool,
    key,
    sticky,
    scheme,
    host: unix ? 'localhost' : host,
    port,
    uri,
    written: host,
    whole: false,
  }
}

/** All `proxy_pass` of a configuration, those in `if` blocks included. */
function* proxyPasses(http: HttpModel): Generator<ProxyPassModel> {
  for (const server of http.servers) {
    yield* ofRules(server.rules)
    for (const location of server.locations) yield* ofLocation(location)
  }
}

function* ofLocation(location: LocationModel): Generator<ProxyPassModel> {
  yield* ofContent(location.content)
  yield* ofRules(location.rules)
  for (const inner of location.locations) yield* ofLocation(inner)
}

function* ofContent(content: LocationContent): Generator<ProxyPassModel> {
  if (content.proxyPass !== undefined) yield content.proxyPass
}

function* ofRules(rules: readonly RewriteRule[]): Generator<ProxyPassModel> {
  for (const rule of rules) {
    if (rule.kind !== 'if') continue
    yield* ofContent(rule.content)
    yield* ofRules(rule.rules)
  }
}

/** `scheme://host[:port][/uri]` made by variables, per request. */
class DynamicTargets {
  readonly #upstreams: Upstreams
  /** One resolver for each `resolver` line. */
  readonly #resolvers = new Map<string, NameResolver>()

  constructor(upstreams: Upstreams) {
    this.#upstreams = upstreams
  }

  /** The resolver that these settings ask for. @throws Error when it cannot be used */
  resolver(settings: Effective): NameResolver {
    const { servers = [], valid = null, ipv4 = true, ipv6 = true } = settings.resolver ?? {}
    const options = { servers, valid, ipv4, ipv6, timeout: settings.resolverTimeout }
    const key = JSON.stringify(options)
    let resolver = this.#resolvers.get(key)
    if (resolver === undefined) {
      resolver = new NameResolver(options)
      this.#resolvers.set(key, resolver)
    }
    return resolver
  }

  find(x: Exchange, url: string, resolver: NameResolver): ProxyTarget | null | typeof PENDING {
    const match =
      /^(http):\/\/(unix:[^:]*|\[[^\]]*\](?::\d+)?|[^/?#:]+(?::\d+)?)(?::(?=\/))?([/?].*)?$/i.exec(url)
    if (match === null) {
      x.log('error', `invalid URL prefix in "${url}"`)
      return null
    }
    const [, scheme, host, uri] = match
    const upstream = this.#upstreams.named(host) ?? this.#single(x, host, resolver)
    if (upstream === PENDING) return PENDING
    if (upstream === null) {
      x.log('error', `${host} could not be resolved`)
      return null
    }
    const port = /:(\d+)$/.exec(host)?.[1] ?? '80'
    const { live, pool, key, sticky } = upstream
    return { live, pool, key, sticky, scheme, host, port, uri: uri ?? null, written: host, whole: true }
  }

  #single(x: Exchange, host: string, resolver: NameResolver): Upstream | null | typeof PENDING {
    const known = resolver.cached(host)
    if (known !== null) return known.length === 0 ? null : this.#upstreams.dynamic(host, known)
    resolver.lookUp(host, 80, () => {
      if (!x.completed) x.generation.services.resume(x, Step.BALANCE)
    })
    return PENDING
  }
}
