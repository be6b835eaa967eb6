// Case `workers`: what a second worker on a second core adds. Each core has its worker and a load generator of its own, so
// that both rows leave the proxy the same part of a core, and the ratio is the proxy's alone. On a machine that has
// something else to do the last column is the one to look at: it goes by the CPU time of a request.

import { freePort } from '../lib/ports.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { type LoadResult, load, writeLoadScript } from './load.ts'
import { type Measured, pause, startPinned, waitUntilListening } from './process.ts'
import { markdownTable, median, ratio } from './table.ts'
import { SLUICE } from './tools.ts'

const SETTLE = 500
/** Seconds until the compilers of all workers have done their work. */
const WARM_UP = 3

const config = (port: number, workers: number) => `
  worker_processes ${workers}; error_log error.log notice; pid sluice.pid;
  http {
    access_log off;
    server {
      listen 127.0.0.1:${port};
      keepalive_requests 1000000000;
      location /chat { return 200 "${'0123456789'.repeat(4)}012"; }
    }
  }`

interface Started {
  readonly port: number
  readonly measured: Measured
}

async function start(workers: number, cores: string): Promise<Started> {
  const folder = tempDir('sluice-bench-')
  const port = await freePort()
  writeFiles(folder, { 'sluice.conf': config(port, workers) })
  const command = [process.execPath, SLUICE, '-p', `${folder}/`, '-c', 'sluice.conf']
  const measured = startPinned(`${workers} workers`, cores, command)
  await waitUntilListening(measured, port)
  await pause(SETTLE)
  return { port, measured }
}

/** A table: requests per second, and what they cost. */
export async function workersCase(rounds: number, seconds: number): Promise<string> {
  const loadScript = writeLoadScript(tempDir('sluice-bench-'))
  const one: Speed[] = []
  const two: Speed[] = []
  for (let round = 0; round < rounds; round++) {
    one.push(await throughput(1, '0', loadScript, seconds))
    two.push(await throughput(2, '0,1', loadScript, seconds))
  }
  return markdownTable(
    [
      '64 connections for each core, `return 200`, 43 bytes',
      'requests/s',
      'times one',
      'CPU µs of all processes',
      'times one if nothing else ran',
    ],
    [
      { name: 'one worker, one core', values: [...cells(one), null] },
      { name: 'two workers, two cores', values: [...cells(two, one), ratio(2 * cpuOf(one), cpuOf(two))] },
    ],
  )
}

/** Of one round. */
interface Speed {
  /** Requests per second. */
  readonly rate: number
  /** Microseconds for one request. */
  readonly cpu: number
}

const rateOf = (rounds: readonly Speed[]) => median(rounds.map(({ rate }) => rate))
const cpuOf = (rounds: readonly Speed[]) => median(rounds.map(({ cpu }) => cpu))

function cells(rounds: readonly Speed[], base?: readonly Speed[]): (string | number | null)[] {
  const times = base === undefined ? null : ratio(rateOf(rounds), rateOf(base))
  return [Math.round(rateOf(rounds)), times, cpuOf(rounds)]
}

async function throughput(
  workers: number,
  cores: string,
  loadScript: string,
  seconds: number,
): Promise<Speed> {
  const { port, measured } = await start(workers, cores)
  const loadAll = (time: number) =>
    Promise.all(cores.split(',').map((core) => load(loadScript, port, time, core)))
  await loadAll(WARM_UP)
  const before = measured.cpu()
  const results = await loadAll(seconds)
  const cpu = measured.cpu() - before
  await measured.stop()
  const sum = (of: (result: LoadResult) => number) => results.reduce((total, one) => total + of(one), 0)
  const errors = sum((one) => one.errors)
  if (errors > 0) throw new Error(`${errors} requests failed`)
  return { rate: sum((one) => one.requests / one.seconds), cpu: cpu / sum((one) => one.requests) }
}
