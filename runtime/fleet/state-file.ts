/**
 * What this machine has taken over from the fleet, kept on its disk: so that a restart without Redis goes on with it, and
 * that no older record is taken over later. A file that cannot be read or written costs that, and nothing else.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { MACHINE_NAME } from '../config/directives-fleet.ts'
import { replaceFile } from '../lib/atomic-write.ts'
import { DIGEST, isScriptName, MAX_SEALED } from './record.ts'
import { countOf, Malformed, matchOf, membersOf, parseJson, textOf } from './strict.ts'

/** Of one script. */
export interface Applied {
  readonly serial: number
  /** As it was in Redis. */
  readonly record: string
  /** Digest of what it is to serve. */
  readonly live: string
  /** File of the canary beside the script; '': there is none. */
  readonly canary: string
}

/** Characters: of the file, and of where a fleet meets. */
const MAX_PLACE = 4096
const MAX_STATE = 64 * 1024 * 1024
const PATH = /^[^\0]{0,4096}$/s

export class FleetState {
  readonly path: string
  readonly machine: string
  readonly #place: string
  readonly #log: Log
  readonly #scripts: Map<string, Applied>
  #isTold = false

  private constructor(
    { path, name, place }: StateOptions & { readonly name: string },
    scripts: Map<string, Applied>,
    log: Log,
  ) {
    this.path = path
    this.machine = name
    this.#place = place
    this.#scripts = scripts
    this.#log = log
  }

  /** Changes nothing yet. @param log is told what is wrong with the file */
  static open({ path, name, place }: StateOptions, log: Log): FleetState {
    const known = read(path, log)
    const isSame = known.place === place
    if (!isSame && known.scripts.size > 0)
      log(
        'warn',
        `${path} is of another fleet (${known.place}); this machine takes over anew what is recorded at ${place}`,
      )
    const scripts = isSame ? known.scripts : new Map<string, Applied>()
    return new FleetState({ path, place, name: name ?? known.machine ?? inventName() }, scripts, log)
  }

  /** It is this machine's from now on. */
  begin(): void {
    this.#save()
  }

  get names(): readonly string[] {
    return [...this.#scripts.keys()]
  }

  /** Of the last record that was taken over, of any script; 0: none. */
  get serial(): number {
    return Math.max(0, ...[...this.#scripts.values()].map(({ serial }) => serial))
  }

  get(name: string): Applied | null {
    return this.#scripts.get(name) ?? null
  }

  set(name: string, applied: Applied): void {
    this.#scripts.set(name, applied)
    this.#save()
  }

  #save(): void {
    const scripts = Object.fromEntries(this.#scripts)
    const text = JSON.stringify({ machine: this.machine, place: this.#place, scripts })
    try {
      if (!existsSync(this.path)) writeFileSync(this.path, '', { flag: 'wx', mode: 0o600 })
      replaceFile(this.path, Buffer.from(text, 'utf8'))
      this.#isTold = false
    } catch (error) {
      if (this.#isTold) return
      this.#isTold = true
      const { message } = error as Error
      this.#log(
        'warn',
        `${this.path} cannot be written: ${message}; what this machine has taken over is forgotten when it restarts`,
      )
    }
  }
}

type Log = (level: 'warn' | 'error', message: string) => void

export interface StateOptions {
  readonly path: string
  /** Of this machine as configured; null: what the file says. */
  readonly name: string | null
  /** Where the fleet meets: what was taken over elsewhere is none of its records. */
  readonly place: string
}

interface Known {
  readonly machine: string | null
  readonly place: string
  readonly scripts: Map<string, Applied>
}

function read(path: string, log: Log): Known {
  try {
    const text = readFileSync(path, 'utf8')
    // It was made, and never written to.
    if (text !== '') return parse(text)
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') {
      log(
        'error',
        `${path} is no state of a fleet: ${message}; going on as a machine that has taken over nothing`,
      )
    }
  }
  return { machine: null, place: '', scripts: new Map() }
}

function parse(text: string): Known {
  const { machine, place, scripts } = membersOf(parseJson(text, MAX_STATE), 'it')
  const entries = Object.entries(membersOf(scripts, '"scripts"')).map(([name, value]) => {
    if (!isScriptName(name)) throw new Malformed(`${JSON.stringify(name)} is no name of a script`)
    const { serial, record, live, canary } = membersOf(value, name)
    if (typeof record !== 'string' || record.length > MAX_SEALED)
      throw new Malformed(`the record of ${name} is no text`)
    const applied = {
      serial: countOf(serial, `the serial number of ${name}`),
      record,
      live: matchOf(live, `the digest of ${name}`, DIGEST),
      canary: matchOf(canary, `the canary of ${name}`, PATH),
    }
    return [name, applied] as const
  })
  return {
    machine: matchOf(machine, '"machine"', MACHINE_NAME),
    place: textOf(place, '"place"', MAX_PLACE),
    scripts: new Map(entries),
  }
}

/** The host's name alone would be that of many containers. */
function inventName(): string {
  const host = hostname()
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  return `${host.slice(0, 50) || 'machine'}-${randomBytes(3).toString('hex')}`
}
