// Case `workers`: what a second worker on a second core adds, and how long a swap takes four workers under load. Proxy and
// load share the cores: one for one worker, two for two.

import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../lib/ports.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { type LoadResult, load, writeLoadScript } from './load.ts'
import { type Measured, pause, startPinned, waitUntilListening } from './process.ts'
import { markdownTable, median, ratio } from './table.ts'
import { SLUICE } from './tools.ts'

const SETTLE = 500

const script = (name: string) => `
export function content(r) {
  r.headersOut.set('x-version', '${name}')
  r.return(200, 'hello')
}
`

const config = (port: number, workers: number, chat: string) => `
  worker_processes ${workers}; error_log error.log notice; pid sluice.pid;
  http {
    access_log off;
    server {
      listen 127.0.0.1:${port};
      keepalive_requests 1000000000;
      location /chat { ${chat} }
    }
  }`

interface Started {
  readonly folder: string
  readonly port: number
  readonly measured: Measured
}

async function start(workers: number, cores: string, chat: string): Promise<Started> {
  const folder = tempDir('sluice-bench-')
  const port = await freePort()
  writeFiles(folder, { 'sluice.conf': config(port, workers, chat), 'scripts/s.js': script('first') })
  const command = [process.execPath, SLUICE, '-p', `${folder}/`, '-c', 'sluice.conf']
  const measured = startPinned(`${workers} workers`, cores, command)
  await waitUntilListening(measured, port)
  await pause(SETTLE)
  return { folder, port, measured }
}

/** Two tables: requests per second, and swaps. */
export async function workersCase(rounds: number, seconds: number, swaps: number): Promise<string> {
  const loadScript = writeLoadScript(tempDir('sluice-bench-'))
  const one: Speed[] = []
  const two: Speed[] = []
  for (let round = 0; round < rounds; round++) {
    one.push(await throughput(1, '0', loadScript, seconds))
    two.push(await throughput(2, '0,1', loadScript, seconds))
  }
  const speed = markdownTable(
    [
      '64 connections, `return 200`, 43 bytes',
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
  return `${speed}\n\n${await swapTable(loadScript, swaps)}`
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
  const { port, measured } = await start(workers, cores, `return 200 "${'0123456789'.repeat(4)}012";`)
  await load(loadScript, port, 1, cores)
  const before = measured.cpu()
  const result = await load(loadScript, port, seconds, cores)
  const cpu = measured.cpu() - before
  await measured.stop()
  if (result.errors > 0) throw new Error(`${result.errors} requests failed`)
  return { rate: result.requests / result.seconds, cpu: cpu / result.requests }
}

async function swapTable(loadScript: string, swaps: number): Promise<string> {
  const { folder, port, measured } = await start(4, '0,1', 'script scripts/s.js;')
  const times: number[] = []
  const loaded = load(loadScript, port, Math.ceil(swaps * 0.4) + 2)
  await pause(1000)
  for (let n = 1; n <= swaps; n++) {
    const { length } = await swapsIn(folder)
    writeFileSync(join(folder, 'scripts/s.js'), script(`${n}`))
    times.push(await nextSwap(folder, length))
  }
  const { requests, errors }: LoadResult = await loaded
  await measured.stop()
  return markdownTable(
    ['four workers under load', 'median', 'least', 'most'],
    [
      {
        name: `ms of a swap in all of them (${swaps} saves)`,
        values: [median(times), Math.min(...times), Math.max(...times)],
      },
      { name: `requests lost of ${requests}`, values: [errors, null, null] },
    ],
  )
}

/** ms of each swap that the log tells of. */
async function swapsIn(folder: string): Promise<number[]> {
  const log = await readFile(join(folder, 'error.log'), 'latin1')
  return [...log.matchAll(/serves after ([\d.]+) ms/g)].map(([, ms]) => Number(ms))
}

async function nextSwap(folder: string, count: number): Promise<number> {
  for (;;) {
    const times = await swapsIn(folder)
    if (times.length > count) return times[count]!
    await pause(20)
  }
}
