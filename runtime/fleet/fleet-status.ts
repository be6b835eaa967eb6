/** The fleet as its Redis shows it, and as this machine knows it where Redis is away. Pure. */
import { MACHINE_NAME } from '../config/directives-fleet.ts'
import type { FleetMachine, FleetScript } from './fleet.ts'
import type { Overview } from './fleet-redis.ts'
import type { Words } from './member.ts'
import { DIGEST, type FleetRecord, isScriptName, MAX_REASON, MAX_SEALED } from './record.ts'
import type { Seal } from './seal.ts'
import { countOf, linesOf, Malformed, matchOf, membersOf, parseJson, textOf } from './strict.ts'

/** ms without a sign of life after which a machine is away. */
export const AWAY = 15_000
/** Numbers of the process and a blank stand before the words. */
const WORDS = 17

/** The machines that have said something sensible of themselves, by name. */
export function machinesOf({ now, machines }: Overview): FleetMachine[] {
  const read = machines.flatMap(({ machine, seen, words }) => {
    try {
      const { pid, version, scripts, drift } = readWords(words.slice(WORDS))
      const name = matchOf(machine, 'the name', MACHINE_NAME)
      return [{ machine: name, pid, version, seen, away: now - seen > AWAY, scripts, drift }]
    } catch (error) {
      if (error instanceof Malformed) return []
      throw error
    }
  })
  return read.sort((a, b) => (a.machine < b.machine ? -1 : 1))
}

function readWords(text: string): Words {
  const { pid, version, scripts, drift } = membersOf(parseJson(text, MAX_SEALED), 'what it says')
  return {
    pid: countOf(pid, 'its process'),
    version: textOf(version, 'its version', 64),
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
export function scriptsOf({ records }: Overview, seal: Seal): FleetScript[] {
  return [...records].flatMap(([name, text]) => {
    try {
      const record = seal.openRecord(text)
      return record.name === name ? [scriptOf(record)] : []
    } catch (error) {
      if (error instanceof Malformed) return []
      throw error
    }
  })
}

export function scriptOf({ name, serial, live, canary, earlier }: FleetRecord): FleetScript {
  return { name, serial, live, canary, earlier }
}
