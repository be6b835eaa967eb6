/**
 * What hooks cost where they run: each between the parsing and writing of real heads, of another user every time, with
 * the processor's caches full of other things. The first quarter of all calls, so that what else the machine does counts
 * little; a bare hook call stands in `micro-script.ts`.
 *
 *   node dist/test/bench/micro-hooks.js [milliseconds of each case]
 */
import { isFault } from '../../runtime/http1/fault.ts'
import type { FieldBlock } from '../../runtime/http1/fields.ts'
import { RequestReader } from '../../runtime/http1/request-reader.ts'
import { ResponseReader } from '../../runtime/http1/response-reader.ts'
import { crc32 } from '../../runtime/lib/crc32.ts'
import {
  type BalancerView,
  DEFAULT_LIMITS,
  type HookRequest,
  Outcome,
  type PeerInfo,
  type Phase,
  type PhaseHandler,
  type ScriptHost,
} from '../../runtime/phases.ts'
import type { Exchange } from '../../runtime/proxy/exchange.ts'
import { RequestHeaders } from '../../runtime/proxy/request-headers.ts'
import { ResponseHeaders } from '../../runtime/proxy/response-headers.ts'
import { argumentVariable } from '../../runtime/proxy/variables-named.ts'
import { loadScript, releaseRequest } from '../../runtime/script/engine.ts'
import { EMPTY_HOOKS, WORKING_HOOKS } from './configs.ts'

const READ_AND_ANSWER = `export function access(r) {
  const name = r.headersIn.get('User-Agent')
  if (r.method === 'GET' && name !== undefined && r.headersIn.has('X-Missing')) return r.return(403)
}
export function balancer(r, upstream) {
  return upstream.peers[r.variables.arg_userId % upstream.peers.length]
}
export function headerFilter(r) {
  if (r.status === 200 && r.headersOut.get('Content-Type') === 'text/plain') r.headersOut['X-User'] = r.variables.arg_userId
}
`

const USERS = 5000
const PHASES = ['access', 'balancer', 'headerFilter'] as const

const HEADS = Array.from({ length: USERS }, (_, user) => {
  const fields =
    'Host: chat.example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Language: en\r\n' +
    'X-Api-Key: k1\r\nCookie: session=0123456789abcdef\r\n\r\n'
  return Buffer.from(`GET /chat?userId=${user} HTTP/1.1\r\n${fields}`, 'latin1')
})
const ANSWER = Buffer.from(
  'HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n' +
    'Content-Length: 43\r\nConnection: keep-alive\r\nX-Powered-By: bench\r\n\r\n',
  'latin1',
)
const LIMITS = {
  headerBuffer: 1024,
  largeCount: 4,
  largeSize: 8192,
  underscores: false,
  ignoreInvalid: true,
  maxFields: 1000,
}

const PEERS: PeerInfo[] = [8081, 8082, 8083].map((port) => {
  const address = `127.0.0.1:${port}`
  return { name: address, address, weight: 1, backup: false, down: false, connections: 0, fails: 0 }
})

class Balancer implements BalancerView {
  readonly name = 'pool'
  readonly peers = PEERS
  readonly tries = 0
  readonly lastFailure = null
  chosen = -1
  hash(key: string): number {
    return crc32(key) % PEERS.length
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

class Request implements HookRequest {
  scriptState: unknown = null
  readonly method: string
  readonly httpVersion = '1.1'
  readonly remoteAddress = '192.0.2.1'
  readonly uri = '/chat'
  readonly args: string
  status = 200
  readonly requestHeaders: RequestHeaders
  readonly responseHeaders = new ResponseHeaders()
  readonly bodyChunk = null
  readonly webSocket = null
  readonly balancer = new Balancer()
  readonly closed = false
  constructor(method: string, target: string, fields: FieldBlock) {
    this.method = method
    this.args = target.slice(target.indexOf('?') + 1)
    this.requestHeaders = new RequestHeaders(fields)
  }
  get rawArgs(): string {
    return this.args
  }
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

const HOST: ScriptHost = {
  generation: 1,
  worker: 0,
  version: '0.1.0',
  log: () => {},
  variable(name) {
    const get = argumentVariable(name.slice('arg_'.length))
    return { get: (request) => get(request as Exchange), set: null }
  },
  template: () => () => '',
  fetch: () => ({ read() {}, write: () => true, finish() {}, abort() {} }),
  map: () => undefined,
}

const requests = new RequestReader(LIMITS)
const responses = new ResponseReader(4096)

function readRequest(user: number): Request {
  requests.push(HEADS[user])
  const head = requests.next()
  if (head === null || isFault(head)) throw new Error('the request does not parse')
  return new Request(head.method, head.target, head.fields)
}

function readResponse(request: Request): void {
  responses.push(ANSWER)
  const head = responses.next()
  if (head === null || isFault(head)) throw new Error('the response does not parse')
  request.responseHeaders.block = head.fields
}

/** What the caches hold between two hooks of a busy proxy: other data, other code. */
const OTHER = new Int32Array(48 * 1024)
let sum = 0
function doOtherThings(): void {
  for (let i = 0; i < OTHER.length; i += 16) sum += OTHER[i]
  const text = JSON.stringify({ sum, date: new Date(sum), list: [sum, 'a', null] })
  sum += Object.keys(JSON.parse(text)).length + decodeURIComponent('a%20b').length
  sum += text
    .replace(/\d+/g, (digits) => digits + 1)
    .split(',')
    .sort().length
}

/** ns of each phase. */
async function measure(source: string, milliseconds: number): Promise<number[]> {
  const file = '/scripts/bench.js'
  const script = await loadScript({
    file,
    source,
    params: {},
    limits: DEFAULT_LIMITS,
    onError: 'closed',
    host: HOST,
  })
  const hooks = PHASES.map((phase) => script.hooks[phase]!)
  const times: number[][] = [[], [], [], []]
  const end = performance.now() + milliseconds
  const warm = end - milliseconds / 2
  for (let n = 0; performance.now() < end; n = (n + 1) % USERS) {
    const request = readRequest(n)
    const isWarm = performance.now() > warm
    for (let i = 0; i < hooks.length; i++) {
      doOtherThings()
      if (i === 2) readResponse(request)
      const took = timed(hooks[i], request)
      if (isWarm) times[i].push(took)
    }
    doOtherThings()
    const took = timed(pass, request)
    if (isWarm) times[3].push(took)
    if (request.scriptState !== null) releaseRequest(request)
  }
  script.dispose()
  const [access, balancer, headerFilter, clock] = times.map(quarter)
  return [access, balancer, headerFilter].map((ms) => (ms - clock) * 1e6)
}

const pass: PhaseHandler = () => Outcome.PASS

function timed(hook: PhaseHandler, request: Request): number {
  const started = performance.now()
  if (hook(request) === Outcome.FAILED) throw new Error('a hook has failed')
  return performance.now() - started
}

function quarter(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 2]
}

const milliseconds = Number(process.argv[2] ?? 6000)
const cases = [
  ['hooks that do nothing', EMPTY_HOOKS],
  ['get, set; consistent hash; set, delete', WORKING_HOOKS],
  ['reads; a peer of the list; reads, set by index', READ_AND_ANSWER],
] as const
process.stdout.write(`${' '.repeat(50)}${PHASES.map((phase) => phase.padStart(14)).join('')}   ns\n`)
for (const [name, source] of cases) {
  const took = await measure(source, milliseconds)
  process.stdout.write(`${name.padEnd(50)}${took.map((ns) => ns.toFixed(0).padStart(14)).join('')}\n`)
}
