/**
 * What a hook decided, in the words of a test: texts instead of byte strings, names instead of indexes. Made of a
 * described request after the hook has settled; changes nothing.
 */
import { inspect } from 'node:util'
import { type LogLevel, Outcome, type Phase, type ScriptFault, type WebSocketSide } from '../phases.ts'
import { fromBytes } from '../script/guest-values.ts'
import type { DescribedChunk, DescribedRequest } from './described-request.ts'
import type { DescribedSocket } from './described-web-socket.ts'

/** `pass`: as if the hook were absent. */
export type OutcomeName = 'pass' | 'answer' | 'redirect' | 'peer' | 'failed' | 'replaced' | 'dropped'

const NAMES: Readonly<Record<number, OutcomeName>> = {
  [Outcome.PASS]: 'pass',
  [Outcome.ANSWER]: 'answer',
  [Outcome.REDIRECT]: 'redirect',
  [Outcome.PEER]: 'peer',
  [Outcome.FAILED]: 'failed',
  [Outcome.REPLACED]: 'replaced',
  [Outcome.DROPPED]: 'dropped',
}

/** Header fields as they stand after a hook; names are case-insensitive. */
export class SeenFields implements Iterable<[name: string, value: string]> {
  readonly #pairs: readonly (readonly [name: string, value: string])[]

  /** @param pairs byte strings */
  constructor(pairs: readonly (readonly [string, string])[]) {
    this.#pairs = pairs.map(([name, value]): [string, string] => [name, fromBytes(value)])
  }

  /** All values of that name, joined by `', '` (cookies by `'; '`). */
  get(name: string): string | undefined {
    const all = this.getAll(name)
    return all.length === 0 ? undefined : all.join(name.toLowerCase() === 'cookie' ? '; ' : ', ')
  }

  getAll(name: string): string[] {
    const lower = name.toLowerCase()
    return this.#pairs.filter(([other]) => other.toLowerCase() === lower).map(([, value]) => value)
  }

  has(name: string): boolean {
    return this.getAll(name).length > 0
  }

  entries(): [name: string, value: string][] {
    return this.#pairs.map(([name, value]) => [name, value])
  }

  [Symbol.iterator](): Iterator<[name: string, value: string]> {
    return this.entries()[Symbol.iterator]()
  }

  /** Names in lower case; for showing and comparing. */
  toJSON(): Record<string, string> {
    return Object.fromEntries(this.#pairs.map(([name]) => [name.toLowerCase(), this.get(name)!]))
  }

  [inspect.custom](): Record<string, string> {
    return this.toJSON()
  }
}

/** A hook that failed: where and why. */
export class HookError extends Error {
  override name = 'HookError'
  /** What the script threw, or which limit it overran, without the place. */
  readonly reason: string
  /** Absolute. */
  readonly file: string
  /** 0: not known. */
  readonly line: number
  readonly column: number

