// `npm run bench`: Sluice beside its peers on this machine, in one run.
//
//   npm run bench                      every case
//   npm run bench -- plain scripted    some: plain, scripted, bulk, idle, websocket, swap, stall, workers, swap-workers,
//                                      map, sessions
//   npm run bench -- --quick           short rounds, small bodies, few connections: does it work at all
//
// Numbers go to standard output as markdown, progress to standard error.

import { bulkCase } from './case-bulk.ts'
import { fleetCase } from './case-fleet.ts'
import { plainCase, scriptedCase } from './case-http.ts'
import { idleCase } from './case-idle.ts'
import { mapCase } from './case-map.ts'
import { sessionsCase } from './case-sessions.ts'
import { stallCase } from './case-stall.ts'
import { swapCase } from './case-swap.ts'
import { swapWorkersCase } from './case-swap-workers.ts'
import { webSocketCase } from './case-websocket.ts'
import { workersCase } from './case-workers.ts'
import { machineText } from './tools.ts'

interface Case {
  readonly name: string
  readonly title: string
  run(quick: boolean): Promise<string>
}

const QUICK = { rounds: 1, seconds: 1, warmUp: 1 }
const FULL = { rounds: 7, seconds: 4, warmUp: 4 }

const CASES: readonly Case[] = [
  {
    name: 'plain',
    title:
      'Plain proxying: `hash $arg_userId consistent`, four `proxy_set_header`; 64 connections, 43-byte response',
    run: (quick) => plainCase(quick ? QUICK : FULL),
  },
  {
    name: 'scripted',
    title:
      'Scripted: access (read a header, set one), balancer (consistent hash), headerFilter (set one, remove one)',
    run: (quick) => scriptedCase(quick ? QUICK : FULL),
  },
  {
    name: 'bulk',
    title: 'Large bodies: CPU time and peak memory of the proxy',
    run: (quick) =>
      quick ? bulkCase({ rounds: 1, mebibytes: 64 }) : bulkCase({ rounds: 3, mebibytes: 1024 }),
  },
  {
    name: 'idle',
    title: 'Idle connections: growth of resident memory',
    run: (quick) => idleCase(quick ? 500 : 10_000),
  },
  {
    name: 'swap',
    title: 'Swaps: a saved script, and what a generation holds',
    run: (quick) => (quick ? swapCase(5, 5) : swapCase(30, 50)),
  },
  {
    name: 'stall',
    title: 'Hostile scripts: CPU time for which one keeps the event loop',
    run: (quick) => stallCase(quick ? 1 : 3),
  },
  {
    name: 'websocket',
    title: 'WebSocket echo: 64-byte messages, 64 connections',
    run: (quick) => webSocketCase(quick ? QUICK : { rounds: 5, seconds: 2, warmUp: 2 }),
  },
  {
    name: 'workers',
    title: 'Workers: two on two cores beside one',
    run: (quick) => (quick ? workersCase(1, 1) : workersCase(5, 3)),
  },
  {
    name: 'swap-workers',
    title: 'Swaps of four workers under load',
    run: (quick) => swapWorkersCase(quick ? 5 : 30),
  },
  {
    name: 'fleet',
    title: 'A fleet: a push until all machines serve by it',
    run: (quick) => fleetCase(quick ? 3 : 20),
  },
  {
    name: 'map',
    title: 'Session maps: what a hit adds to a request',
    run: (quick) => mapCase(quick ? QUICK : { rounds: 5, seconds: 3, warmUp: 8 }),
  },
  {
    name: 'sessions',
    title: 'Session maps: memory of many sessions with 16-byte values',
    run: (quick) => sessionsCase(quick ? 50_000 : 1_000_000),
  },
]

const args = process.argv.slice(2)
const quick = args.includes('--quick')
const names = args.filter((arg) => arg !== '--quick')
const unknown = names.find((name) => !CASES.some((one) => one.name === name))

if (unknown !== undefined) {
  process.stderr.write(
    `no case "${unknown}"; there are ${CASES.map((one) => one.name).join(', ')}, and --quick\n`,
  )
  process.exit(1)
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

const chosen = CASES.filter(({ name }) => names.length === 0 || names.includes(name))
const texts: string[] = []
for (const one of chosen) {
  process.stderr.write(`bench: ${one.name} …\n`)
  texts.push(`### ${one.title}\n\n${await one.run(quick)}\n`)
}
process.stdout.write(`${machineText()}\n\n${texts.join('\n')}`)
