/**
 * `testScript`: a script file in the real sandbox, for unit tests. Each of its hooks is a function from a described
 * request to what the hook decided. Time stands still until the test moves it; nothing is shared between two scripts.
 */
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Phase, PhaseHandler, ScriptClock, ScriptHost } from '../phases.ts'
import { loadScript, type Script, type ScriptStats } from '../script/engine.ts'
import { fromBytes, toBytes } from '../script/guest-values.ts'
import type { Decision } from './decision.ts'
import { DescribedFetch } from './described-fetch.ts'
import { DescribedSite } from './described-site.ts'
import type { DescribedPeer } from './description.ts'
import { FakeClock, settle } from './fake-clock.ts'
import {
  checkOptions,
  encodedRecord,
  readAnswers,
  readLimits,
  readRequest,
  readSeed,
  readTime,
  readUpstream,
  type TestFetch,
  type TestOptions,
  type TestRequest,
} from './options.ts'
import { seededRandom } from './seeded-random.ts'
import { Stopwatch } from './stopwatch.ts'
import { type Body, type Closing, type Message, type Surroundings, TestedRequest } from './tested-request.ts'

const PATIENCE = 5000

/**
 * Loads a script and runs its `init`. Dispose of it when the test is over.
 * @param file relative to the working folder
 * @throws ScriptError saying where and why the script is refused, as the proxy would
 * @throws DescriptionError for options that make no sense
 */
export async function testScript(file: string | URL, options: TestOptions = {}): Promise<TestedScript> {
  checkOptions(options)
  const path = file instanceof URL ? fileURLToPath(file) : resolve(file)
  const clock = new FakeClock(readTime(options.now), readSeed(options.seed))
  const stopwatch = new Stopwatch()
  const fetches: TestFetch[] = []
  const site = await makeSite(options, timed(clock, stopwatch))
  try {
    const answer = readAnswers(options.fetch, (request) => fetches.push(request))
    const host: ScriptHost = {
      ...site.host,
      fetch: (request, events) =>
        new DescribedFetch(request, stopwatch.events(events), answer, timed(clock, stopwatch)),
    }
    const loading = loadScript({
      file: path,
      ...(options.root !== undefined && { root: resolve(options.root) }),
      ...(options.source !== undefined && { source: options.source }),
      params: Object.fromEntries(
        Object.entries(options.params ?? {}).map(([name, value]) => [name, String(value)]),
      ),
      limits: readLimits(options.limits),
      onError: options.onError ?? 'closed',
      host,
    })
    const script = await whileTimePasses(loading, clock)
    script.start()
    return new TestedScript({ script, site, clock, stopwatch, fetches }, options.patience ?? PATIENCE)
  } catch (error) {
    site.dispose()
    throw error
  }
}

function makeSite(options: TestOptions, clock: ScriptClock): Promise<DescribedSite> {
  const upstream = readUpstream(options.upstream)
  return DescribedSite.make({
    http: toBytes(options.http ?? ''),
    location: toBytes(options.location ?? ''),
    variables: encodedRecord(options.variables) as Record<string, string>,
    ...(upstream !== undefined && { upstream }),
    maps: options.maps ?? {},
    clock,
    random: seededRandom(readSeed(options.seed)),
  })
}

/** The clock, with what its timers do counted in. */
function timed(clock: FakeClock, stopwatch: Stopwatch): ScriptClock {
  return {
    now: () => clock.now(),
    setTimeout: (callback, ms) => clock.setTimeout(() => stopwatch.run(callback), ms),
    clearTimeout: (timer) => clock.clearTimeout(timer),
    seed: clock.seed,
  }
}

/** Nobody can move the clock of a script that is still being loaded: it goes by itself, when nothing else moves. */
async function whileTimePasses<T>(promise: Promise<T>, clock: FakeClock): Promise<T> {
  let over = false
  const end = () => {
    over = true
  }
  promise.then(end, end)
  while (!over) {
    await settle()
    if (!over && clock.next !== null) await clock.advance(clock.next)
  }
  return promise
}

interface Parts {
  readonly script: Script
  readonly site: DescribedSite
  readonly clock: FakeClock
  readonly stopwatch: Stopwatch
  readonly fetches: TestFetch[]
}

