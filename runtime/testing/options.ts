/** What `testScript` takes: descriptions in texts as a test writes them, read into what the described site takes. */
import { parseSize } from '../config/values.ts'
import { DEFAULT_LIMITS, type ScriptLimits } from '../phases.ts'
import { toBytes } from '../script/guest-values.ts'
import type { Answerer, FetchedRequest, FetchedResponse } from './described-fetch.ts'
import {
  type DescribedFields,
  type DescribedPeer,
  type DescribedUpstream,
  type DescribedWebSocket,
  DescriptionError,
  pairsOf,
  type RequestDescription,
} from './description.ts'
import { type Duration, milliseconds } from './fake-clock.ts'
import { refuseUnknown } from './known-members.ts'
import type { DescribedMaps } from './tested-maps.ts'

/** As `script_limits`: sizes as `'32m'` or bytes, times as `'50ms'` or milliseconds. */
export interface TestLimits {
  readonly memory?: number | string
  readonly stack?: number | string
  readonly cpu?: Duration
  readonly load?: Duration
  readonly wall?: Duration
}

/** An answer to a `fetch`: a text is the body of a 200. */
export type TestAnswer =
  | string
  | {
      readonly status?: number
      readonly headers?: DescribedFields
      readonly body?: string | Uint8Array
      /** The body in pieces, instead. */
      readonly chunks?: readonly (string | Uint8Array)[]
      /** By the script's clock. */
      readonly delay?: Duration
      /** The connection fails with these words. */
      readonly error?: string
    }

/** A request that the script made by `fetch`. */
export interface TestFetch {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export type TestAnswers =
  | Readonly<Record<string, TestAnswer | ((request: TestFetch) => TestAnswer | Promise<TestAnswer>)>>
  | ((request: TestFetch) => TestAnswer | null | undefined | Promise<TestAnswer | null | undefined>)

export interface TestOptions {
  /** The `name=value` pairs of the `script` directive. */
  readonly params?: Readonly<Record<string, string | number>>
  readonly limits?: TestLimits
  /** As `script_on_error`; default: closed. */
  readonly onError?: 'closed' | 'open'
  /** The upstream group, or its servers. Default: `127.0.0.1:8001` alone. */
  readonly upstream?: DescribedUpstream | readonly (string | DescribedPeer)[]
  /** Variables that `set` declares, with their values. */
  readonly variables?: Readonly<Record<string, string>>
  /** Directives of the `http` block: `map`, `geo`, … */
  readonly http?: string
  /** Directives of the location, e.g. `client_body_buffer_size 64k;`. */
  readonly location?: string
  /**
   * Session maps and what is in them at first: `{ users: { alice: 'b1' } }`. Those that `session_map` of `http` declares
   * are there too, with its `ttl` and `max`; a map that only stands here has the defaults.
   */
  readonly maps?: DescribedMaps
  /** Where the clock stands at first. Default: 2025-01-01T00:00:00Z. */
  readonly now?: number | string | Date
  /** Of `Math.random` and of the random balancing methods: 1 to 2^31. Default: 1. */
  readonly seed?: number
  /** Answers by `'URL'` or `'METHOD URL'`, where a `*` at the end stands for any rest; or a function. */
  readonly fetch?: TestAnswers
  /** The script's text, instead of the file's; imports are looked for beside the file all the same. */
  readonly source?: string
  /** The folder that imports may not leave. Default: that of the script. */
  readonly root?: string
  /** Real milliseconds after which a hook that waits for nothing that comes fails the test. Default: 5000. */
  readonly patience?: number
}

/** A request as a test writes it. */
export interface TestRequest extends Omit<RequestDescription, 'args' | 'webSocket'> {
  /** The query as sent, or its parameters. */
  readonly args?: string | Readonly<Record<string, string | number>>
  readonly webSocket?: TestWebSocket
}

export interface TestWebSocket {
  /** The subprotocol agreed on. */
  readonly protocol?: string
  /** Times that the upstream was connected to anew. */
  readonly reconnects?: number
  /** `ws.state` as an earlier version of the script has left it; a `migrate` of the script gets it first. */
  readonly state?: unknown
}

const OPTIONS = {
  params: true,
  limits: true,
  onError: true,
  upstream: true,
  variables: true,
  http: true,
  location: true,
  maps: true,
  now: true,
  seed: true,
  fetch: true,
  source: true,
  root: true,
  patience: true,
} as const satisfies Record<keyof TestOptions, true>

const LIMITS = {
  memory: true,
  stack: true,
  cpu: true,
  load: true,
  wall: true,
} as const satisfies Record<keyof TestLimits, true>

const REQUEST = {
  method: true,
  uri: true,
  args: true,
  target: true,
  httpVersion: true,
  headers: true,
  body: true,
  remoteAddress: true,
  variables: true,
  peers: true,
  tried: true,
  status: true,
  responseHeaders: true,
  webSocket: true,
} as const satisfies Record<keyof TestRequest, true>

/** @throws DescriptionError */
export function checkOptions(options: TestOptions): void {
  refuseUnknown(options, OPTIONS, 'options')
}

/** @throws DescriptionError */
export function readLimits(limits: TestLimits = {}): ScriptLimits {
  refuseUnknown(limits, LIMITS, 'limits')
  const { memory, stack, cpu, load, wall } = limits
  return {
    memory: readSize('memory', memory) ?? DEFAULT_LIMITS.memory,
    stack: readSize('stack', stack) ?? DEFAULT_LIMITS.stack,
    cpu: cpu === undefined ? DEFAULT_LIMITS.cpu : milliseconds(cpu),
    load: load === undefined ? DEFAULT_LIMITS.load : milliseconds(load),
    wall: wall === undefined ? DEFAULT_LIMITS.wall : milliseconds(wall),
  }
}

function readSize(name: string, value: number | string | undefined): number | undefined {
  const bytes = typeof value === 'string' ? parseSize(value) : value
  if (bytes === undefined || (bytes !== null && Number.isSafeInteger(bytes) && bytes > 0)) return bytes
  throw new DescriptionError(`limits: ${name} cannot be ${JSON.stringify(value)}; write "32m" or bytes`)
}

export function readUpstream(upstream: TestOptions['upstream']): DescribedUpstream | undefined {
  if (upstream === undefined) return undefined
  return 'servers' in upstream ? upstream : { servers: upstream }
}

/** @throws DescriptionError */
export function readTime(now: number | string | Date = '2025-01-01T00:00:00Z'): number {
  const time = new Date(now).getTime()
  if (Number.isNaN(time)) throw new DescriptionError(`now: ${JSON.stringify(now)} is no time`)
  return time
}

/** @throws DescriptionError */
export function readSeed(seed = 1): number {
  if (Number.isInteger(seed) && seed >= 1 && seed <= 2 ** 31) return seed
  throw new DescriptionError(`seed: ${JSON.stringify(seed)} is no whole number from 1 to 2^31`)
}

// ---- requests ----

/**
 * Texts to byte strings.
 * @param file of the script, absolute
 * @throws DescriptionError
 */
export function readRequest(given: TestRequest, file: string): RequestDescription {
  refuseUnknown(given, REQUEST, 'the request')
  const { uri, args, target, headers, responseHeaders, variables, body, webSocket } = given
  if (uri?.includes('?'))
    throw new DescriptionError(`uri: ${JSON.stringify(uri)} has a query; give it as args, or all as target`)
  return {
    ...given,
    uri: encoded(uri),
    args: encoded(typeof args === 'object' ? queryOf(args) : args),
    target: encoded(target),
    headers: encodedFields(headers),
    responseHeaders: encodedFields(responseHeaders),
    variables: encodedRecord(variables),
    body: typeof body === 'string' ? toBytes(body) : body,
    webSocket: webSocket === undefined ? undefined : readWebSocket(webSocket, file),
  }
}

function readWebSocket({ protocol, reconnects, state }: TestWebSocket, file: string): DescribedWebSocket {
  const kept =
    state === undefined ? [] : [[file, { json: toBytes(JSON.stringify(state)), version: '' }] as const]
  return { protocol: encoded(protocol), reconnects, states: new Map(kept) }
}

function encoded<T extends string | undefined>(text: T): T {
  return (text === undefined ? undefined : toBytes(text)) as T
}

export function encodedFields(fields: DescribedFields | undefined): [string, string][] {
  return pairsOf(fields).map(([name, value]) => [name, typeof value === 'string' ? toBytes(value) : value])
}

export function encodedRecord(record: Readonly<Record<string, string | undefined>> = {}) {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, encoded(value)]))
}

