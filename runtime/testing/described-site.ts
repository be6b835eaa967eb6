/**
 * Where described requests come in: one location of a configuration, compiled as the proxy compiles it, that passes
 * to one described upstream group. Owns that generation and what its scripts are offered; opens no socket and no file.
 */
import { compileGeneration, type Generation } from '../compile.ts'
import { formatProblem, parseConfig } from '../config/parse.ts'
import { encodeBytes } from '../config/problems.ts'
import { parseTemplate } from '../config/template.ts'
import { formatIso8601, formatLocal, formatSeconds } from '../lib/time-format.ts'
import type { HookRequest, ScriptClock, ScriptHost, VariableAccess } from '../phases.ts'
import type { Exchange, Listener, Services } from '../proxy/exchange.ts'
import type { ProxyPlan, ProxyTarget } from '../proxy/plan.ts'
import { SYSTEM_CLOCK } from '../script/clock.ts'
import { scriptRates } from '../script-rates.ts'
import { absentRedis } from '../script-redis.ts'
import { ScriptCounts } from '../store/script-counts.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import { VERSION } from '../version.ts'
import { DescribedFetch } from './described-fetch.ts'
import { DescribedRequest, type LogLine } from './described-request.ts'
import { makeGroup, type ReadMethod, readMethod } from './described-upstream.ts'
import {
  type DescribedPeer,
  type DescribedUpstream,
  DescriptionError,
  type RequestDescription,
} from './description.ts'
import { type DescribedMaps, TestedMaps } from './tested-maps.ts'

export interface SiteOptions {
  /** Directives of the `http` block, e.g. `map $arg_x $y { … }`. Byte string. */
  readonly http?: string
  /** Directives of the location. Byte string. */
  readonly location?: string
  /** Variables that there are, as if `set` declared them, with the values they begin with. */
  readonly variables?: Readonly<Record<string, string>>
  /** Default: one server. */
  readonly upstream?: DescribedUpstream
  /** What is in the session maps at first. */
  readonly maps?: DescribedMaps
  readonly clock?: ScriptClock
  /** From 0 to below 1; for the random methods. */
  readonly random?: () => number
}

const DEFAULT_UPSTREAM: DescribedUpstream = { name: 'app', servers: ['127.0.0.1:8001'] }

const CONFIG = (http: string, location: string) => `http {
    access_log off;
    uninitialized_variable_warn off;
${http}
    upstream sluice_described { server 127.0.0.1:1; }
    server {
        listen 127.0.0.1:80;
        location / {
${location}
            proxy_pass http://sluice_described;
        }
    }
}
`

export class DescribedSite {
  readonly generation: Generation
  readonly listener: Listener
  /** What scripts of this site are to be loaded with. */
  readonly host: ScriptHost
  readonly clock: ScriptClock
  readonly maps: TestedMaps
  /** What was logged outside of requests. */
  readonly logs: LogLine[]
  readonly #upstream: DescribedUpstream
  readonly #method: ReadMethod
  readonly #key: ((request: HookRequest) => string) | null
  readonly #random: () => number
  #group: UpstreamGroup
  readonly #variables: ReadonlyMap<string, string>

