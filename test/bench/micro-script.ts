/**
 * What a hook costs: nanoseconds from the proxy's call of a handler to its outcome, limits on, with a host that does
 * next to nothing. Run it alone on an idle machine:
 *
 *   node dist/test/bench/micro-script.js
 */
import {
  type BalancerView,
  type BodyChunk,
  DEFAULT_LIMITS,
  type HeaderAccess,
  type HookRequest,
  Outcome,
  type PeerInfo,
  type Phase,
  type ScriptHost,
  type WebSocketState,
  type WebSocketView,
} from '../../runtime/phases.ts'
import { loadScript, releaseRequest, type Script } from '../../runtime/script/engine.ts'
import { MemoryStore } from '../../runtime/store/memory-store.ts'
import { SessionMap } from '../../runtime/store/session-map.ts'

const NO_OP = 'export function access(r) {}'
const BALANCER = `
export function balancer(r, upstream) {
  return upstream.hash(r.variables.arg_userId, { consistent: true })
}`
const MAP = "import { map } from 'sluice:store'\nconst users = map('users')\n"
const MAP_HIT = `${MAP}
export function balancer(r, upstream) {
  return users.getOrSet(r.variables.arg_userId, () => upstream.leastConn().name)
}`
const MAP_HIT_ASYNC = `${MAP}
export async function balancer(r, upstream) {
  return await users.getOrSet(r.variables.arg_userId, () => upstream.leastConn().name)
}`
const VARIABLE = `
export function balancer(r, upstream) {
  r.variables.arg_userId
  return '10.0.0.2:8080'
}`
const VARIABLE_ASYNC = `
export async function balancer(r, upstream) {
  r.variables.arg_userId
  return await '10.0.0.2:8080'
}`
const HEADERS = `
export function access(r) {
  if (r.headersIn.get('x-api-key') === undefined) return r.return(403)
  r.headersIn.set('x-user', 'u-1001')
}`
const INDEXED = `
export function access(r) {
  if (r.headersIn['x-api-key'] === undefined) return r.return(403)
  r.headersIn['x-user'] = 'u-1001'
}`
const ASYNC = `
export async function access(r) {
  await null
}`
const NO_AWAIT = 'export async function access(r) {}'
const CONTEXT = `
export function access(r) {
  r.ctx.user = 1
}`

const BODY_FILTER = 'export function bodyFilter(r, chunk, { last }) {}'
const WS_NOTHING = 'export function wsMessage(r, msg, ws) {}'
const WS_READ =
  "export function wsMessage(r, msg, ws) { if (msg.from === 'client' && msg.data === '') return null }"
const WS_REPLACE = "export function wsMessage(r, msg, ws) { return 'replaced' }"
const WS_STATE = 'export function wsMessage(r, msg, ws) { ws.state.count = (ws.state.count ?? 0) + 1 }'

const PEERS: PeerInfo[] = ['10.0.0.1:8080', '10.0.0.2:8080'].map((address) => {
  return { name: address, address, weight: 1, backup: false, down: false, connections: 0, fails: 0 }
})

class Fields implements HeaderAccess {
  last = ''
  get(name: string): string | undefined {
    return name === 'x-api-key' ? 'k-7f3a90b1c2' : undefined
  }
  getAll(): string[] {
    return []
  }
  set(_name: string, value: string): void {
    this.last = value
  }
  append(): void {}
  delete(): void {}
  has(): boolean {
    return false
  }
  entries(): [string, string][] {
    return []
  }
}

class Balancer implements BalancerView {
  readonly name = 'workers'
  readonly peers = PEERS
  readonly tries = 0
  readonly lastFailure = null
  chosen = -1
  hash(key: string): number {
    return key.length === 8 ? 1 : -1
  }
  roundRobin(): number {
    return 0
  }
  leastConn(): number {
    return 0
  }
  random(): number {
    return 0
  }
  ipHash(): number {
    return 0
  }
  setTimeouts(): void {}
  setMoreTries(): void {}
  choose(index: number): void {
    this.chosen = index
  }
}

const CHUNK: BodyChunk = { data: Buffer.alloc(1024, 'x'), last: false, replace: () => {} }