function queryOf(args: Readonly<Record<string, string | number>>): string {
  return Object.entries(args)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&')
}

// ---- fetch ----

/** @param keep gets every request made */
export function readAnswers(answers: TestAnswers = {}, keep: (request: TestFetch) => void): Answerer {
  return async (fetched) => {
    const request = seenFetch(fetched)
    keep(request)
    const found = typeof answers === 'function' ? answers : findAnswer(answers, request)
    const answer = typeof found === 'function' ? await found(request) : found
    return answer === null || answer === undefined ? null : readAnswer(answer)
  }
}

function findAnswer(answers: Exclude<TestAnswers, (request: TestFetch) => unknown>, request: TestFetch) {
  const fits = (key: string, text: string): boolean =>
    key.endsWith('*') ? text.startsWith(key.slice(0, -1)) : text === key || text === `${key}/`
  const full = `${request.method} ${request.url}`
  return Object.entries(answers).find(([key]) => fits(key, full) || fits(key, request.url))?.[1]
}

function seenFetch({ url, method, headers, body }: FetchedRequest): TestFetch {
  const fields: Record<string, string> = {}
  for (const [name, value] of headers) {
    const key = name.toLowerCase()
    const text = Buffer.from(value, 'latin1').toString('utf8')
    fields[key] = fields[key] === undefined ? text : `${fields[key]}, ${text}`
  }
  return { url, method, headers: fields, body: Buffer.from(body).toString('utf8') }
}

function readAnswer(answer: TestAnswer): FetchedResponse {
  const given = typeof answer === 'string' ? { body: answer } : answer
  const { status = 200, headers, body, chunks, delay, error } = given
  const pieces = chunks ?? (body === undefined ? [] : [body])
  return {
    status,
    headers: encodedFields(headers),
    chunks: pieces.map((piece) => Buffer.from(piece)).filter((piece) => piece.length > 0),
    delay: delay === undefined ? 0 : milliseconds(delay),
    failure: error === undefined ? null : toBytes(error),
  }
}
