/**
 * One line of a journal: a call of a hook with all that it found, asked and decided. Texts and contents are byte strings.
 * Reading is strict: a journal may come from anywhere.
 */
import { type PeerInfo, PHASES, type Phase, type WebSocketEnd, type WebSocketSide } from '../phases.ts'
import type { HookDecision } from './hook-decision.ts'
import type { HookInput, Pairs, SocketInput, UpstreamInput } from './hook-input.ts'

export interface RecordedFetch {
  readonly method: string
  readonly url: string
  /** Of the body that was sent. */
  readonly body: string
  /** null: there was none before the hook had ended. */
  readonly answer: RecordedAnswer | null
}

export interface RecordedAnswer {
  readonly status: number
  readonly headers: Pairs
  readonly chunks: readonly string[]
  /** Why there is none. */
  readonly failure: string | null
}

/** What stood in a session map when the hook first asked for it; neither: nothing. */
export interface RecordedValue {
  readonly map: string
  readonly key: string
  readonly json: string | null
  readonly bytes: string | null
}

/** What `sluice:limit` was asked, and what was counted then. */
export interface RecordedLimit {
  readonly question: string
  readonly answer: number
}

/** Answers to what a hook asked, by question. */
export interface Asked {
  /** `$arg_x`, or a template; null: no value. */
  readonly variables: Readonly<Record<string, string | null>>
  /** `hash("7", consistent)`: the peer's index; -1: none was eligible. */
  readonly picks: Readonly<Record<string, number>>
  /** null: it was not read. */
  readonly body: RecordedBody | null
  readonly fetches: readonly RecordedFetch[]
  readonly maps: readonly RecordedValue[]
  /** What the clock said, each time that it was looked at: ms since the hook began. */
  readonly times: readonly number[]
  /** What `Math.random` gave, in order. */
  readonly randoms: readonly number[]
  readonly limits: readonly RecordedLimit[]
}

export interface RecordedBody {
  readonly text: string
  /** Why there is none. */
  readonly failure: string | null
  /** What the client is answered for it; 0: the script fails. */
  readonly status: number
}

export interface JournalEntry {
  /** ms since the epoch when the hook began. */
  readonly at: number
  /** Equal for the hooks of one request. */
  readonly request: string
  readonly script: string
  readonly params: Readonly<Record<string, string>>
  readonly phase: Phase
  readonly input: HookInput
  readonly asked: Asked
  readonly decision: HookDecision
}

const VERSION = 1

/** As it is written. */
export function formatEntry(entry: JournalEntry): string {
  const { input } = entry
  const { chunk, socket } = input
  const message = socket?.message ?? null
  return JSON.stringify({
    v: VERSION,
    ...entry,
    input: {
      ...input,
      chunk: chunk && { ...chunk, data: textOf(chunk.data) },
      socket: socket && { ...socket, message: message && { ...message, data: textOf(message.data) } },
    },
  })
}

/** A peer as it is now. */
export function plainPeer({ name, address, weight, backup, down, connections, fails }: PeerInfo): PeerInfo {
  return { name, address, weight, backup, down, connections, fails }
}

export function textOf(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1')
}

// ---- reading ----

/** What is wrong with a line. */
export class EntryError extends Error {}

type Json = Readonly<Record<string, unknown>>

/** @throws EntryError */
export function parseEntry(line: string): JournalEntry {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    throw new EntryError('it is no JSON')
  }
  const entry = object(value, 'the entry')
  if (entry.v !== VERSION) throw new EntryError(`it is of version ${JSON.stringify(entry.v)}, not ${VERSION}`)
  return {
    at: number(entry.at, 'at'),
    request: text(entry.request, 'request'),
    script: text(entry.script, 'script'),
    params: texts(entry.params, 'params'),
    phase: oneOf(entry.phase, PHASES, 'phase'),
    input: readInput(object(entry.input, 'input')),
    asked: readAsked(object(entry.asked, 'asked')),
    decision: texts(entry.decision, 'decision'),
  }
}

function readInput(input: Json): HookInput {
  const { chunk, upstream, socket } = input
  return {
    method: text(input.method, 'method'),
    httpVersion: text(input.httpVersion, 'httpVersion'),
    remoteAddress: text(input.remoteAddress, 'remoteAddress'),
    uri: text(input.uri, 'uri'),
    args: text(input.args, 'args'),
    status: number(input.status, 'status'),
    headersIn: pairs(input.headersIn, 'headersIn'),
    headersOut: pairs(input.headersOut, 'headersOut'),
    upstream: upstream === null ? null : readUpstream(object(upstream, 'upstream')),
    chunk: chunk === null ? null : readChunk(object(chunk, 'chunk')),
    socket: socket === null ? null : readSocket(object(socket, 'socket')),
  }
}

function readUpstream({ name, peers, tries, lastFailure }: Json): UpstreamInput {
  return {
    name: text(name, 'upstream.name'),
    peers: list(peers, 'upstream.peers').map((peer) => readPeer(object(peer, 'a peer'))),
    tries: number(tries, 'upstream.tries'),
    lastFailure: lastFailure === null ? null : text(lastFailure, 'upstream.lastFailure'),
  }
}

function readPeer(peer: Json): PeerInfo {
  return {
    name: text(peer.name, "a peer's name"),
    address: text(peer.address, "a peer's address"),
    weight: number(peer.weight, "a peer's weight"),
    backup: peer.backup === true,
    down: peer.down === true,
    connections: number(peer.connections, "a peer's connections"),
    fails: number(peer.fails, "a peer's fails"),
  }
}

