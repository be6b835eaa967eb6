/**
 * One request of a journal, hook after hook, for a script that is tried on it: its questions are answered as they were
 * answered then, by what the entry holds otherwise, and what nobody knows is said.
 */
import type { ScriptFault } from '../phases.ts'
import type { FetchedRequest, FetchedResponse } from '../testing/described-fetch.ts'
import { makeGroup } from '../testing/described-upstream.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import { Selection } from '../upstream/selection.ts'
import { derivedVariable } from './derived-variables.ts'
import { digest } from './hook-decision.ts'
import { type Answers, IsolatedRequest, type Pick } from './isolated-request.ts'
import type { JournalEntry } from './journal-entry.ts'
import { TappedRequest } from './tapped-request.ts'

/** Methods whose answer follows from what the journal says of the peers. */
const COMPUTED = ['hash', 'hash consistent', 'least_conn', 'ip_hash']

export class ReplayRequest implements Answers {
  readonly request: IsolatedRequest
  readonly tapped: TappedRequest
  /** What was asked and could not be answered, of the hook under way: `$user was not recorded`. */
  readonly unknown = new Set<string>()
  entry: JournalEntry
  /** Why the hook under way has failed. */
  fault: ScriptFault | null = null
  /** How many fetches of each kind were answered. */
  readonly #fetched = new Map<string, number>()
  #group: UpstreamGroup | null = null

  /** @param stateKey name of the script's own `ws.state` */
  constructor(entry: JournalEntry, stateKey: string) {
    this.entry = entry
    this.request = new IsolatedRequest(entry.input, this, stateKey)
    this.tapped = new TappedRequest(this.request)
  }

  begin(entry: JournalEntry): void {
    this.entry = entry
    this.unknown.clear()
    this.fault = null
    this.#fetched.clear()
    this.#group = null
    this.request.begin(entry.input, this)
  }

  variable(name: string): string | undefined {
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

  readBody(done: (error: Error | null, body: Uint8Array) => void): void {
    const { body } = this.entry.asked
    if (body === null) {
      this.unknown.add('the request body was not recorded')
      done(new Error('the request body was not recorded'), new Uint8Array(0))
    } else done(body.failure === null ? null : new Error(body.failure), Buffer.from(body.text, 'latin1'))
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
