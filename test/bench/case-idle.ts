// Case `idle`: thousands of connections that do nothing after their first exchange; resident memory for each.

import { spawnSync } from 'node:child_process'
import { freePort } from '../lib/ports.ts'
import { tempDir } from '../lib/temp.ts'
import { fileLimit, idleConfig, type Places, setFileLimit } from './configs.ts'
import {
  type Contender,
  helperPath,
  nginx,
  sluice,
  start,
  startHelper,
  startUpstreams,
} from './contenders.ts'
import { LOAD_CORE, type Measured, pause, startPinned } from './process.ts'
import { markdownTable, type Row } from './table.ts'
import { programPath } from './tools.ts'

const KINDS = ['keepalive', 'websocket'] as const
type Kind = (typeof KINDS)[number]

const TITLES = { keepalive: 'HTTP keep-alive', websocket: 'WebSocket tunnel' }
const OWN_FILES = 500
const SETTLE = 3000

/** A table with a row for each kind of connection and proxy; each in a fresh process. */
export async function idleCase(wanted: number): Promise<string> {
  setFileLimit(openFileLimit())
  const upstreams = await startUpstreams(tempDir('sluice-bench-'))
  const tunnelPort = await freePort()
  const tunnel = await startHelper('tunnel-upstream.js', tunnelPort)
  const rows: Row[] = []
  for (const kind of KINDS) {
    // A tunnel takes two files of the proxy.
    const count = Math.min(wanted, Math.floor((fileLimit() - OWN_FILES) / (kind === 'websocket' ? 2 : 1)))
    for (const forNginx of [true, false]) {
      const text = (places: Places) => idleConfig(places, tunnelPort, forNginx)
      rows.push(await measure(forNginx ? nginx(text) : sluice(text), kind, count, upstreams.ports))
    }
  }
  await tunnel.stop()
  await upstreams.measured.stop()
  return markdownTable(['connections', 'number', 'RSS before MiB', 'RSS with them MiB', 'KiB each'], rows)
}

async function measure(
  contender: Contender,
  kind: Kind,
  count: number,
  upstreams: readonly number[],
): Promise<Row> {
  const name = `${contender.name}, ${TITLES[kind]}`
  const started = await start(contender, upstreams)
  if (typeof started === 'string') return { name, values: [], failure: started }
  const warmUp = await hold(kind, started.port, 100)
  if (typeof warmUp !== 'string') await warmUp.stop()
  await pause(SETTLE)
  const before = started.measured.memory().now
  const client = await hold(kind, started.port, count)
  if (typeof client === 'string') {
    await started.measured.stop()
    return { name, values: [], failure: client }
  }
  await pause(SETTLE)
  const after = started.measured.memory().now
  await client.stop()
  await started.measured.stop()
  return { name, values: [`${count}`, before / 1024, after / 1024, (after - before) / count] }
}

/** Opens connections and keeps them until the returned process is stopped; or says why it could not. */
async function hold(kind: Kind, port: number, count: number): Promise<Measured | string> {
  const command = [process.execPath, helperPath('idle-client.js'), kind, String(port), String(count)]
  const client = startPinned('idle client', LOAD_CORE, command)
  const deadline = Date.now() + 60_000
  while (!client.output.includes('READY')) {
    if (client.ended !== null || Date.now() > deadline) {
      await client.stop()
      return `not all connections came up: ${client.output.trim() || client.ended || 'too slow'}`
    }
    await pause(50)
  }
  return client
}

/** Open files that a child may have: the hard limit, which node takes for itself and nginx is told to. */
function openFileLimit(): number {
  const { stdout } = spawnSync(programPath('prlimit'), ['--nofile', '--noheadings', '-o', 'HARD'], {
    encoding: 'utf8',
  })
  const limit = Number(stdout?.trim())
  return Number.isSafeInteger(limit) && limit > 0 ? Math.min(limit, 65_536) : fileLimit()
}
