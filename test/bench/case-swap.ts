// Case `swap`: from a saved script file to the first request that it serves, with many scripts loaded; and what a
// generation holds that cannot go yet because a request is still in it.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../lib/ports.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { type Measured, PROXY_CORE, pause, startPinned, waitUntilListening } from './process.ts'
import { markdownTable, median } from './table.ts'
import { SLUICE } from './tools.ts'

const SETTLE = 1000

/** A script of the usual size: a few helpers, two hooks, some state. */
const script = (name: string) => `
const seen = new Map()
const limit = Number(sluice.params.limit ?? 100)

function tooMany(user) {
  const count = (seen.get(user) ?? 0) + 1
  seen.set(user, count % limit)
  return count > 1e9
}

export function access(r) {
  const user = r.variables.arg_user ?? 'nobody'
  if (tooMany(user)) return r.return(429, 'slow down')
}

export async function content(r) {
  if (r.args.hold !== undefined) await new Promise((done) => setTimeout(done, 600000))
  r.headersOut.set('x-version', '${name}')
  r.return(200, 'hello')
}
`

const config = (port: number, scripts: number) => `
  error_log error.log notice; pid sluice.pid;
  http {
    access_log off;
    script_limits wall=1h;
    server {
      listen 127.0.0.1:${port};
      keepalive_requests 1000000;
      ${Array.from({ length: scripts }, (_, n) => `location /${n}/ { script scripts/${n}.js; }`).join('\n')}
    }
  }`

interface Started {
  readonly folder: string
  readonly port: number
  readonly measured: Measured
}

async function startWith(scripts: number): Promise<Started> {
  const folder = tempDir('sluice-bench-')
  const port = await freePort()
  const files = Array.from({ length: scripts }, (_, n) => [`scripts/${n}.js`, script('first')])
  writeFiles(folder, { ...Object.fromEntries(files), 'sluice.conf': config(port, scripts) })
  const command = [process.execPath, SLUICE, '-p', `${folder}/`, '-c', 'sluice.conf']
  const measured = startPinned(`${scripts} scripts`, PROXY_CORE, command)
  await waitUntilListening(measured, port)
  return { folder, port, measured }
}

/** A table with a row for each number of scripts, and the memory of a generation. */
export async function swapCase(saves: number, generations: number): Promise<string> {
  const rows = []
  for (const scripts of [1, 100]) {
    const times = await swapTimes(scripts, saves)
    const values = [median(times), Math.min(...times), Math.max(...times)]
    rows.push({ name: `${scripts} script${scripts === 1 ? '' : 's'} loaded, one saved`, values })
  }
  const times = markdownTable(['ms from save to first request served', 'median', 'least', 'most'], rows)
  const held = await heldMemory(generations)
  const loaded = await loadedMemory(generations)
  const memory = markdownTable(
    ['resident memory', 'KiB'],
    [
      { name: `a generation with one script (${generations} held at once)`, values: [held] },
      { name: `a script (${generations} loaded)`, values: [loaded] },
    ],
  )
  return `${times}\n\n${memory}`
}

async function swapTimes(scripts: number, saves: number): Promise<number[]> {
  const { folder, port, measured } = await startWith(scripts)
  const client = new HttpClient(port)
  const times: number[] = []
  // The first one is for warming up.
  for (let n = 0; n <= saves; n++) {
    await pause(100)
    const began = performance.now()
    writeFileSync(join(folder, `scripts/${scripts >> 1}.js`), script(`${n}`))
    while ((await client.get(`/${scripts >> 1}/`)).header('x-version') !== `${n}`);
    if (n > 0) times.push(performance.now() - began)
  }
  client.close()
  await measured.stop()
  return times
}

/** KiB of each of so many generations that a request holds. */
async function heldMemory(generations: number): Promise<number> {
  const { folder, port, measured } = await startWith(1)
  const client = new HttpClient(port)
  const held: HttpClient[] = []
  const swap = async (n: number) => {
    writeFileSync(join(folder, 'scripts/0.js'), script(`${n}`))
    while ((await client.get('/0/')).header('x-version') !== `${n}`);
  }
  for (let n = 0; n < 10; n++) await swap(n)
  await pause(SETTLE)
  const before = measured.memory().now
  for (let n = 0; n < generations; n++) {
    const holder = new HttpClient(port)
    // Never answered: it ends with its connection.
    holder.get('/0/?hold').catch(() => undefined)
    held.push(holder)
    await client.get('/0/')
    await swap(100 + n)
  }
  await pause(SETTLE)
  const after = measured.memory().now
  for (const holder of held) holder.close()
  client.close()
  await measured.stop()
  return (after - before) / generations
}

/** KiB of each of so many scripts. */
async function loadedMemory(scripts: number): Promise<number> {
  const sizes: number[] = []
  for (const count of [1, 1 + scripts]) {
    const { port, measured } = await startWith(count)
    const client = new HttpClient(port)
    for (let n = 0; n < count; n++) await client.get(`/${n}/`)
    await pause(SETTLE)
    sizes.push(measured.memory().now)
    client.close()
    await measured.stop()
  }
  return (sizes[1]! - sizes[0]!) / scripts
}