/** A loaded script. Each phase's function runs its hook for a request of its own. */
export class TestedScript {
  /** Absolute. */
  readonly file: string
  /** Names of what the script exports. */
  readonly exports: readonly string[]
  /** `Date`, timers and wall-clock limits of the script: `await script.clock.advance('10s')`. */
  readonly clock: FakeClock
  /** What the script has asked of `fetch` so far. */
  readonly fetches: readonly TestFetch[]
  readonly #parts: Parts
  #disposed = false
  readonly #surroundings: Surroundings

  /** Use `testScript`. */
  constructor(parts: Parts, patience: number) {
    const { script, clock, stopwatch } = parts
    this.#parts = parts
    this.file = script.file
    this.exports = script.exports
    this.clock = clock
    this.fetches = parts.fetches
    this.#surroundings = {
      clock,
      stopwatch,
      patience,
      hook: (phase) => this.#hook(phase),
      abandon: (request) => script.abandon(request),
    }
  }

  /** Calls, errors and overruns of each hook. */
  get stats(): ScriptStats {
    return this.#parts.script.stats
  }

  /** What was logged outside of requests: while loading, by timers of the script's own. */
  get logs(): { readonly level: string; readonly message: string }[] {
    return this.#parts.site.logs.map(({ level, message }) => ({ level, message: fromBytes(message) }))
  }

  /** What is in the session maps now: `script.maps.users.alice`. A copy. */
  get maps(): Record<string, Record<string, unknown>> {
    return this.#parts.site.maps.content
  }

  /** One request through several phases, in the order of the calls: `await script.request({}).rewrite().access()`. */
  request(described: TestRequest = {}): TestedRequest {
    return new TestedRequest(this.#parts.site.request(readRequest(described, this.file)), this.#surroundings)
  }

  /** The upstream group has these servers from now on; its turns and failures begin anew. */
  setServers(servers: readonly (string | DescribedPeer)[]): void {
    this.#parts.site.setServers(servers)
  }

  rewrite(described?: TestRequest): Promise<Decision> {
    return this.#once(described, (request) => request.rewrite())
  }

  access(described?: TestRequest): Promise<Decision> {
    return this.#once(described, (request) => request.access())
  }

  content(described?: TestRequest): Promise<Decision> {
    return this.#once(described, (request) => request.content())
  }

  balancer(described?: TestRequest): Promise<Decision> {
    return this.#once(described, (request) => request.balancer())
  }

  headerFilter(described?: TestRequest): Promise<Decision> {
    return this.#once(described, (request) => request.headerFilter())
  }

  /** @param body of the response, whole or in chunks */
  bodyFilter(body: Body, described?: TestRequest): Promise<Decision> {
    return this.#once(described, (request) => request.bodyFilter(body))
  }

  log(described?: TestRequest): Promise<Decision> {
    return this.#once(described, (request) => request.log())
  }

  wsOpen(described?: TestRequest): Promise<Decision> {
    return this.#once(described, (request) => request.wsOpen())
  }

  /** @param message from the client, unless it says otherwise */
  wsMessage(message: Message, described?: TestRequest): Promise<Decision> {
    return this.#once(described, (request) => request.wsMessage(message))
  }

  wsClose(end?: Closing, described?: TestRequest): Promise<Decision> {
    return this.#once(described, (request) => request.wsClose(end))
  }

  /** Lets go of the sandbox: hooks that wait are dropped. */
  dispose(): void {
    this.#disposed = true
    this.clock.clear()
    this.#parts.script.dispose()
    this.#parts.site.dispose()
  }

  async #once(
    described: TestRequest | undefined,
    run: (request: TestedRequest) => TestedRequest,
  ): Promise<Decision> {
    const request = this.request(described)
    try {
      return await run(request)
    } finally {
      request.end()
    }
  }

  #hook(phase: Phase): PhaseHandler {
    if (this.#disposed) throw new Error(`${this.file} is disposed of`)
    const hook = this.#parts.script.hooks[phase]
    if (hook !== undefined) return hook
    throw new Error(`${this.file} has no ${phase} hook; it exports ${this.exports.join(', ')}`)
  }
}
