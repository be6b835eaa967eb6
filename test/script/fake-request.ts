// A request that is written down in a test, with everything that hooks did to it. Nothing of the proxy.

import { fileURLToPath } from 'node:url'
import {
  type BalancerView,
  type BodyChunk,
  DEFAULT_LIMITS,
  type HeaderAccess,
  type HookRequest,
  type LogLevel,
  Outcome,
  type PeerInfo,
  type Phase,
  type ScriptHost,
  type ScriptLimits,
  type VariableAccess,
  type WebSocketEnd,
  type WebSocketMessage,
  type WebSocketSide,
  type WebSocketState,
  type WebSocketView,
} from '../../runtime/phases.ts'
import { loadScript, type Script, type ScriptOptions } from '../../runtime/script/engine.ts'
import { absentRedis } from '../../runtime/script-redis.ts'

/** Header fields that refuse what the proxy's own refuse. */
export class FakeFields implements HeaderAccess {
  pairs: [string, string][]

  constructor(given: readonly (readonly [string, string])[] = []) {
    this.pairs = given.map(([name, value]) => [name, value])
  }

  getAll(name: string): string[] {
    return this.pairs.filter(([other]) => same(other, name)).map(([, value]) => value)
  }

  get(name: string): string | undefined {
    return this.has(name) ? this.getAll(name).join(same(name, 'cookie') ? '; ' : ', ') : undefined
  }

  has(name: string): boolean {
    return this.pairs.some(([other]) => same(other, name))
  }

  set(name: string, value: string): void {
    check(name, value)
    this.delete(name)
    this.pairs.push([name, value])
  }

  append(name: string, value: string): void {
    check(name, value)
    this.pairs.push([name, value])
  }

  delete(name: string): void {
    if (same(name, 'content-length')) throw new RangeError('"Content-Length" is written by the proxy itself')
    this.pairs = this.pairs.filter(([other]) => !same(other, name))
  }

  entries(): [string, string][] {
    return this.pairs.map(([name, value]) => [name, value])
  }
}

function check(name: string, value: string): void {
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw new RangeError(`"${name}" is no header name`)
  if (same(name, 'content-length')) throw new RangeError('"Content-Length" is written by the proxy itself')
  if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value))
    throw new RangeError(`the value of "${name}" holds a control character`)
}

function same(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}

/** Three servers; hashes by the key's length. */
export class FakeBalancer implements BalancerView {
  readonly name = 'workers'
  readonly peers: PeerInfo[]
  tries = 0
  lastFailure: string | null = null
  hashed: [key: string, consistent: boolean] | null = null
  timeouts: (number | undefined)[] | null = null
  moreTries = 0
  chosen = -1

  constructor(peers: PeerInfo[] = PEERS) {
    this.peers = peers
  }

  hash(key: string, consistent: boolean): number {
    this.hashed = [key, consistent]
    return this.peers.length === 0 ? -1 : key.length % this.peers.length
  }

  roundRobin(): number {
    return 0
  }

  leastConn(): number {
    return 1
  }

  random(): number {
    return 2
  }

  ipHash(): number {
    return -1
  }

  setTimeouts(...timeouts: (number | undefined)[]): void {
    this.timeouts = timeouts
  }

  setMoreTries(count: number): void {
    this.moreTries = count
  }

  choose(index: number): void {
    if (index < 0 || index >= this.peers.length) throw new RangeError('no such peer')
    this.chosen = index
  }
}

export const PEERS: PeerInfo[] = [
  peer('a.example:8080', '10.0.0.1:8080', { weight: 3, connections: 5 }),
  peer('b.example:8080', '10.0.0.2:8080', { fails: 2, down: true }),
  peer('c.example:8080', 'unix:/run/c.sock', { backup: true }),
]

export function peer(name: string, address: string, facts: Partial<PeerInfo> = {}): PeerInfo {
  return { name, address, weight: 1, backup: false, down: false, connections: 0, fails: 0, ...facts }
}