  private constructor(generation: Generation, maps: TestedMaps, logs: LogLine[], options: SiteOptions) {
    this.generation = generation
    this.listener = generation.listener('127.0.0.1:80', { localAddress: '127.0.0.1' })
    this.logs = logs
    this.clock = options.clock ?? SYSTEM_CLOCK
    this.#random = options.random ?? Math.random
    this.#variables = new Map(Object.entries(options.variables ?? {}))
    this.maps = maps
    this.host = describedHost(this)
    this.#upstream = options.upstream ?? DEFAULT_UPSTREAM
    this.#method = readMethod(this.#upstream.method)
    this.#key =
      this.#method.key !== null
        ? this.host.template(encodeBytes(this.#method.key))
        : this.#method.method === 'ip_hash'
          ? (request) => request.remoteAddress
          : null
    this.#group = this.#makeGroup(this.#upstream)
  }

  /** @throws DescriptionError for directives or an upstream group that the proxy would refuse */
  static async make(options: SiteOptions = {}): Promise<DescribedSite> {
    const logs: LogLine[] = []
    const model = readModel(options)
    const { clock = SYSTEM_CLOCK } = options
    const maps = await TestedMaps.make(model.http.sessionMaps, options.maps ?? {}, () => clock.now())
    const generation = await compileGeneration(model, {
      id: 1,
      prefix: '/',
      services: describedServices(logs),
      previous: null,
      onRetired: () => {},
    })
    try {
      return new DescribedSite(generation, maps, logs, options)
    } catch (error) {
      generation.discard()
      throw error
    }
  }

  /** @throws DescriptionError when there can be no such request */
  request(description: RequestDescription = {}): DescribedRequest {
    const variables = { ...Object.fromEntries(this.#variables), ...description.variables }
    return new DescribedRequest(this, { ...description, variables })
  }

  /** The group as all requests share it, or one of this request's own. */
  target(proxy: ProxyPlan, peers: readonly (string | DescribedPeer)[] | undefined): ProxyTarget {
    const group = peers === undefined ? this.#group : this.#makeGroup({ ...this.#upstream, servers: peers })
    const key = this.#key as ((x: Exchange) => string) | null
    return { ...proxy.fixed!, live: { group }, key, host: group.name, written: group.name }
  }

  /** The shared group begins anew, with these servers. */
  setServers(servers: readonly (string | DescribedPeer)[]): void {
    this.#group = this.#makeGroup({ ...this.#upstream, servers })
  }

  #makeGroup(upstream: DescribedUpstream): UpstreamGroup {
    const now = () => Math.floor(this.clock.now() / 1000)
    return makeGroup(upstream, this.#method.method, { now, random: this.#random })
  }

  dispose(): void {
    this.maps.close()
    this.generation.discard()
  }
}

function readModel(options: SiteOptions) {
  const names = Object.keys(options.variables ?? {})
  const wrong = names.find((name) => !/^\w+$/.test(name))
  if (wrong !== undefined) throw new DescriptionError(`variables: "${wrong}" is no name of a variable`)
  const text = CONFIG(options.http ?? '', options.location ?? '')
  const { model, problems } = parseConfig({ file: 'described.conf', prefix: '/', text })
  if (model?.http) {
    return { ...model, http: { ...model.http, variables: [...model.http.variables, ...names] } }
  }
  const first = problems.find((problem) => problem.severity === 'error')
  throw new DescriptionError(first === undefined ? 'no configuration' : formatProblem(first))
}

function describedServices(logs: LogLine[]): Services {
  return {
    version: VERSION,
    prefix: '/',
    stats: { accepted: 1, handled: 1, requests: 0, active: 1, reading: 0, writing: 1, waiting: 0 },
    log: (level, message) => {
      logs.push({ level, message })
    },
    abandonHook: () => {},
    resume: () => {},
  }
}

const IN_SCRIPT = { file: 'script', line: 1, column: 1 }

/** The variables of the configuration, with the described values before their own; and no network. */
function describedHost(site: DescribedSite): ScriptHost {
  const { binder } = site.generation
  const own = timeVariables(site.clock)
  const variable = (name: string): VariableAccess => {
    const key = name.toLowerCase()
    const access = binder.variable(key)
    const get = own[key] ?? access?.get
    return {
      get: (request) => (request as DescribedRequest).described.get(key) ?? get?.(request),
      set:
        access !== null && access.set === null
          ? null
          : (request, value) => setVariable(request as DescribedRequest, key, value, access),
    }
  }
  const counts = new ScriptCounts(() => site.clock.now())
  return {
    clock: site.clock,
    variable,
    template: (text) => describedTemplate(text, variable, (name) => binder.variable(name) !== null),
    fetch: (request, events) => new DescribedFetch(request, events, () => null, site.clock),
    map: (name) => site.maps.named(name),
    limits: scriptRates({ counts: () => counts, store: () => null, log: () => undefined }),
    redis: absentRedis('a tested script has no Redis'),
    log: (level, message) => {
      site.logs.push({ level, message })
    },
    failed: (fault, request) => {
      if (fault.phase !== null && request !== null) (request as DescribedRequest).fault = fault
    },
    generation: site.generation.id,
    worker: 0,
    version: VERSION,
  }
}

/** Variables of the time, which the proxy takes from its own clock. */
function timeVariables(clock: ScriptClock): Readonly<Record<string, (request: HookRequest) => string>> {
  return {
    msec: () => formatSeconds(clock.now()),
    time_local: () => formatLocal(clock.now()),
    time_iso8601: () => formatIso8601(clock.now()),
  }
}

/** As `ScriptHost.template`. */
function describedTemplate(
  text: string,
  variable: (name: string) => VariableAccess,
  exists: (name: string) => boolean,
): (request: HookRequest) => string {
  const template = parseTemplate(text, IN_SCRIPT)
  if (Array.isArray(template)) throw new Error(template[0].message)
  const parts = template.parts.map((part) => {
    if (typeof part === 'string') return part
    if (!exists(part.variable)) throw new Error(`unknown variable "$${part.variable}" in "${text}"`)
    return variable(part.variable)
  })
  return (request) =>
    parts.map((part) => (typeof part === 'string' ? part : (part.get(request) ?? ''))).join('')
}

function setVariable(
  request: DescribedRequest,
  name: string,
  value: string,
  access: VariableAccess | null,
): void {
  if (access === null && !request.described.has(name))
    throw new RangeError(`there is no variable $${name}; declare it with set, map or geo`)
  request.setVariable(name, value)
  access?.set?.(request, value)
}
