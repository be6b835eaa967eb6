/**
 * What a configuration is compiled into for the request's journey: immutable, everything that does not depend on
 * the request decided, `null` where a phase has nothing to do. Made by `compile.ts`, read by the steps.
 */
import type { Settings, Where } from '../config/model.ts'
import type { ResponseHead } from '../http1/response-reader.ts'
import type { ErrorLog } from '../observe/error-log.ts'
import type { PhaseHandler, VariableAccess } from '../phases.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import type { AuthRequestPlan } from './auth-request.ts'
import type { Exchange } from './exchange.ts'
import type { LimitConnPlan } from './limit-conn.ts'
import type { LimitReqPlan } from './limit-req.ts'
import type { MirrorPlan } from './mirror.ts'
import type { BodyOptions } from './request-body.ts'
import type { FilterPlans } from './response-filters.ts'
import type { Sticky } from './sticky.ts'
import type { UpstreamPool } from './upstream-connection.ts'

/** Expands a template for one request; variables without a value give the empty string, as in nginx. */
export type Getter = (x: Exchange) => string

/** A variable's value for one request; undefined is nginx's "not found". */
export type VariableGetter = (x: Exchange) => string | undefined

/** Settings after inheritance and defaults. Only what `Optional` names may be undefined. */
type Optional =
  | 'tryFiles'
  | 'expires'
  | 'proxyMethod'
  | 'proxySetBody'
  | 'proxyBind'
  | 'limitRate'
  | 'limitRateAfter'
  | 'proxyLimitRate'
  | 'resolver'
  | 'scriptLimits'
  | 'scripts'
export type Effective = Required<Omit<Settings, Optional>> & Pick<Settings, Optional>

/** The hooks of each phase at one location, chained in order; null where there are none. */
export interface Hooks {
  readonly rewrite: readonly PhaseHandler[] | null
  readonly access: readonly PhaseHandler[] | null
  readonly content: readonly PhaseHandler[] | null
  readonly balancer: readonly PhaseHandler[] | null
  readonly headerFilter: readonly PhaseHandler[] | null
  readonly bodyFilter: readonly PhaseHandler[] | null
  readonly wsOpen: readonly PhaseHandler[] | null
  readonly wsMessage: readonly PhaseHandler[] | null
  readonly wsClose: readonly PhaseHandler[] | null
  readonly log: readonly PhaseHandler[] | null
}

/** One compiled rewrite program (`rewrite.ts`). */
export interface RewriteProgram {
  /** Runs the rules; says how the journey goes on. */
  run(x: Exchange): RewriteResult
}
export const RewriteResult = {
  /** Rules done; the URI is unchanged or was changed by `break`. */
  NEXT: 0,
  /** The URI changed (`last`, or no flag): the locations are to be searched again. */
  SEARCH: 1,
  /** Answered ; `x.status`, `x.headers` and `x.parts` hold `return`'s or a redirect's response, `x.location` decides error pages. */
  ANSWER: 2,
} as const
export type RewriteResult = (typeof RewriteResult)[keyof typeof RewriteResult]

export interface ServerPlan {
  readonly where: Where
  /** The first `server_name`, `$server_name`. */
  readonly name: string
  readonly settings: Effective
  readonly rules: RewriteProgram | null
  /** `set_real_ip_from` and its kin. */
  readonly realIp: ((x: Exchange) => void) | null
  /** What the rules of the server level run with, and what answers when no location matches. */
  readonly root: LocationPlan
  readonly locations: LocationSearch
}

/** Finds locations as nginx does (`locations.ts`). */
export interface LocationSearch {
  /** Longest prefix, `=`, `^~`, then regular expressions in order (nested ones first); sets `x.captures`. null: none. */
  find(x: Exchange): LocationPlan | null
  named(name: string): LocationPlan | null
}

export interface LocationPlan {
  readonly where: Where
  /** As written: `/path`, `@name`, or a pattern; '' for the server's root. */
  readonly name: string
  readonly kind: 'root' | 'exact' | 'prefix' | 'priority' | 'pattern' | 'named' | 'if'
  readonly settings: Effective
  readonly internal: boolean
  /** A prefix location whose name ends in `/` and that is proxied: nginx redirects the name without the slash to it (301). */
  readonly autoRedirect: boolean
  readonly rules: RewriteProgram | null
  readonly hooks: Hooks
  /** `set_real_ip_from` and its kin at this level. */
  readonly realIp: ((x: Exchange) => void) | null
  readonly limitReq: LimitReqPlan | null
  readonly limitConn: LimitConnPlan | null
  /** `allow` and `deny`: false refuses the request with 403. null when every address may come. */
  readonly access: ((x: Exchange) => boolean) | null
  /** `limit_except`: methods outside the list are checked against these rules. */
  readonly limitExcept: {
    readonly methods: ReadonlySet<string>
    readonly access: (x: Exchange) => boolean
  } | null
  readonly content: Content
  /** `keepalive_disable` for this client, or null when it names none. */
  readonly keepaliveDisabled: ((x: Exchange) => boolean) | null
  readonly files: FilePlan
  readonly body: BodyOptions
  /** `server_tokens` given as text with variables. */
  readonly serverTokens: Getter | null
  readonly errorPages: ErrorPages | null
  readonly headerRules: HeaderRules | null
  /** What changes bodies, or how fast they are sent. */
  readonly filters: FilterPlans | null
  /** `auth_request` */
  readonly authRequest: AuthRequestPlan | null
  readonly mirror: MirrorPlan | null
  readonly logs: readonly RequestLog[]
  readonly tryFiles: TryFilesPlan | null
  /** `error_log` of this level, or null: the main one. */
  readonly errorLog: ErrorLog | null
}