/** One piece of a body, and what became of it. */
export class FakeChunk implements BodyChunk {
  readonly data: Uint8Array
  readonly last: boolean
  replacement: Uint8Array | null = null

  constructor(data: string | Uint8Array, last = false) {
    this.data = Buffer.from(data as string)
    this.last = last
  }

  replace(data: Uint8Array): void {
    this.replacement = data
  }
}

/** A WebSocket that is open until a script closes it. Texts are shown as they are, bytes as lists. */
export class FakeWebSocket implements WebSocketView {
  readonly protocol = 'chat.v2'
  reconnects = 0
  message: WebSocketMessage | null = null
  end: WebSocketEnd | null = null
  readonly states = new Map<string, WebSocketState>()
  replacement: string | number[] | null = null
  readonly sent: [to: WebSocketSide, data: string | number[]][] = []
  closed: [code: number, reason: string] | null = null
  /** Told when a script closes it, from within the script. */
  onClose: () => void = () => {}

  replace(data: Uint8Array, binary: boolean): void {
    this.replacement = shown(data, binary)
  }

  send(to: WebSocketSide, data: Uint8Array, binary: boolean): void {
    if (this.closed !== null) throw new RangeError(`the WebSocket of the ${to} is closed`)
    this.sent.push([to, shown(data, binary)])
  }

  close(code: number, reason: string): void {
    if (code === 1005) throw new RangeError('a WebSocket cannot be closed with code 1005')
    this.closed ??= [code, reason]
    this.onClose()
  }
}

function shown(data: Uint8Array, binary: boolean): string | number[] {
  return binary ? [...data] : Buffer.from(data).toString('utf8')
}

export interface Described {
  readonly method?: string
  readonly uri?: string
  readonly args?: string
  readonly headers?: readonly (readonly [string, string])[]
  readonly response?: readonly (readonly [string, string])[]
  readonly status?: number
  readonly variables?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

export class FakeRequest implements HookRequest {
  scriptState: unknown = null
  readonly method: string
  readonly httpVersion = '1.1'
  readonly remoteAddress = '192.0.2.7'
  rawArgs: string
  readonly requestHeaders: FakeFields
  readonly responseHeaders: FakeFields
  balancer: FakeBalancer | null = null
  bodyChunk: BodyChunk | null = null
  webSocket: FakeWebSocket | null = null
  closed = false
  readonly variables: Record<string, string>
  answered: {
    status: number
    headers: (readonly [string, string])[]
    body: string | Uint8Array | null
  } | null = null
  redirected: string | null = null
  failure: [phase: Phase, message: string] | null = null
  readonly logged: string[] = []
  /** How a body arrives: at once, or when the test says so. */
  bodyArrives: 'now' | 'later' = 'now'
  deliverBody: (error?: Error) => void = () => {}
  #uri: string
  #status: number
  readonly #body: Uint8Array
  #settle: ((outcome: Outcome) => void) | null = null
  /** Outcomes that `hookSettled` was called with. */
  readonly settlements: Outcome[] = []

  constructor(described: Described = {}) {
    this.method = described.method ?? 'GET'
    this.#uri = described.uri ?? '/chat'
    this.rawArgs = described.args ?? ''
    this.#status = described.status ?? 0
    this.requestHeaders = new FakeFields(described.headers)
    this.responseHeaders = new FakeFields(described.response)
    this.variables = { ...described.variables }
    this.#body = described.body ?? new Uint8Array(0)
  }

  get uri(): string {
    return this.#uri
  }

  set uri(value: string) {
    if (!value.startsWith('/')) throw new RangeError('a uri begins with "/"')
    this.#uri = value
  }

  get status(): number {
    return this.#status
  }

  set status(value: number) {
    if (value < 100 || value > 999) throw new RangeError('a status is a whole number from 100 to 999')
    this.#status = value
  }

  /** Runs the hook until it has settled. */
  run(script: Script, phase: Phase): Promise<Outcome> {
    const outcome = this.start(script, phase)
    if (outcome !== Outcome.SUSPENDED) return Promise.resolve(outcome)
    return new Promise((done) => {
      this.#settle = done
    })
  }

