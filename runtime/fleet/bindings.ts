/**
 * Which record is whose, on this machine: machines call one file by different names (`a.js`, `chat/a.js`), each as long as
 * it has to be there. Of several records whose names mean one file, the newest is what it is to serve. Pure.
 */
import { type FleetRecord, isScriptName } from './record.ts'

/** What tells files by names: `MachineScripts`. */
export interface Names {
  /** null: none, or one of several. */
  only(name: string): string | null
}

export class Bindings {
  /** Newest first, by file. */
  readonly #byFile = new Map<string, FleetRecord[]>()
  readonly #names: Names

  constructor(records: Iterable<FleetRecord>, names: Names) {
    this.#names = names
    for (const record of records) {
      const file = names.only(record.name)
      if (file === null) continue
      const before = this.#byFile.get(file)
      if (before === undefined) this.#byFile.set(file, [record])
      else before.push(record)
    }
    for (const all of this.#byFile.values()) all.sort(newestFirst)
  }

  /** What a file is to serve; null: nothing is recorded of it. */
  of(file: string): FleetRecord | null {
    return this.#byFile.get(file)?.[0] ?? null
  }

  /** All that is recorded of a file, the newest first. */
  all(file: string): readonly FleetRecord[] {
    return this.#byFile.get(file) ?? []
  }

  /** Name of the newer record of the same file; '': there is none. */
  superseder({ name, id }: FleetRecord): string {
    const file = this.#names.only(name)
    const newest = file === null ? null : this.of(file)
    return newest === null || newest.id === id ? '' : newest.name
  }

  /** What the fleet calls a file; null: nothing is recorded of it. */
  nameOf(file: string): string | null {
    const name = this.of(file)?.name
    return name !== undefined && isScriptName(name) ? name : null
  }
}

/** Serial numbers grow over all scripts of a fleet; two changes at the same moment may have got the same one. */
function newestFirst(a: FleetRecord, b: FleetRecord): number {
  return b.serial - a.serial || b.at - a.at || (a.id < b.id ? 1 : -1)
}
