/** `sluice try`: where a request would go and why, without sending anything. */
import { resolve } from 'node:path'
import type { Model } from '../config/model.ts'
import { formatProblem, parseConfig } from '../config/parse.ts'
import { Outcome } from '../phases.ts'
import { ArgumentError } from './arguments.ts'
import { refusalText } from './refusal.ts'
import { makeStyle } from './style.ts'
import { parseTryArguments, TRY_HELP, type TryArguments } from './try-arguments.ts'
import type { Entrance } from './try-client.ts'
import { DryGeneration } from './try-generation.ts'
import type { Trace, TraceEvent } from './try-journey.ts'
import { TryJson } from './try-json.ts'
import { type TryOutput, TryReport, type Warm } from './try-report.ts'
import { measureSpread } from './try-spread.ts'

/** ms for which the same request runs again: the median of the later half is what a warm proxy pays for a hook. */
const WARMING = 300

/** Seconds that the hooks of one round of requests may wait in all. */
const MAX_WAIT = 30

/** @returns exit code. @throws ArgumentError with a sentence for the user. */
export async function tryRequest(args: readonly string[]): Promise<number> {
  const asked = parseTryArguments(args)
  if (asked === null) {
    process.stdout.write(TRY_HELP)
    return 0
  }
  const prefix = resolve(asked.prefix ?? '.')
  const model = load(asked, prefix)
  if (model === null) return 1
  let dry: DryGeneration
  try {
    dry = await DryGeneration.compile(model, prefix)
  } catch (error) {
    process.stderr.write(`sluice: [emerg] ${refusalText(error, makeStyle(process.stderr.isTTY))}\n`)
    return 1
  }
  try {
    process.stdout.write(await report(asked, model, prefix, dry))
    return 0
  } finally {
    dry.close()
  }
}

function load(asked: TryArguments, prefix: string): Model | null {
  const { model, problems } = parseConfig({ file: resolve(prefix, asked.config), prefix })
  for (const problem of problems) {
    if (problem.severity === 'error') process.stderr.write(`sluice: [emerg] ${formatProblem(problem)}\n`)
  }
  return model
}

async function report(
  asked: TryArguments,
  model: Model,
  prefix: string,
  dry: DryGeneration,
): Promise<string> {
  const { request, at, vary } = asked
  const report: TryOutput = asked.json
    ? new TryJson()
    : new TryReport(makeStyle(process.stdout.isTTY), process.cwd())
  const entrance = dry.entrance(at, request)
  report.request(request, entrance)
  report.log(dry.loadLog)
  const trace = await dry.run(request, entrance)
  report.trace(trace, await measureHooks(trace, asked, dry, entrance))
  if (vary !== null) {
    // Once more: a first call takes longer than those that follow.
    refuseLong(await dry.run(request, entrance), vary.count)
    report.spread(await measureSpread({ model, prefix, request, at, ...vary }, dry), vary.name)
  }
  return report.toString()
}

/** A hook that waits makes every request of a distribution wait. @throws ArgumentError */
function refuseLong(trace: Trace, count: number): void {
  const waits = hooksOf(trace).reduce((sum, { awaited, took }) => sum + (awaited ? took / 1e6 : 0), 0)
  if (waits * count < MAX_WAIT) return
  throw new ArgumentError(
    `try: hooks of this request wait ${waits.toFixed(1)} s; "-n ${count}" would take too long, ask for fewer`,
  )
}

/** The cost of each hook of a request, by position; null where there is none, or where one waits or fails. */
async function measureHooks(
  trace: Trace,
  asked: TryArguments,
  dry: DryGeneration,
  entrance: Entrance,
): Promise<Warm> {
  const hooks = hooksOf(trace)
  if (hooks.length === 0 || hooks.some(({ awaited, outcome }) => awaited || outcome === Outcome.FAILED))
    return null
  const costs: number[][] = hooks.map(() => [])
  for (const end = performance.now() + WARMING; performance.now() < end; ) {
    const again = hooksOf(await dry.run(asked.request, entrance, true))
    if (again.length !== hooks.length) return null
    for (const [at, { took }] of again.entries()) costs[at].push(took)
  }
  return costs.map((all) => median(all.slice(all.length >> 1)))
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]
}

function hooksOf({ events, after }: Trace) {
  return [...events, ...after]
    .filter((event): event is Extract<TraceEvent, { kind: 'hook' }> => event.kind === 'hook')
    .map(({ hook }) => hook)
}
