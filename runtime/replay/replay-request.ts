/**
 * One request of a journal, hook after hook, for a script that is tried on it: its questions are answered as they were
 * answered then, by what the entry holds otherwise, and what nobody knows is said.
 */
import type { BodyFailure, ScriptFault } from '../phases.ts'
import { toBytes } from '../script/guest-values.ts'
import type { FetchedRequest, FetchedResponse } from '../testing/described-fetch.ts'
import { makeGroup } from '../testing/described-upstream.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import { Selection } from '../upstream/selection.ts'
import { derivedVariable } from './derived-variables.ts'
import { digest } from './hook-decision.ts'
import { type Answers, IsolatedRequest, type Pick } from './isolated-request.ts'
import { type JournalEntry, textOf } from './journal-entry.ts'
import { holdsMasked } from './mask.ts'
import { ReplayState } from './replay-map.ts'
import { TappedRequest } from './tapped-request.ts'

/** Methods whose answer follows from what the journal says of the peers. */
const COMPUTED = ['hash', 'hash consistent', 'least_conn', 'ip_hash']

export class ReplayRequest implements Answers {
  readonly request: IsolatedRequest
  readonly tapped: TappedRequest
  /** What was asked and could not be answered, of the hook under way: `$user was not recorded`. */
  readonly unknown = new Set<string>()
  /** What it has read that was masked: `headersIn authorization`. It was something else when the journal was written. */
  readonly masked = new Set<string>()
  entry: JournalEntry
  /** Session maps of the hook under way. */
  state: ReplayState
  /** Why the hook under way has failed. */
  fault: ScriptFault | null = null
  /** How many fetches of each kind were answered. */
  readonly #fetched = new Map<string, number>()
  #group: UpstreamGroup | null = null
  /** How often the clock was looked at, and `Math.random` was asked. */
  #looks = 0
  #draws = 0
  /** How often each limit was asked. */
  readonly #limited = new Map<string, number>()

  /** @param stateKey name of the script's own `ws.state` */
  constructor(entry: JournalEntry, stateKey: string) {
    this.entry = entry
    this.state = this.#stateOf(entry)
    this.request = new IsolatedRequest(entry.input, this, stateKey)
    this.tapped = new TappedRequest(this.request)
  }

  begin(entry: JournalEntry): void {
    this.entry = entry
    this.unknown.clear()
    this.fault = null
    this.#fetched.clear()
    this.#group = null
    this.masked.clear()
    this.#looks = 0
    this.#draws = 0
    this.#limited.clear()
    this.state = this.#stateOf(entry)
    this.request.begin(entry.input, this)
    const { chunk, socket } = entry.input
    if (chunk !== null) this.read('the chunk', textOf(chunk.data))
    if (socket?.message) this.read('the message', textOf(socket.message.data))
    if (socket?.state) this.read('ws.state', socket.state.json)
  }

  #stateOf({ asked }: JournalEntry): ReplayState {
    return new ReplayState(
      asked.maps,
      (what) => this.unknown.add(what),
      (what, text) => this.read(what, text),
    )
  }

  read(what: string, value: string): void {
    if (holdsMasked(value)) this.masked.add(what)
  }

  /**
   * What the clock said then at this look, though a timer may have been a moment early; beyond the looks of then, not less.
   * @param now the clock of the replay, which timers move
   */
  time(now: number): number {
    const { at, asked } = this.entry
    const { times } = asked
    const then = times[this.#looks++]
    return then === undefined ? Math.max(now, at + (times.at(-1) ?? 0)) : at + then
  }

  /** What `Math.random` gave then; undefined: nobody knows. */
  random(): number | undefined {
    const value = this.entry.asked.randoms[this.#draws++]
    if (value === undefined) this.unknown.add('Math.random() was not recorded so often')
    return value
  }

  /** What this limit said then; undefined: nobody knows. */
  limit(question: string): number | undefined {
    const bytes = toBytes(question)
    const count = this.#limited.get(bytes) ?? 0
    this.#limited.set(bytes, count + 1)
    const found = this.entry.asked.limits.filter((limit) => limit.question === bytes)[count]
    if (found === undefined) this.unknown.add(`${bytes} was not recorded`)
    else this.read('a limit', bytes)
    return found?.answer
  }

  variable(name: string): string | undefined {
    const value = this.#variable(name)
    if (value !== undefined) this.read(`$${name}`, value)
    return value
  }

  #variable(name: string): string | undefined {
    const { variables } = this.entry.asked
    const found = Object.keys(variables).find((key) => key.toLowerCase() === `$${name}`)
    if (found !== undefined) return variables[found] ?? undefined
    const derived = derivedVariable(name)
    if (derived !== null) return derived(this.request)
    this.unknown.add(`$${name} was not recorded`)
    return undefined
  }

  pick({ what, method, key }: Pick): number {
    const { asked, input } = this.entry
    if (Object.hasOwn(asked.picks, what)) return asked.picks[what]
    if (!COMPUTED.includes(method) || input.upstream === null || input.upstream.tries > 0) {
      this.unknown.add(`${what} was not recorded`)
      return -1
    }
    this.#group ??= groupOf(input.upstream)
    return new Selection(this.#group, '').peek(method, method === 'ip_hash' ? input.remoteAddress : key)
  }

  readBody(done: (error: BodyFailure | null, body: Uint8Array) => void): void {
    const { body } = this.entry.asked
    if (body === null) {
      this.unknown.add('the request body was not recorded')
      done(new Error('the request body was not recorded'), new Uint8Array(0))
      return
    }
    this.read('the body', body.text)
    const { failure, status } = body
    const error = failure === null ? null : Object.assign(new Error(failure), status > 0 && { status })
    done(error, Buffer.from(body.text, 'latin1'))
  }

  log(): void {}

  settled(): void {}

  /** The answer to the same fetch then; the last one again when there were fewer. */
  answerTo({ method, url, body }: FetchedRequest): FetchedResponse {
    const sent = body.length === 0 ? '' : digest(body)
    const same = this.entry.asked.fetches.filter(
      (fetch) => fetch.method === method && fetch.url === url && (fetch.body === '' || fetch.body === sent),
    )
    const what = `fetch ${method} ${url}`
    const count = this.#fetched.get(what) ?? 0
    this.#fetched.set(what, count + 1)
    const answer = same[Math.min(count, same.length - 1)]?.answer ?? null
    if (answer !== null) {
      this.read(what, answer.chunks.join(''))
      const chunks = answer.chunks.map((chunk) => Buffer.from(chunk, 'latin1'))
      return { ...answer, chunks, delay: 0 }
    }
    this.unknown.add(`${what} was not recorded`)
    return { status: 0, headers: [], chunks: [], delay: 0, failure: 'the journal holds no answer to it' }
  }
}

function groupOf({ name, peers }: NonNullable<JournalEntry['input']['upstream']>): UpstreamGroup {
  const sources = { now: () => Math.floor(Date.now() / 1000), random: Math.random }
  return makeGroup({ name, servers: peers }, 'round_robin', sources)
}