function readChunk({ data, last }: Json): NonNullable<HookInput['chunk']> {
  return { data: bytes(data, 'chunk.data'), last: last === true }
}

function readSocket(socket: Json): SocketInput {
  const message = socket.message === null ? null : object(socket.message, 'socket.message')
  const end = socket.end === null ? null : object(socket.end, 'socket.end')
  const state = socket.state === null ? null : object(socket.state, 'socket.state')
  return {
    protocol: text(socket.protocol, 'socket.protocol'),
    reconnects: number(socket.reconnects, 'socket.reconnects'),
    message: message && {
      from: oneOf<WebSocketSide>(message.from, ['client', 'upstream'], 'socket.message.from'),
      data: bytes(message.data, 'socket.message.data'),
      binary: message.binary === true,
    },
    end: end && {
      by: oneOf<WebSocketEnd['by']>(end.by, ['client', 'upstream', 'proxy', 'script'], 'socket.end.by'),
      code: number(end.code, 'socket.end.code'),
      reason: text(end.reason, 'socket.end.reason'),
    },
    state: state && {
      json: text(state.json, 'socket.state.json'),
      version: text(state.version, 'socket.state.version'),
    },
  }
}

/** What journals of earlier versions do not have is not known. */
function readAsked({
  variables,
  picks,
  body,
  fetches,
  maps = [],
  times = [],
  randoms = [],
  limits = [],
}: Json): Asked {
  const read = body === null ? null : object(body, 'asked.body')
  return {
    variables: Object.fromEntries(
      Object.entries(object(variables, 'asked.variables')).map(([name, value]) => [
        name,
        value === null ? null : text(value, name),
      ]),
    ),
    picks: Object.fromEntries(
      Object.entries(object(picks, 'asked.picks')).map(([name, value]) => [name, number(value, name)]),
    ),
    body: read && {
      text: text(read.text, 'asked.body.text'),
      failure: read.failure === null ? null : text(read.failure, 'asked.body.failure'),
      status: number(read.status ?? 0, 'asked.body.status'),
    },
    fetches: list(fetches, 'asked.fetches').map((fetch) => readFetch(object(fetch, 'a fetch'))),
    maps: list(maps, 'asked.maps').map((value) => readValue(object(value, 'a value of a map'))),
    times: list(times, 'asked.times').map((time) => number(time, 'a time')),
    randoms: list(randoms, 'asked.randoms').map(readRandom),
    limits: list(limits, 'asked.limits').map((limit) => readLimit(object(limit, 'a limit'))),
  }
}

function readValue({ map, key, json, bytes }: Json): RecordedValue {
  return {
    map: text(map, 'the name of a map'),
    key: text(key, 'the key of a value'),
    json: json === null ? null : text(json, 'a value of a map'),
    bytes: bytes === null ? null : text(bytes, 'a value of a map'),
  }
}

function readLimit({ question, answer }: Json): RecordedLimit {
  if (typeof answer !== 'number') throw new EntryError('the answer of a limit is no number')
  return { question: text(question, 'the question for a limit'), answer }
}

function readRandom(value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value < 1) return value
  throw new EntryError('asked.randoms holds what Math.random does not give')
}

function readFetch({ method, url, body, answer }: Json): RecordedFetch {
  return {
    method: text(method, 'the method of a fetch'),
    url: text(url, 'the URL of a fetch'),
    body: text(body, 'the body of a fetch'),
    answer: answer === null ? null : readAnswer(object(answer, 'the answer to a fetch')),
  }
}

function readAnswer({ status, headers, chunks, failure }: Json): RecordedAnswer {
  return {
    status: number(status, 'the status of a fetch'),
    headers: pairs(headers, 'the headers of a fetch'),
    chunks: list(chunks, 'the body of a fetch').map((chunk) => text(chunk, 'the body of a fetch')),
    failure: failure === null ? null : text(failure, 'the failure of a fetch'),
  }
}

function object(value: unknown, what: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  throw new EntryError(`${what} is no object`)
}

function list(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw new EntryError(`${what} is no list`)
}

/** Bytes, one to a character. */
function text(value: unknown, what: string): string {
  if (typeof value === 'string' && !/[^\x00-\xff]/.test(value)) return value
  throw new EntryError(`${what} is no text of bytes`)
}

function bytes(value: unknown, what: string): Uint8Array {
  return Buffer.from(text(value, what), 'latin1')
}

function number(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value
  throw new EntryError(`${what} is no whole number`)
}

function oneOf<T extends string>(value: unknown, words: readonly T[], what: string): T {
  const found = words.find((word) => word === value)
  if (found !== undefined) return found
  throw new EntryError(`${what} is none of ${words.join(', ')}`)
}

function texts(value: unknown, what: string): Record<string, string> {
  const found = object(value, what)
  return Object.fromEntries(Object.entries(found).map(([name, one]) => [name, text(one, `${what}: ${name}`)]))
}

function pairs(value: unknown, what: string): Pairs {
  return list(value, what).map((pair) => {
    const [name, one, ...more] = list(pair, what)
    if (more.length > 0) throw new EntryError(`${what} is no list of pairs`)
    return [text(name, what), text(one, what)] as const
  })
}
