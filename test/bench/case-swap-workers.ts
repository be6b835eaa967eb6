// Case `swap-workers`: from a saved script to the moment at which each of four workers serves it, while wrk loads them
// and both cores are full; and what becomes of the requests meanwhile.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../lib/ports.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { type LoadResult, load, writeLoadScript } from './load.ts'
import { type Measured, pause, startPinned, waitUntilListening } from './process.ts'
import { markdownTable, median } from './table.ts'
import { SLUICE } from './tools.ts'

const WORKERS = 4
const CORES = '0,1'
/** ms between two saves. */
const BETWEEN = 300
/** Connections that are opened at a time until each worker has one. */
const DRAW = 32

const script = (name: string) => `
export function content(r) {
  r.headersOut.set('x-version', '${name}')
  r.return(200, 'hello')
}
`

const config = (port: number) => `
  worker_processes ${WORKERS}; error_log error.log notice; pid sluice.pid;
  http {
    access_log off;
    server {
      listen 127.0.0.1:${port};
      keepalive_requests 1000000000;
      location /chat { script s.js; }
      location = /who { return 200 $pid; }
    }
  }`

/** A table: times, and requests lost. */
export async function swapWorkersCase(saves: number): Promise<string> {
  const folder = tempDir('sluice-bench-')
  const port = await freePort()
  writeFiles(folder, { 'sluice.conf': config(port), 's.js': script('first') })
  const command = [process.execPath, SLUICE, '-p', `${folder}/`, '-c', 'sluice.conf']
  const measured = startPinned(`${WORKERS} workers`, CORES, command)
  await waitUntilListening(measured, port)
  try {
    return await measure({ folder, port, measured }, saves)
  } finally {
    await measured.stop()
  }
}

interface Site {
  readonly folder: string
  readonly port: number
  readonly measured: Measured
}

async function measure({ folder, port }: Site, saves: number): Promise<string> {
  const probes = await oneOfEach(port)
  const seconds = Math.ceil((saves * (BETWEEN + 200)) / 1000) + 2
  const loaded = load(writeLoadScript(folder), port, seconds, CORES)
  await pause(1000)
  const times: number[] = []
  for (let n = 1; n <= saves; n++) {
    const began = performance.now()
    writeFileSync(join(folder, 's.js'), script(`${n}`))
    await Promise.all(probes.map((probe) => untilVersion(probe, `${n}`)))
    times.push(performance.now() - began)
    await pause(BETWEEN)
  }
  const { requests, errors }: LoadResult = await loaded
  for (const probe of probes) probe.close()
  const swaps = swapTimes(folder)
  return markdownTable(
    [`${WORKERS} workers, 64 connections, ${saves} saves`, 'median', 'least', 'most'],
    [
      row('ms from a save to the last worker that serves it', times),
      row('ms of these in which the workers make ready and switch', swaps),
      { name: `requests lost of ${requests}`, values: [errors, null, null] },
    ],
  )
}

function row(name: string, times: readonly number[]) {
  return { name, values: [median(times), Math.min(...times), Math.max(...times)] }
}

/** A connection to each worker. */
async function oneOfEach(port: number): Promise<HttpClient[]> {
  const found = new Map<string, HttpClient>()
  for (let round = 0; found.size < WORKERS; round++) {
    if (round === 50) throw new Error(`only ${found.size} of ${WORKERS} workers answer`)
    const clients = Array.from({ length: DRAW }, () => new HttpClient(port, { timeout: 10_000 }))
    const pids = await Promise.all(clients.map(async (client) => (await client.get('/who')).body))
    for (const [i, pid] of pids.entries()) {
      if (found.has(pid)) clients[i]!.close()
      else found.set(pid, clients[i]!)
    }
  }
  return [...found.values()]
}

async function untilVersion(probe: HttpClient, version: string): Promise<void> {
  while ((await probe.get('/chat')).header('x-version') !== version);
}

/** What the log tells of each swap. */
function swapTimes(folder: string): number[] {
  const log = readFileSync(join(folder, 'error.log'), 'latin1')
  return [...log.matchAll(/serves after ([\d.]+) ms/g)].map(([, ms]) => Number(ms))
}
