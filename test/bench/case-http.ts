// Cases `plain` and `scripted`: CPU time per small request, all contenders in turn, round after round.

import { request } from 'node:http'
import { tempDir } from '../lib/temp.ts'
import * as configs from './configs.ts'
import {
  type Contender,
  haproxy,
  nginx,
  nodePeer,
  openresty,
  type Running,
  sluice,
  start,
  startUpstreams,
} from './contenders.ts'
import { load, writeLoadScript } from './load.ts'
import { markdownTable, median, type Row, ratio } from './table.ts'
import { whyMissing } from './tools.ts'

/** How long and how often. Seconds. */
export interface Effort {
  readonly rounds: number
  readonly seconds: number
  readonly warmUp: number
}

interface Samples {
  readonly microseconds: number[]
  readonly perSecond: number[]
  errors: number
}

const nginxPlain = nginx((places) => configs.proxyConfig(places, true))

/** hash $arg_userId consistent, four proxy_set_header, keep-alive both sides. */
export function plainCase(effort: Effort): Promise<string> {
  const contenders = [
    nginxPlain,
    haproxy,
    nodePeer('http-proxy', 'http-proxy'),
    nodePeer('fast-proxy', 'fast-proxy'),
    nodePeer('httpxy', 'httpxy'),
    nodePeer('node:http + undici', 'undici'),
    sluice((places) => configs.proxyConfig(places, false)),
  ]
  return compare(contenders, ['nginx', 'http-proxy'], effort)
}

/** access + balancer + headerFilter in scripts. */
export function scriptedCase(effort: Effort): Promise<string> {
  const scripted = (kind: configs.Scripting) => (places: configs.Places) =>
    configs.proxyConfig(places, false, kind)
  const contenders = [
    nginxPlain,
    openresty,
    sluice(scripted('none'), 'Sluice, no hooks'),
    sluice(scripted('empty'), 'Sluice, 3 hooks that do nothing', configs.EMPTY_HOOKS),
    { ...sluice(scripted('working'), 'Sluice, 3 hooks', configs.WORKING_HOOKS), scripted: true },
  ]
  return compare(contenders, ['nginx', 'OpenResty', 'Sluice, no hooks'], effort)
}

/** Measures all contenders in turn, round after round. @param bases what each is compared with */
export async function compare(
  contenders: readonly Contender[],
  bases: readonly string[],
  effort: Effort,
): Promise<string> {
  const missing = whyMissing('wrk')
  if (missing !== null) return missing
  const folder = tempDir('sluice-bench-')
  const upstreams = await startUpstreams(folder)
  const script = writeLoadScript(folder)
  const failures = new Map<string, string>()
  const running: Running[] = []
  for (const contender of contenders) {
    const started = await start(contender, upstreams.ports)
    const failure = typeof started === 'string' ? started : await whyWrong(started, contender)
    if (typeof started !== 'string' && failure === null) running.push(started)
    else failures.set(contender.name, failure!)
  }
  const samples = await measure(running, script, effort)
  for (const { measured } of running) await measured.stop()
  await upstreams.measured.stop()
  return report(contenders, samples, failures, bases)
}

async function measure(
  running: readonly Running[],
  script: string,
  effort: Effort,
): Promise<Map<string, Samples>> {
  const samples = new Map<string, Samples>()
  for (const { name, port } of running) {
    await load(script, port, effort.warmUp)
    samples.set(name, { microseconds: [], perSecond: [], errors: 0 })
  }
  for (let round = 0; round < effort.rounds; round++) {
    for (const one of running) {
      const before = one.measured.cpu()
      const { requests, seconds, errors } = await load(script, one.port, effort.seconds)
      const into = samples.get(one.name)!
      into.microseconds.push((one.measured.cpu() - before) / requests)
      into.perSecond.push(requests / seconds)
      into.errors += errors
    }
  }
  return samples
}

function report(
  contenders: readonly Contender[],
  samples: ReadonlyMap<string, Samples>,
  failures: ReadonlyMap<string, string>,
  bases: readonly string[],
): string {
  const cost = (name: string) => {
    const found = samples.get(name)
    return found === undefined ? undefined : median(found.microseconds)
  }
  const rows = contenders.map(({ name }): Row => {
    const found = samples.get(name)
    if (found === undefined) return { name, values: [], failure: failures.get(name) ?? 'not measured' }
    const microseconds = median(found.microseconds)
    const range = `${Math.min(...found.microseconds).toFixed(1)}-${Math.max(...found.microseconds).toFixed(1)}`
    const ratios = bases.map((base) => ratio(microseconds, cost(base)))
    return {
      name,
      values: [
        microseconds,
        range,
        Math.round(median(found.perSecond)).toString(),
        ...ratios,
        `${found.errors}`,
      ],
    }
  })
  const columns = [
    'proxy',
    'µs/request',
    'range',
    'requests/s',
    ...bases.map((base) => `/ ${base}`),
    'errors',
  ]
  return markdownTable(columns, rows)
}

/** A proxy that does not do the work is not measured: null when it does, else what is wrong. */
async function whyWrong({ measured, port }: Running, contender: Contender): Promise<string | null> {
  try {
    const problem = await firstProblem(port, contender.scripted === true)
    if (problem === null) return null
    await measured.stop()
    return `wrong answer: ${problem}`
  } catch (error) {
    await measured.stop()
    return `wrong answer: ${(error as Error).message}`
  }
}

async function firstProblem(port: number, scripted: boolean): Promise<string | null> {
  const chosen = new Set<string>()
  for (let user = 1; user <= 40; user++) {
    const once = await get(port, `/chat?userId=${user}`)
    const again = await get(port, `/chat?userId=${user}`)
    if (once.status !== 200 || once.body.length !== configs.BODY_SIZE) return `${once.status} ${once.body}`
    if (once.body !== again.body) return `user ${user} reached two upstreams`
    if (scripted && (once.headers['x-served-by'] !== 'bench' || once.headers['x-powered-by'] !== undefined)) {
      return 'headerFilter had no effect'
    }
    chosen.add(once.body)
  }
  if (chosen.size !== 3) return `${chosen.size} of 3 upstreams chosen for 40 users`
  const seen = await get(port, '/seen?userId=7')
  const expected = `chat.example.com 127.0.0.1 127.0.0.1 ${scripted ? '7' : ''}`
  return seen.body === expected ? null : `upstream saw "${seen.body}"`
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

function get(port: number, path: string): Promise<Answer> {
  const headers = { Host: 'chat.example.com', 'X-Api-Key': 'k1' }
  return new Promise((done, fail) => {
    const sent = request({ port, host: '127.0.0.1', path, headers, timeout: 5000 }, (response) => {
      let body = ''
      response.setEncoding('latin1').on('data', (text: string) => (body += text))
      response.on('end', () => done({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    sent.on('timeout', () => sent.destroy(new Error(`no answer to ${path}`)))
    sent.on('error', fail)
    sent.end()
  })
}
