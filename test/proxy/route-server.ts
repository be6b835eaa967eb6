// Servers out of configuration text, and requests that go through the steps up to whoever would answer them. Upstreams,
// hooks, logs and header rules of the text are not compiled.

import { DEFAULTS, inherit } from '../../runtime/config/defaults.ts'
import type {
  HttpModel,
  LocationContent,
  LocationModel,
  RewriteRule,
  ServerModel,
  Settings,
} from '../../runtime/config/model.ts'
import { formatProblem, parseConfig } from '../../runtime/config/parse.ts'
import { FieldBlock } from '../../runtime/http1/fields.ts'
import { RequestHead } from '../../runtime/http1/request-reader.ts'
import { type ParsedTarget, parseTarget } from '../../runtime/http1/uri.ts'
import { compileAccess } from '../../runtime/proxy/access-rules.ts'
import { RequestBinder } from '../../runtime/proxy/binder.ts'
import { type ClientTransport, Exchange, type GenerationPin } from '../../runtime/proxy/exchange.ts'
import { buildLocations, type LocationEntry } from '../../runtime/proxy/locations.ts'
import type { Effective, LocationPlan, ServerPlan } from '../../runtime/proxy/plan.ts'
import { compileRealIp } from '../../runtime/proxy/real-ip.ts'
import { locate, rewrite, serverRewrite } from '../../runtime/proxy/request-steps.ts'
import { compileRules, type IfRule } from '../../runtime/proxy/rewrite.ts'
import { ServerNames } from '../../runtime/proxy/server-names.ts'
import { Step } from '../../runtime/proxy/step.ts'
import { compileTryFiles } from '../../runtime/proxy/try-files.ts'
import { NO_HOOKS } from '../../runtime/script-set.ts'

export interface FakeRequest {
  readonly fields?: readonly (readonly [string, string])[]
  readonly version?: 9 | 10 | 11
  readonly client?: Partial<ClientTransport>
}

interface Scope {
  readonly kind: LocationPlan['kind']
  readonly name: string
  readonly settings: Settings
  readonly content: LocationContent
  readonly aliased: string | null | undefined
}

export class RouteServer {
  readonly binder: RequestBinder
  /** `[level] message` of every line on the error log. */
  readonly logged: string[] = []
  readonly #names: ServerNames
  /** Called with the step that a suspended journey is resumed at. */
  #resume: (step: Step) => void = () => {}

  /** @param text what stands inside `http { }` */
  constructor(text: string) {
    const { model, problems } = parseConfig({ file: 'nginx.conf', prefix: '/prefix', text })
    if (model === null) throw new Error(problems.map(formatProblem).join('\n'))
    const http = model.http as HttpModel
    this.binder = new RequestBinder(http)
    const settings = inherit(DEFAULTS, http.settings)
    const servers = http.servers.map((server) => ({
      names: server.names,
      server: this.#compileServer(server, settings),
    }))
    this.#names = new ServerNames(servers, servers[0].server, this.binder)
  }

