// Case `fleet`: from a push at one machine's admin API to the moment at which each of three machines has said that it serves
// by it: three processes, one Redis, loopback.

import { join } from 'node:path'
import { freePorts } from '../lib/ports.ts'
import { RedisServer } from '../lib/redis.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { type Measured, pause, startPinned, waitUntilListening } from './process.ts'
import { markdownTable, median } from './table.ts'
import { SLUICE } from './tools.ts'

const MACHINES = 3
const CORES = '0,1'
/** ms between two pushes, and between two looks at one. */
const BETWEEN = 200
const LOOK = 5

interface Rollout {
  readonly id: string
  readonly state: string
  readonly machines: readonly { readonly state: string }[]
}

const script = (name: string) => `export function content(r) { r.return(200, '${name}') }`

const config = (redis: number, port: number, admin: number, name: string) => `
  error_log error.log notice; pid sluice.pid;
  http {
    access_log off;
    store redis://127.0.0.1:${redis};
    script_fleet on name=${name};
    admin 127.0.0.1:${admin};
    server { listen 127.0.0.1:${port}; location / { script s.js; } }
  }`

/** A table of times. */
export async function fleetCase(pushes: number): Promise<string> {
  const redis = await RedisServer.start()
  const ports = await freePorts(MACHINES)
  const admins = await freePorts(MACHINES)
  const started: Measured[] = []
  try {
    for (const [at, port] of ports.entries()) {
      const folder = join(tempDir('sluice-bench-'), 'machine')
      writeFiles(folder, {
        'sluice.conf': config(redis.port, port, admins[at]!, `machine-${at}`),
        's.js': script('first'),
      })
      const command = [process.execPath, SLUICE, '-p', `${folder}/`, '-c', 'sluice.conf']
      started.push(startPinned(`machine ${at}`, CORES, command))
    }
    await Promise.all(started.map((one, at) => waitUntilListening(one, ports[at]!)))
    const api = `http://127.0.0.1:${admins[0]}/api/v1`
    await allThere(api)
    return table(pushes, await measure(api, pushes))
  } finally {
    await Promise.all(started.map((one) => one.stop()))
    await redis.stop()
  }
}

async function allThere(api: string): Promise<void> {
  for (;;) {
    const { machines = [] } = (await (await fetch(`${api}/fleet`)).json()) as { machines?: unknown[] }
    if (machines.length === MACHINES) return
    await pause(BETWEEN)
  }
}

async function measure(api: string, pushes: number): Promise<number[]> {
  const times: number[] = []
  for (let n = 1; n <= pushes; n++) {
    const began = performance.now()
    const response = await fetch(`${api}/scripts/s.js`, {
      method: 'PUT',
      headers: { 'Content-Type': 'text/javascript' },
      body: script(`${n}`),
    })
    const answer = (await response.json()) as { rollout?: Rollout; detail?: string }
    if (answer.rollout === undefined) throw new Error(answer.detail)
    let { rollout } = answer
    while (rollout.state !== 'done') {
      await pause(LOOK)
      rollout = (await (await fetch(`${api}/rollouts/${rollout.id}`)).json()) as Rollout
    }
    times.push(performance.now() - began)
    if (rollout.machines.some(({ state }) => state !== 'serving')) throw new Error(JSON.stringify(rollout))
    await pause(BETWEEN)
  }
  return times
}

function table(pushes: number, times: readonly number[]): string {
  const values = [median(times), Math.min(...times), Math.max(...times)]
  return markdownTable(
    [`${MACHINES} machines, one Redis, ${pushes} pushes`, 'median', 'least', 'most'],
    [{ name: 'ms from a push until all machines serve by it', values }],
  )
}
