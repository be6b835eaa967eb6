/** `sluice status`: what a running proxy is doing. */
import type { ControlStatus, WorkerStatus } from '../control.ts'
import { CLIENT_HELP, type ClientCommand, parseClientCommand, runClient, toJson } from './admin-client.ts'
import { ArgumentError } from './arguments.ts'
import { type FleetAnswer, fleetLine } from './fleet-report.ts'
import { duration, mebibytes, table } from './table.ts'

const HELP = `Usage: sluice status [options]

What the running proxy is doing: its generation, addresses and workers, and the fleet it belongs to.
${CLIENT_HELP}`

type Row = WorkerStatus & { readonly uptime: number }
type Status = Omit<ControlStatus, 'workers'> & { readonly uptime: number; readonly workers: readonly Row[] }

/** @returns exit code @throws ArgumentError */
export function showStatus(args: readonly string[]): Promise<number> {
  const command = parseClientCommand('status', args)
  return runClient(async () => {
    if (command.help) return HELP
    if (command.words.length > 0)
      throw new ArgumentError(`status: "${command.words[0]}" is too much; see status -h`)
    const status: Status = await command.client.get('/api/v1/status', {
      version: '',
      workers: [],
      addresses: [],
    })
    const fleet: FleetAnswer = await command.client.get('/api/v1/fleet', { on: true })
    return command.json ? toJson({ ...status, fleet }) : show(status, fleet, command)
  })
}

function show(status: Status, fleet: FleetAnswer, { style }: ClientCommand): string {
  const { version, pid, uptime, generation, restarts, addresses, workers } = status
  const restarted = restarts === 0 ? '' : `, ${restarts} workers replaced`
  const rows = workers.map((worker) => [
    String(worker.worker),
    String(worker.pid),
    worker.state === 'serving' ? style.green(worker.state) : style.yellow(worker.state),
    String(worker.generation),
    String(worker.connections),
    String(worker.requests),
    mebibytes(worker.memory),
    duration(worker.uptime),
  ])
  const heading = ['worker', 'pid', 'state', 'generation', 'connections', 'requests', 'memory', 'up for']
  return [
    `${style.bold(`sluice ${version}`)}, process ${pid}, up for ${duration(uptime)}${restarted}`,
    `generation ${generation}, listening on ${addresses.join(', ')}`,
    ...(fleet.on ? [fleetLine(fleet, style)] : []),
    '',
    table([heading, ...rows], style.dim),
  ].join('\n')
}