export type Content =
  | { readonly kind: 'static' }
  | { readonly kind: 'proxy'; readonly proxy: ProxyPlan }
  | { readonly kind: 'stub_status' }
  | { readonly kind: 'empty_gif' }

export interface FilePlan {
  /** `root`, or `alias` (then the location's name is cut from the URI first). Without variables: absolute, no `..`. */
  readonly root: Getter
  readonly alias: boolean
  /** Name of the location that holds the `alias`, cut from the URI; null: all of the URI is (regular expression), or `root`. */
  readonly aliased: string | null
  readonly index: readonly { readonly get: Getter; readonly absolute: boolean }[]
  readonly types: ReadonlyMap<string, string>
  readonly defaultType: string
}

export interface TryFilesPlan {
  readonly files: readonly { readonly get: Getter; readonly directory: boolean }[]
  readonly fallback:
    | { readonly kind: 'uri' | 'named'; readonly get: Getter }
    | { readonly kind: 'status'; readonly status: number }
}

export interface ErrorPages {
  find(status: number): ErrorPagePlan | undefined
}
export interface ErrorPagePlan {
  /** number: this status; 'answer': the one of the page's own answer; null: the original one. */
  readonly status: number | 'answer' | null
  readonly target: Getter
  readonly kind: 'uri' | 'named' | 'url' | 'variable'
}

/** `add_header`, `add_trailer`, `expires` for the header filter. */
export interface HeaderRules {
  /** `replaces`: ETag and Last-Modified, which there is one of; an empty value takes it away. */
  readonly headers: readonly {
    readonly name: string
    readonly value: Getter
    readonly always: boolean
    readonly replaces: boolean
  }[]
  readonly trailers: readonly { readonly name: string; readonly value: Getter; readonly always: boolean }[]
  readonly expires: ((x: Exchange) => void) | null
}

/** One `access_log` (`observe/access-log.ts` writes it). */
export interface RequestLog {
  write(x: Exchange): void
}

export interface ProxyPlan {
  readonly where: Where
  /** Where to: constant unless proxy_pass has variables. */
  readonly fixed: ProxyTarget | null
  /** null: an address that cannot be used (502); PENDING: a name is being looked up, BALANCE is resumed. */
  readonly resolve: ((x: Exchange) => ProxyTarget | null | typeof PENDING) | null
  /** How the URI is put together (`upstream-request.ts`). */
  readonly request: UpstreamRequestPlan
  readonly response: UpstreamResponsePlan
  /** Script hooks of the upstream block itself are in `hooks` of the location (innermost wins). */
  readonly settings: Effective
  /** proxy_next_upstream as a set of event names. */
  readonly nextUpstream: ReadonlySet<string>
  readonly bind: Getter | null
  /** Lower-case names of `proxy_ignore_headers`. */
  readonly ignores: ReadonlySet<string>
}

/** A target that is not known yet. */
export const PENDING = 'pending'

export interface ProxyTarget {
  /** Key of `hash`, the client's address for `ip_hash`; null: the method needs none. */
  readonly key: Getter | null
  /** Holds the group as it is now; a request keeps the one that it began with (`UpstreamChoice.group`). */
  readonly live: { readonly group: UpstreamGroup }
  /** `sticky` of the upstream block, or null. */
  readonly sticky: Sticky | null
  /** Idle connections to the group's peers. */
  readonly pool: UpstreamPool
  readonly scheme: string
  /** Host and port as written after `scheme://`. */
  readonly written: string
  /** proxy_pass has variables: `uri`, when there is one, is the whole URI. */
  readonly whole: boolean
  /** `$proxy_host`, and the default Host header. */
  readonly host: string
  /** `$proxy_port` */
  readonly port: string
  /** URI part of proxy_pass or null. */
  readonly uri: string | null
}

export interface UpstreamRequestPlan {
  /** Builds the head of the request to the upstream, final blank line included. */
  readonly head: (x: Exchange, target: ProxyTarget) => string
  /** `proxy_set_body`, or null. */
  readonly body: Getter | null
  /** The head asks the upstream to switch protocols. */
  readonly upgrades: (x: Exchange) => boolean
  readonly version: '1.0' | '1.1'
}

/** Takes the upstream's response head over into `x.status` and `x.headers` (`upstream-response.ts`). */
export type UpstreamResponsePlan = (x: Exchange, head: ResponseHead) => void

/** Gives templates and variables their meaning at compile time (`binder.ts`). */
export interface Binder {
  bind(template: import('../config/model.ts').Template): Getter
  /** The text of a template without variables, else null. */
  constant(template: import('../config/model.ts').Template): string | null
  pattern(pattern: import('../config/model.ts').Pattern): RegExp
  /** Index into `x.values` of a variable made by `set`, a named capture, `map`, …; made at first use. */
  slot(name: string): number
  /** null: no such variable. */
  variable(name: string): VariableAccess | null
  getter(name: string): VariableGetter | null
}