  /** Runs the hook until it returns or waits. */
  start(script: Script, phase: Phase): Outcome {
    this.balancer = phase === 'balancer' ? (this.balancer ?? new FakeBalancer()) : null
    const hook = script.hooks[phase]
    if (hook === undefined) throw new Error(`the script has no ${phase} hook`)
    return hook(this)
  }

  answer(
    status: number,
    headers: readonly (readonly [string, string])[],
    body: string | Uint8Array | null,
  ): void {
    for (const [name, value] of headers) check(name, value)
    this.answered = { status, headers: [...headers], body }
  }

  redirect(uri: string): void {
    if (!/^[/@]/.test(uri)) throw new RangeError('a redirect goes to a "/path" or to a named "@location"')
    this.redirected = uri
  }

  fail(phase: Phase, message: string): void {
    this.failure = [phase, message]
  }

  hookSettled(outcome: Outcome): void {
    this.settlements.push(outcome)
    this.#settle?.(outcome)
  }

  readBody(done: (error: Error | null, body: Uint8Array) => void): void {
    this.deliverBody = (error) => done(error ?? null, this.#body)
    if (this.bodyArrives === 'now') this.deliverBody()
  }

  log(level: LogLevel, message: string): void {
    this.logged.push(`${level} ${message}`)
  }
}

/** Every variable of the described request, `$arg_NAME`, and `$unknown…`, which there is not. */
export class FakeHost implements ScriptHost {
  readonly generation = 3
  readonly worker = 0
  readonly version = '0.1.0'
  readonly logged: string[] = []
  /** undefined: the store is no Redis. */
  redis: ScriptHost['redis'] = absentRedis('this test gives its scripts no Redis')

  variable(name: string): VariableAccess | null {
    if (name.startsWith('unknown')) return null
    return {
      get: (request) => find(request as FakeRequest, name),
      set: name.startsWith('fixed')
        ? null
        : (request, value) => {
            ;(request as FakeRequest).variables[name] = value
          },
    }
  }

  /** What scripts fetched; a test answers by what it puts here. */
  fetch: ScriptHost['fetch'] = () => {
    throw new Error('this test gives its scripts no network')
  }

  template(text: string): (request: HookRequest) => string {
    if (text.includes('$unknown')) throw new Error(`unknown variable in "${text}"`)
    return (request) =>
      text.replace(/\$(\w+)/g, (_, name: string) => find(request as FakeRequest, name) ?? '')
  }

  log = (level: LogLevel, message: string): void => {
    this.logged.push(`${level} ${message}`)
  }
}

function find(request: FakeRequest, name: string): string | undefined {
  if (name.startsWith('arg_')) return new RegExp(`(?:^|&)${name.slice(4)}=([^&]*)`).exec(request.rawArgs)?.[1]
  return Object.hasOwn(request.variables, name) ? request.variables[name] : undefined
}

export interface LoadOptions {
  readonly limits?: Partial<ScriptLimits>
  readonly params?: Readonly<Record<string, string>>
  readonly onError?: 'closed' | 'open'
  readonly file?: string
  readonly host?: FakeHost
  readonly root?: string
}

/** A script that need not exist as a file. */
export const FILE = fileURLToPath(new URL('./hooks.js', import.meta.url))

export function load(source: string | undefined, options: LoadOptions = {}): Promise<Script> {
  const { limits, params = {}, onError = 'closed', file = FILE, host = new FakeHost(), root } = options
  const given: ScriptOptions = { file, params, onError, host, limits: { ...DEFAULT_LIMITS, ...limits } }
  return loadScript({
    ...given,
    ...(source !== undefined && { source }),
    ...(root !== undefined && { root }),
  })
}

/** The message with which a script is refused. */
export async function refusal(source: string | undefined, options: LoadOptions = {}): Promise<string> {
  try {
    const script = await load(source, options)
    script.dispose()
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('the script was not refused')
}