class Socket implements WebSocketView {
  readonly protocol = ''
  readonly reconnects = 0
  readonly message = { from: 'client', data: Buffer.from('{"type":"message"}'), binary: false } as const
  readonly end = null
  readonly states = new Map<string, WebSocketState>()
  last: Uint8Array = NOTHING
  replace(data: Uint8Array): void {
    this.last = data
  }
  send(): void {}
  close(): void {}
}

const NOTHING = new Uint8Array(0)

class Request implements HookRequest {
  scriptState: unknown = null
  readonly method = 'GET'
  readonly httpVersion = '1.1'
  readonly remoteAddress = '192.0.2.1'
  uri = '/chat'
  rawArgs = 'userId=user1001'
  status = 0
  readonly requestHeaders = new Fields()
  readonly responseHeaders = new Fields()
  readonly bodyChunk = CHUNK
  readonly webSocket = new Socket()
  readonly balancer = new Balancer()
  readonly closed = false
  answer(): void {}
  redirect(): void {}
  fail(phase: Phase, message: string): void {
    throw new Error(`${phase}: ${message}`)
  }
  hookSettled(): void {}
  readBody(): void {}
  log(_level: string, message: string): void {
    throw new Error(message)
  }
}

const USERS = new SessionMap(new MemoryStore({ size: 1024 * 1024 }), {
  name: 'users',
  ttl: 3_600_000,
  max: 1000,
  onError: 'hash',
})
await USERS.set('user1001', '"10.0.0.2:8080"')

const HOST: ScriptHost = {
  generation: 1,
  worker: 0,
  version: '0.1.0',
  log: () => {},
  variable: () => ({ get: () => 'user1001', set: null }),
  template: () => () => '',
  fetch: () => ({ read() {}, write: () => true, finish() {}, abort() {} }),
  map: () => USERS,
}

function load(source: string): Promise<Script> {
  const file = '/scripts/bench.js'
  return loadScript({ file, source, params: {}, limits: DEFAULT_LIMITS, onError: 'closed', host: HOST })
}

/** Median of eleven rounds, each request a new one as far as the sandbox can tell. */
async function measure(name: string, source: string, phase: Phase, expected: Outcome): Promise<void> {
  const script = await load(source)
  const hook = script.hooks[phase]!
  const request = new Request()
  const rounds: number[] = []
  const times = 200_000
  for (let round = 0; round < 13; round++) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < times; i++) {
      if (hook(request) !== expected) throw new Error(`${name}: another outcome`)
      if (request.scriptState !== null) releaseRequest(request)
    }
    if (round >= 2) rounds.push(Number(process.hrtime.bigint() - start) / times)
  }
  rounds.sort((a, b) => a - b)
  process.stdout.write(`${name.padEnd(52)} ${rounds[5].toFixed(0).padStart(6)} ns\n`)
  script.dispose()
}

await measure('a hook that does nothing', NO_OP, 'access', Outcome.PASS)
await measure('balancer: consistent hash of a variable', BALANCER, 'balancer', Outcome.PEER)
await measure('balancer: names a peer by itself', VARIABLE, 'balancer', Outcome.PEER)
await measure('balancer: a session map knows it', MAP_HIT, 'balancer', Outcome.PEER)
await measure('balancer: names a peer, async with an await', VARIABLE_ASYNC, 'balancer', Outcome.PEER)
await measure('balancer: a session map knows it, awaited', MAP_HIT_ASYNC, 'balancer', Outcome.PEER)
await measure('access: reads one header, sets another', HEADERS, 'access', Outcome.PASS)
await measure('the same by indexing', INDEXED, 'access', Outcome.PASS)
await measure('async, nothing awaited', NO_AWAIT, 'access', Outcome.PASS)
await measure('async, awaiting a settled promise', ASYNC, 'access', Outcome.PASS)
await measure('bodyFilter: pass (1 KB)', BODY_FILTER, 'bodyFilter', Outcome.PASS)
await measure('wsMessage: nothing', WS_NOTHING, 'wsMessage', Outcome.PASS)
await measure('wsMessage: reads who and what', WS_READ, 'wsMessage', Outcome.PASS)
await measure('wsMessage: replace', WS_REPLACE, 'wsMessage', Outcome.REPLACED)
await measure('wsMessage: takes ws.state over and changes it', WS_STATE, 'wsMessage', Outcome.PASS)
await measure('r.ctx, to the end of the request', CONTEXT, 'access', Outcome.PASS)
