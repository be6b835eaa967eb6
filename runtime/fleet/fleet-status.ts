/** The fleet as its Redis shows it, and as this machine knows it where Redis is away. Pure. */
import { MACHINE_NAME } from '../config/directives-fleet.ts'
import { Bindings, type Names } from './bindings.ts'
import type { FleetMachine, FleetScript } from './fleet.ts'
import type { Overview } from './fleet-redis.ts'
import type { Words } from './member.ts'
import { DIGEST, type FleetRecord, isScriptName, MAX_REASON, MAX_SEALED } from './record.ts'
import type { Seal } from './seal.ts'
import { countOf, linesOf, Malformed, matchOf, membersOf, parseJson, textOf } from './strict.ts'

/** ms without a sign of life after which a machine is away. */
export const AWAY = 15_000
/** Hex digits of a digest that people read. */
const SHORT = 12
/** Numbers of the process and a blank stand before the words. */
const WORDS = 17

/** The machines that have said something sensible of themselves, by name. */
export function machinesOf({ now, machines }: Overview): FleetMachine[] {
  const read = machines.flatMap(({ machine, seen, words }) => {
    try {
      const { pid, version, signs, scripts, drift } = readWords(words.slice(WORDS))
      const name = matchOf(machine, 'the name', MACHINE_NAME)
      return [{ machine: name, pid, version, seen, away: now - seen > AWAY, signs, scripts, drift }]
    } catch (error) {
      if (error instanceof Malformed) return []
      throw error
    }
  })
  return read.sort((a, b) => (a.machine < b.machine ? -1 : 1))
}

function readWords(text: string): Words {
  const { pid, version, signs, scripts, drift } = membersOf(parseJson(text, MAX_SEALED), 'what it says')
  return {
    pid: countOf(pid, 'its process'),
    version: textOf(version, 'its version', 64),
    signs: signs === true,
    scripts: mapOf(scripts, (digest) => matchOf(digest, 'a digest', DIGEST)),
    drift: mapOf(drift, (reason) => linesOf(reason, 'a reason', MAX_REASON)),
  }
}

function mapOf(value: unknown, read: (value: unknown) => string): Record<string, string> {
  const entries = Object.entries(membersOf(value, 'a list')).map(([name, one]) => {
    if (!isScriptName(name)) throw new Malformed('a script has no name')
    return [name, read(one)]
  })
  return Object.fromEntries(entries)
}

/** What is recorded, as far as this machine accepts it. */
export function scriptsOf({ records }: Overview, seal: Seal, names: Names): FleetScript[] {
  const accepted = [...records].flatMap(([name, text]) => {
    try {
      const record = seal.openRecord(text)
      return record.name === name ? [record] : []
    } catch (error) {
      if (error instanceof Malformed) return []
      throw error
    }
  })
  return scriptsIn(accepted, names)
}

export function scriptsIn(records: readonly FleetRecord[], names: Names): FleetScript[] {
  const bindings = new Bindings(records, names)
  return records.map((record) => {
    const { name, serial, live, canary, earlier } = record
    return { name, serial, supersededBy: bindings.superseder(record), live, canary, earlier }
  })
}

/** What a machine has said of itself may be older than what is recorded. */
export function compared(machines: readonly FleetMachine[], scripts: readonly FleetScript[]): FleetMachine[] {
  return machines.map((machine) => {
    const drift: Record<string, string> = { ...machine.drift }
    for (const { name, live, supersededBy } of scripts) {
      const digest = Object.hasOwn(machine.scripts, name) ? machine.scripts[name] : live.digest
      if (digest !== live.digest && supersededBy === '' && !Object.hasOwn(drift, name))
        drift[name] = `version ${digest.slice(0, SHORT)} serves, by what it has said last`
    }
    return { ...machine, drift }
  })
}