  constructor(fault: ScriptFault) {
    const { line, column } = fault
    const file = fromBytes(fault.file)
    const reason = fromBytes(fault.message)
    super(`${file}${line > 0 ? `:${line}:${column}` : ''}: ${reason}`)
    this.reason = reason
    this.file = file
    this.line = line
    this.column = column
    const excerpt = fault.excerpt === '' ? [] : [fromBytes(fault.excerpt)]
    const frames = fault.stack.map((frame) => `    at ${fromBytes(frame)}`)
    this.stack = [`${this.name}: ${this.message}`, ...excerpt, ...frames].join('\n')
  }
}

export interface DecidedAnswer {
  readonly status: number
  readonly headers: SeenFields
  /** As text; '' without a body. */
  readonly text: string
  /** null: the status gets its error page. */
  readonly bytes: Uint8Array | null
  /** @throws SyntaxError */
  json(): unknown
}

export interface SeenMessage {
  readonly to: WebSocketSide
  readonly data: string | Uint8Array
  readonly binary: boolean
}

export interface Decision {
  readonly phase: Phase
  readonly outcome: OutcomeName
  /** Of `balancer`: the name of the peer that the hook chose; null: it leaves the choice to the configured method. */
  readonly peer: string | null
  /** Of `balancer`: where the request goes, whoever chose; null: nowhere, no peer is left. */
  readonly takenPeer: string | null
  readonly answer: DecidedAnswer | null
  readonly redirect: string | null
  /** As they are after the hook. */
  readonly status: number
  readonly uri: string
  readonly args: string
  readonly headersIn: SeenFields
  readonly headersOut: SeenFields
  /** Those that scripts have set for this request, by name. */
  readonly variables: Readonly<Record<string, string>>
  /** Of this hook. */
  readonly logs: readonly { readonly level: LogLevel; readonly message: string }[]
  /** Why the hook failed. With `onError: 'open'` too, where the outcome is `pass`. */
  readonly error: HookError | null
  /** CPU time of the sandbox for this hook, in microseconds. */
  readonly cpuMicros: number
  /** Of `bodyFilter`: what goes on, piece by piece, and as a whole. */
  readonly chunks: readonly Uint8Array[]
  readonly body: string
  /** Of `wsMessage`: what goes on; null: nothing does. */
  readonly message: string | Uint8Array | null
  /** Of the `ws*` hooks: what they sent beside it, and the close that they asked for. */
  readonly sent: readonly SeenMessage[]
  readonly close: { readonly code: number; readonly reason: string } | null
  /** Of the `ws*` hooks: `ws.state` as it is kept after them; undefined: there is none. */
  readonly state: unknown
  /** Of `balancer`: the timeouts of this try, in ms. */
  readonly timeouts: { readonly connect: number; readonly send: number; readonly read: number } | null
}

/** What a runner has seen of the hook. */
export interface Ran {
  readonly request: DescribedRequest
  readonly phase: Phase
  readonly outcome: Outcome
  readonly cpuMicros: number
  /** How many lines, and messages sent, there were before it. */
  readonly logsBefore: number
  readonly sentBefore: number
  readonly chunks: readonly DescribedChunk[]
}

export function decisionOf(ran: Ran): Decision {
  const { request, phase, outcome, cpuMicros, chunks } = ran
  const { call } = request
  const logs = request.logs.slice(ran.logsBefore).map(seenLine)
  const passed = chunks.map(({ result }) => new Uint8Array(result)).filter((data) => data.length > 0)
  const socket = request.webSocket === null ? null : request.socket
  return {
    phase,
    outcome: NAMES[outcome],
    peer: phase === 'balancer' && outcome === Outcome.PEER ? decoded(request.peerName) : null,
    takenPeer: phase === 'balancer' ? decoded(request.peerName) : null,
    answer: outcome === Outcome.ANSWER ? seenAnswer(request) : null,
    redirect: outcome === Outcome.REDIRECT ? decoded(request.redirectTarget) : null,
    status: request.status,
    uri: fromBytes(request.uri),
    args: fromBytes(request.rawArgs),
    headersIn: new SeenFields(request.requestHeaders.entries()),
    headersOut: new SeenFields(request.responseHeaders.entries()),
    variables: Object.fromEntries([...request.variablesSet].map(([name, value]) => [name, fromBytes(value)])),
    logs,
    error: request.fault === null ? null : new HookError(request.fault),
    cpuMicros,
    chunks: passed,
    body: Buffer.concat(passed).toString(),
    message: phase === 'wsMessage' ? seenMessage(request, outcome) : null,
    sent: (socket?.sent.slice(ran.sentBefore) ?? []).map(({ to, data, binary }) => ({
      to,
      data: contentOf(data, binary),
      binary,
    })),
    close: socket?.closed ? { code: socket.closed.code, reason: fromBytes(socket.closed.reason) } : null,
    state: stateOf(socket),
    timeouts:
      phase === 'balancer' && call !== null
        ? { connect: call.connectTimeout, send: call.sendTimeout, read: call.readTimeout }
        : null,
  }
}

function decoded(text: string | null): string | null {
  return text === null ? null : fromBytes(text)
}

function seenLine({ level, message }: { level: LogLevel; message: string }) {
  return { level, message: fromBytes(message) }
}

function seenAnswer({ answered }: DescribedRequest): DecidedAnswer {
  const { status, headers, body } = answered!
  const bytes =
    body === null ? null : new Uint8Array(typeof body === 'string' ? Buffer.from(body, 'latin1') : body)
  const text = bytes === null ? '' : Buffer.from(bytes).toString('utf8')
  return { status, headers: new SeenFields(headers), text, bytes, json: () => JSON.parse(text) }
}

function seenMessage(request: DescribedRequest, outcome: Outcome): string | Uint8Array | null {
  const { message, replacement } = request.socket
  if (outcome === Outcome.DROPPED || outcome === Outcome.FAILED) return null
  const passed = outcome === Outcome.REPLACED ? replacement : message
  return passed === null ? null : contentOf(passed.data, passed.binary)
}

function contentOf(data: Uint8Array, binary: boolean): string | Uint8Array {
  return binary ? new Uint8Array(data) : Buffer.from(data).toString('utf8')
}

/** One script, one state. */
function stateOf(socket: DescribedSocket | null): unknown {
  const saved = socket === null ? undefined : [...socket.states.values()].at(-1)
  return saved === undefined ? undefined : JSON.parse(fromBytes(saved.json))
}
