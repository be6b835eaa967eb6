/** The fleet as people read it: its machines and what each serves, and the versions that it has recorded. */
import type { FleetMachine, FleetScript, FleetStatus, FleetVersion } from '../fleet/fleet.ts'
import { printable, SHORT, shareText } from './rollout-text.ts'
import type { Style } from './style.ts'
import { duration, table } from './table.ts'

/** What `/api/v1/fleet` answers with. */
export type FleetAnswer = { readonly on: false } | ({ readonly on: true } & FleetStatus)

/** One line: what this machine is in its fleet. */
export function fleetLine(status: FleetStatus, { green, yellow }: Style): string {
  const { machine, connected, signed, machines } = status
  const name = printable(machine)
  if (!connected) return yellow(`fleet: Redis cannot be reached; ${name} serves what it has`)
  const away = machines.filter((one) => one.away).length
  const drifting = machines.filter(({ drift }) => Object.keys(drift).length > 0).length
  const unchecked = machines.some(({ signs }) => signs) ? machines.filter(({ signs }) => !signs).length : 0
  const isWhole = away === 0 && drifting === 0
  const parts = [
    `${name} is one of ${machines.length} machine${machines.length === 1 ? '' : 's'}`,
    ...(away > 0 ? [yellow(`${away} away`)] : []),
    ...(drifting > 0 ? [yellow(`${drifting} with another version than recorded`)] : []),
    ...(isWhole ? [green('all serve what is recorded')] : []),
    ...(signed ? ['versions are signed'] : []),
    ...(unchecked > 0 ? [yellow(`${unchecked} without script_sign_key`)] : []),
  ]
  return `fleet: ${parts.join(', ')}`
}

/** @param now ms since the epoch */
export function fleetReport(status: FleetStatus, style: Style, now: number): string {
  const { machine: own, machines, scripts } = status
  const told = [fleetLine(status, style), '']
  if (machines.length > 0) {
    const heading = ['machine', 'process', 'program', 'state', 'seen', 'signatures', 'script', 'version', '']
    told.push(table([heading, ...machines.flatMap((one) => machineRows(one, own, style, now))], style.dim))
  }
  if (scripts.length === 0) return [...told, 'no versions are recorded yet\n'].join('\n')
  const heading = ['script', 'version', 'state', 'by', 'at', 'author']
  told.push(table([heading, ...scripts.flatMap((one) => versionRows(one, style))], style.dim))
  return told.join('\n')
}

/** A row for each script; what is said of the machine stands in the first. */
function machineRows(of: FleetMachine, own: string, style: Style, now: number): string[][] {
  const { machine, pid, version, seen, away, signs, scripts, drift } = of
  const state = away ? style.yellow('away') : style.green(machine === own ? 'this one' : 'there')
  const ago = `${duration(Math.max(0, now - seen))} ago`
  const checks = signs ? 'checked' : style.dim('taken as they are')
  const head = [printable(machine), String(pid), printable(version), state, ago, checks]
  const names = [...new Set([...Object.keys(scripts), ...Object.keys(drift)])].sort()
  if (names.length === 0) return [[...head, '', '', '']]
  return names.map((name, at) => {
    const digest = Object.hasOwn(scripts, name) ? short(scripts[name]) : ''
    const why = Object.hasOwn(drift, name) ? style.yellow(printable(drift[name].split('\n')[0])) : ''
    return [...(at === 0 ? head : head.map(() => '')), printable(name), digest, why]
  })
}

function versionRows({ name, supersededBy, live, canary, earlier }: FleetScript, style: Style): string[][] {
  const row = (version: FleetVersion, state: string): string[] => [
    short(version.digest),
    state,
    version.kind,
    new Date(version.at).toISOString().replace('T', ' ').slice(0, 19),
    printable(version.author),
  ]
  const state =
    supersededBy === '' ? style.green('live') : style.dim(`superseded by ${printable(supersededBy)}`)
  const rows = [row(live, state)]
  if (canary !== null) rows.push(row(canary, style.cyan(`canary ${shareText(canary)}`)))
  for (const version of earlier) rows.push(row(version, style.dim('earlier')))
  return rows.map((cells, at) => [at === 0 ? printable(name) : '', ...cells])
}

function short(digest: string): string {
  return printable(digest.slice(0, SHORT))
}