  /** A request as the steps find it: target and host taken apart, server found. `line` is `GET /path?args`. */
  request(line: string, request: FakeRequest = {}): Exchange {
    const [method, target] = line.split(' ')
    const { version = 11, fields = [] } = request
    const head = new RequestHead(method, target, version, FieldBlock.from(fields), `${line} HTTP/1.1`)
    const x = new Exchange(this.#client(request), this.#generation(), head, this.#names.find('', NO_EXCHANGE))
    const parsed = parseTarget(method, target, true) as ParsedTarget
    x.path = parsed.path
    x.args = parsed.args
    x.hasArgs = parsed.hasArgs
    x.unparsedUri = parsed.unparsed
    const host = fields.find(([name]) => name === 'Host')?.[1] ?? ''
    const [name, port] = host.split(':')
    x.host = name
    x.hostPort = port ?? ''
    x.server = this.#names.find(name, x)
    x.location = x.server.root
    return x
  }

  /** Runs the steps that find the location and rewrite; the step that follows them says what came of it. */
  go(line: string, request: FakeRequest = {}): { x: Exchange; step: Step } {
    const x = this.request(line, request)
    let step: Step = serverRewrite(x)
    while (step === Step.LOCATE || step === Step.REWRITE) step = step === Step.LOCATE ? locate(x) : rewrite(x)
    return { x, step }
  }

  /** The answer of `go` in a line: what `return` or a redirect made, or else the URI and the location it is for. */
  answer(line: string, request: FakeRequest = {}): string {
    const { x, step } = this.go(line, request)
    if (step === Step.ACCESS) return `${x.location.name} ${x.path}${x.args === '' ? '' : `?${x.args}`}`
    if (x.headers.location !== null) return `${x.status} ${x.headers.location}`
    return x.parts === null ? String(x.status) : `${x.status} ${x.parts.join('')}`
  }

  /** Settles at the step that the journey is resumed at. */
  resumed(): Promise<Step> {
    return new Promise((done) => {
      this.#resume = done
    })
  }

  /** The value of a template or variable for a request. */
  expand(text: string, line: string, request: FakeRequest = {}): string | undefined {
    const get = this.binder.required(text.replace('$', ''))
    return get(this.request(line, request))
  }

  #compileServer(server: ServerModel, outer: Settings): ServerPlan {
    const settings = inherit(outer, server.settings)
    const scope: Scope = { kind: 'root', name: '', settings, content: {}, aliased: undefined }
    const entries = server.locations.map((location) => this.#compileLocation(location, scope))
    return {
      where: server.where,
      name: server.names[0]?.text ?? '',
      settings: settings as Effective,
      realIp: compileRealIp(settings as Effective),
      rules: compileRules(server.rules, this.binder, (rule) => this.#enterIf(rule, scope), 'server'),
      root: this.#plan(scope, []),
      locations: buildLocations(entries, this.binder),
    }
  }

  #compileLocation(
    { match, content, settings, rules, locations }: LocationModel,
    outer: Scope,
  ): LocationEntry {
    const aliased = content.alias === undefined ? outer.aliased : match.kind === 'pattern' ? null : match.path
    const scope: Scope = {
      kind: match.kind,
      name: match.kind === 'pattern' ? match.pattern!.text : match.path,
      settings: inherit(
        outer.settings,
        content.alias === undefined ? settings : { ...settings, root: content.alias },
      ),
      content,
      aliased,
    }
    const nested = locations.map((location) => this.#compileLocation(location, scope))
    return { match, plan: this.#plan(scope, rules), nested }
  }

  #enterIf(rule: IfRule, scope: Scope): LocationPlan {
    const settings = inherit(scope.settings, rule.settings)
    return this.#plan({ ...scope, kind: 'if', settings, content: { ...scope.content, ...rule.content } }, [])
  }

  #plan(scope: Scope, rules: readonly RewriteRule[]): LocationPlan {
    const settings = scope.settings as Effective
    const proxied = scope.content.proxyPass !== undefined
    return {
      name: scope.name,
      kind: scope.kind,
      settings,
      internal: scope.content.internal ?? false,
      autoRedirect: proxied && scope.name.endsWith('/'),
      rules: compileRules(rules, this.binder, (rule) => this.#enterIf(rule, scope)),
      hooks: NO_HOOKS,
      access: compileAccess(settings.access),
      content: { kind: proxied ? 'proxy' : 'static' },
      keepaliveDisabled: null,
      files: {
        root: this.binder.bind(settings.root),
        alias: scope.aliased !== undefined,
        aliased: scope.aliased ?? null,
        index: [],
        types: new Map(Object.entries(settings.types)),
        defaultType: settings.defaultType,
      },
      tryFiles: settings.tryFiles === undefined ? null : compileTryFiles(settings.tryFiles, this.binder),
    } as unknown as LocationPlan
  }

  #client(request: FakeRequest): ClientTransport {
    const protocol = request.version === 10 ? 'HTTP/1.0' : 'HTTP/1.1'
    return {
      protocol,
      remoteAddress: '127.0.0.1',
      remotePort: '1024',
      serverAddress: '127.0.0.2',
      serverPort: '8080',
      connectionId: 7,
      requests: 3,
      openedAt: Date.now(),
      ...request.client,
    } as ClientTransport
  }

  #generation(): GenerationPin {
    const services = {
      log: (level: string, message: string) => void this.logged.push(`[${level}] ${message}`),
      resume: (_x: Exchange, step: Step) => this.#resume(step),
      version: '1.2.3',
      prefix: '/prefix',
      stats: { accepted: 5, handled: 4, requests: 31, active: 6, reading: 1, writing: 2, waiting: 3 },
    }
    return { id: 12, services } as unknown as GenerationPin
  }
}

/** The default server is asked for by a name that no pattern is tried on. */
const NO_EXCHANGE = null as unknown as Exchange
