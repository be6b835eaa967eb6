// Case `bulk`: one large download and one large upload at a time; CPU seconds per GiB and peak resident memory.

import { closeSync, ftruncateSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../lib/ports.ts'
import { tempDir } from '../lib/temp.ts'
import { bulkConfig } from './configs.ts'
import { helperPath, nginx, type Running, sluice, start, startHelper, startUpstreams } from './contenders.ts'
import { LOAD_CORE, startPinned } from './process.ts'
import { markdownTable, median, type Row, ratio } from './table.ts'

export interface BulkEffort {
  readonly rounds: number
  readonly mebibytes: number
}

interface Samples {
  readonly cpu: number[]
  readonly seconds: number[]
  peak: number
}

const DIRECTIONS = ['download', 'upload'] as const
type Direction = (typeof DIRECTIONS)[number]

/** A table with a row for each direction and proxy. */
export async function bulkCase({ rounds, mebibytes }: BulkEffort): Promise<string> {
  const folder = tempDir('sluice-bench-')
  makeSparseFile(join(folder, 'big'), mebibytes * 2 ** 20)
  const upstreams = await startUpstreams(folder)
  const sinkPort = await freePort()
  const sink = await startHelper('sink.js', sinkPort)
  const contenders = [true, false].map((forNginx) => {
    const text = (places: Parameters<typeof bulkConfig>[0]) => bulkConfig(places, sinkPort, forNginx)
    return forNginx ? nginx(text) : sluice(text)
  })
  const failures = new Map<string, string>()
  const running: Running[] = []
  for (const contender of contenders) {
    const started = await start(contender, upstreams.ports)
    if (typeof started === 'string') failures.set(contender.name, started)
    else running.push(started)
  }
  const rows: Row[] = []
  for (const direction of DIRECTIONS) {
    const samples = await measure(running, direction, mebibytes, rounds, failures)
    for (const { name } of contenders) rows.push(row(name, direction, samples, failures))
  }
  for (const { measured } of [...running, { measured: sink }, upstreams]) await measured.stop()
  return markdownTable([`${mebibytes} MiB`, 'CPU s/GiB', '/ nginx', 'peak RSS MiB', 'wall s'], rows)
}

async function measure(
  running: readonly Running[],
  direction: Direction,
  mebibytes: number,
  rounds: number,
  failures: Map<string, string>,
): Promise<Map<string, Samples>> {
  const samples = new Map<string, Samples>()
  for (let round = 0; round < rounds; round++) {
    for (const { name, measured, port } of running) {
      if (failures.has(`${name} ${direction}`)) continue
      measured.resetPeak()
      const before = measured.cpu()
      const outcome = await transfer(direction, port, mebibytes * 2 ** 20)
      if (typeof outcome === 'string') {
        failures.set(`${name} ${direction}`, outcome)
        continue
      }
      const into = samples.get(name) ?? { cpu: [], seconds: [], peak: 0 }
      into.cpu.push((measured.cpu() - before) / 1e6 / (mebibytes / 1024))
      into.seconds.push(outcome)
      into.peak = Math.max(into.peak, measured.memory().peak / 1024)
      samples.set(name, into)
    }
  }
  return samples
}

function row(
  name: string,
  direction: Direction,
  samples: Map<string, Samples>,
  failures: Map<string, string>,
): Row {
  const title = `${name}, ${direction}`
  const failure = failures.get(name) ?? failures.get(`${name} ${direction}`)
  const found = samples.get(name)
  if (failure !== undefined || found === undefined)
    return { name: title, values: [], failure: failure ?? 'not measured' }
  const base = samples.get('nginx')
  const cost = median(found.cpu)
  return {
    name: title,
    values: [
      cost.toFixed(2),
      ratio(cost, base && median(base.cpu)),
      found.peak,
      median(found.seconds).toFixed(2),
    ],
  }
}

/** One body through the proxy; seconds that it took, or what went wrong. */
async function transfer(direction: Direction, port: number, bytes: number): Promise<number | string> {
  const command = [process.execPath, helperPath('bulk-client.js'), direction, String(port), String(bytes)]
  const client = startPinned('bulk client', LOAD_CORE, command)
  await new Promise((done) => client.child.once('close', done))
  const match = /^SECONDS ([\d.]+)$/m.exec(client.output)
  return match === null ? `${direction} failed: ${client.output.trim()}` : Number(match[1])
}

function makeSparseFile(path: string, size: number): void {
  const file = openSync(path, 'w')
  ftruncateSync(file, size)
  closeSync(file)
}
