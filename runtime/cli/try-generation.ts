/**
 * A generation for dry runs: compiled as the proxy compiles it, scripts and all, but without sockets and log files.
 * Takes one request at a time.
 */
import { compileGeneration, type Generation } from '../compile.ts'
import type { HttpModel, Model } from '../config/model.ts'
import type { LogLevel } from '../phases.ts'
import type { Exchange, Services } from '../proxy/exchange.ts'
import type { Step } from '../proxy/step.ts'
import { VERSION } from '../version.ts'
import type { DryRequest } from './try-arguments.ts'
import { type Entrance, findEntrance } from './try-client.ts'
import { DryJourney, type Trace } from './try-journey.ts'
import { Recorder } from './try-recorder.ts'

export class DryGeneration {
  readonly generation: Generation
  readonly #recorder: Recorder
  readonly #running: Running

  private constructor(generation: Generation, recorder: Recorder, running: Running) {
    this.generation = generation
    this.#recorder = recorder
    this.#running = running
  }

  /** @throws as `compileGeneration`. */
  static async compile(model: Model, prefix: string): Promise<DryGeneration> {
    const recorder = new Recorder()
    const running = new Running(prefix)
    const generation = await compileGeneration(
      { ...model, http: model.http === null ? null : (withoutTraces(model.http) as HttpModel) },
      {
        id: 1,
        prefix,
        services: running.services,
        previous: null,
        onRetired: () => undefined,
        probe: recorder,
      },
    )
    generation.rehearse()
    return new DryGeneration(generation, recorder, running)
  }

  /** What was logged while nothing ran: by scripts that were loaded. */
  get loadLog(): readonly string[] {
    return this.#running.loadLog
  }

  entrance(at: string | null, request: DryRequest): Entrance {
    return findEntrance(this.generation, at, request)
  }

  /**
   * @param quiet only decisions and times are of interest
   * @throws ArgumentError when the request is none that a proxy reads.
   */
  async run(request: DryRequest, entrance: Entrance, quiet = false): Promise<Trace> {
    this.#recorder.take()
    this.#recorder.quiet = quiet
    const journey = new DryJourney(this.generation, request, entrance, this.#recorder)
    this.#running.journey = journey
    try {
      return await journey.run()
    } finally {
      this.#running.journey = null
    }
  }

  close(): void {
    this.generation.discard()
  }
}

/** What the steps need of the process around them, for the one journey under way. */
class Running {
  journey: DryJourney | null = null
  readonly loadLog: string[] = []
  readonly services: Services

  constructor(prefix: string) {
    this.services = {
      version: VERSION,
      prefix,
      stats: { accepted: 1, handled: 1, requests: 0, active: 0, reading: 0, writing: 0, waiting: 0 },
      log: (level, message) => this.#log(level, message),
      abandonHook: (x: Exchange) => x.generation.abandonHook(x),
      resume: (x: Exchange, step: Step) => {
        if (this.journey?.x === x) this.journey.resume(step)
      },
    }
  }

  #log(level: LogLevel, message: string): void {
    if (this.journey === null) this.loadLog.push(`[${level}] ${message}`)
    else this.journey.log(level, message)
  }
}

/** Settings that a dry run has none of: it leaves no trace, counts nobody and waits for nobody's turn. */
const WITHOUT: ReadonlySet<string> = new Set(['accessLogs', 'errorLogs', 'limitReqs', 'limitConns'])

function withoutTraces(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutTraces)
  if (value === null || typeof value !== 'object') return value
  const copy: Record<string, unknown> = {}
  for (const [name, inner] of Object.entries(value))
    copy[name] = WITHOUT.has(name) ? [] : withoutTraces(inner)
  return copy
}
