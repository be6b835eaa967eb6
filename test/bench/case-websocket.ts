// Case `websocket`: CPU time of the proxy for each round trip of a small WebSocket message.

import { freePort } from '../lib/ports.ts'
import type { Effort } from './case-http.ts'
import { idleConfig, type Places } from './configs.ts'
import { type Contender, helperPath, nginx, type Running, sluice, start, startHelper } from './contenders.ts'
import { LOAD_CORE, type Measured, pause, startPinned } from './process.ts'
import { markdownTable, median, type Row, ratio } from './table.ts'

const CONNECTIONS = 64
const UPSTREAMS = [1, 1, 1]
const HOOK = 'export function wsMessage(r, msg, ws) {}\n'
const END_HOOK = 'export function wsClose(r, info, ws) {}\n'

/** A proxy with a client of its own. */
interface Taking {
  readonly name: string
  readonly running: Running
  readonly client: Measured
  readonly microseconds: number[]
  readonly perSecond: number[]
}

/** nginx and Sluice passing raw bytes, and Sluice speaking WebSocket itself. */
export async function webSocketCase({ rounds, seconds, warmUp }: Effort): Promise<string> {
  const echoPort = await freePort()
  const echo = await startHelper('echo-upstream.js', echoPort)
  const text = (forNginx: boolean, script: boolean) => (places: Places) =>
    idleConfig(places, echoPort, forNginx, script)
  const contenders = [
    nginx(text(true, false), 'nginx, raw bytes'),
    sluice(text(false, false), 'Sluice, raw bytes'),
    sluice(text(false, true), 'Sluice, a wsClose hook', END_HOOK),
    sluice(text(false, true), 'Sluice, a wsMessage hook that returns nothing', HOOK),
  ]
  const failures = new Map<string, string>()
  const taking: Taking[] = []
  for (const contender of contenders) {
    const one = await join(contender, warmUp)
    if (typeof one === 'string') failures.set(contender.name, one)
    else taking.push(one)
  }
  // One after the other, round after round: what disturbs the machine disturbs all.
  for (let round = 0; round < rounds; round++) for (const one of taking) await measure(one, seconds)
  for (const { client, running } of taking) {
    client.child.kill('SIGCONT')
    await client.stop()
    await running.measured.stop()
  }
  await echo.stop()
  return report(contenders, taking, failures)
}

/** Starts a proxy and its client; the client is left stopped. Or says why it could not. */
async function join(contender: Contender, warmUp: number): Promise<Taking | string> {
  const running = await start(contender, UPSTREAMS)
  if (typeof running === 'string') return running
  const command = [process.execPath, helperPath('echo-client.js'), String(running.port), String(CONNECTIONS)]
  const client = startPinned('echo client', LOAD_CORE, command)
  try {
    await said(client, /READY/)
    await pause(1000 * warmUp)
    client.child.kill('SIGSTOP')
    return { name: contender.name, running, client, microseconds: [], perSecond: [] }
  } catch (error) {
    await client.stop()
    await running.measured.stop()
    return (error as Error).message
  }
}

async function measure({ client, running, microseconds, perSecond }: Taking, seconds: number): Promise<void> {
  client.child.kill('SIGCONT')
  const [trips, cpu] = [await count(client), running.measured.cpu()]
  await pause(1000 * seconds)
  const [moreTrips, moreCpu] = [await count(client), running.measured.cpu()]
  client.child.kill('SIGSTOP')
  microseconds.push((moreCpu - cpu) / (moreTrips - trips))
  perSecond.push((moreTrips - trips) / seconds)
}

async function count(client: Measured): Promise<number> {
  client.output = ''
  client.child.kill('SIGUSR2')
  return Number((await said(client, /TRIPS (\d+)\n/))[1])
}

async function said(client: Measured, what: RegExp): Promise<RegExpExecArray> {
  const deadline = Date.now() + 10_000
  for (;;) {
    const match = what.exec(client.output)
    if (match !== null) return match
    if (client.ended !== null || Date.now() > deadline)
      throw new Error(`the client gave up: ${client.output.trim() || client.ended || 'too slow'}`)
    await pause(5)
  }
}

function report(
  contenders: readonly Contender[],
  taking: readonly Taking[],
  failures: ReadonlyMap<string, string>,
): string {
  const base = taking.find(({ name }) => name === contenders[0]!.name)
  const nginxCost = base === undefined ? undefined : median(base.microseconds)
  const rows = contenders.map(({ name }): Row => {
    const found = taking.find((one) => one.name === name)
    if (found === undefined) return { name, values: [], failure: failures.get(name) ?? 'not measured' }
    const microseconds = median(found.microseconds)
    const perSecond = Math.round(median(found.perSecond)).toString()
    return { name, values: [microseconds, perSecond, ratio(microseconds, nginxCost)] }
  })
  return markdownTable(['proxy', 'µs/round trip', 'round trips/s', '/ nginx'], rows)
}
