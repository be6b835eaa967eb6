/**
 * A roll-out as people follow it: a line for each machine, redrawn in place on a terminal and else written when it changes;
 * and what has become of it in the end. Names and reasons come from other machines: nothing in them may move a cursor.
 */
import type { MachineProgress, MachineState, Rollout } from '../fleet/fleet.ts'
import { Exit, RefusedError, type Told } from './admin-client.ts'
import { indented, printable, SHORT, shareText } from './rollout-text.ts'
import type { Style } from './style.ts'

/** Where progress goes: `process.stdout`, or a test's. */
export interface Screen {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

const COLOURS: Readonly<Record<MachineState, keyof Style>> = {
  asked: 'dim',
  ready: 'cyan',
  serving: 'green',
  unused: 'dim',
  refused: 'red',
  failed: 'red',
  away: 'yellow',
}
const WIDEST = Math.max(...Object.keys(COLOURS).map((state) => state.length))
/** Columns of a line beside the name and what is told of it; the last one stays free. */
const BESIDE = WIDEST + 7

/** What a terminal that does not tell has. */
const COLUMNS = 80
const ROWS = 24

export class RolloutProgress {
  readonly #screen: Screen
  readonly #style: Style
  /** Lines that stand above the cursor, to be drawn again. */
  #drawn = 0
  #begun = false
  readonly #states = new Map<string, MachineState>()

  constructor(screen: Screen, style: Style) {
    this.#screen = screen
    this.#style = style
  }

  /** How things are by now. */
  show(rollout: Rollout): void {
    const machines = [...rollout.machines].sort((a, b) => (a.machine < b.machine ? -1 : 1))
    if (!this.#begun) this.#screen.write(`${this.#heading(rollout)}\n`)
    this.#begun = true
    const widest = Math.max(0, ...machines.map(({ machine }) => printable(machine).length))
    const width = Math.min(widest, Math.max(1, this.#columns - BESIDE))
    if (this.#screen.isTTY && machines.length < (this.#screen.rows ?? ROWS) - 1) this.#redraw(machines, width)
    else this.#append(machines, width)
  }

  #heading({ kind, name, digest, author }: Rollout): string {
    return this.#style.bold(`${kind} ${printable(name)} ${digest.slice(0, SHORT)} by ${printable(author)}`)
  }

  #redraw(machines: readonly MachineProgress[], width: number): void {
    const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : ''
    const lines = machines.map((machine) => `\x1b[2K${this.#line(machine, width)}\n`)
    this.#screen.write(up + lines.join(''))
    this.#drawn = Math.max(this.#drawn, lines.length)
  }

  #append(machines: readonly MachineProgress[], width: number): void {
    for (const machine of machines) {
      const before = this.#states.get(machine.machine) ?? 'asked'
      this.#states.set(machine.machine, machine.state)
      if (machine.state !== before) this.#screen.write(`${this.#line(machine, width)}\n`)
    }
  }

  get #columns(): number {
    return this.#screen.isTTY ? (this.#screen.columns ?? COLUMNS) : Number.POSITIVE_INFINITY
  }

  /** No longer than a line of the terminal: what is left of one would be left standing. */
  #line(progress: MachineProgress, width: number): string {
    const { machine, state } = progress
    const name = printable(machine).slice(0, width).padEnd(width)
    const detail = detailOf(progress).slice(0, Math.max(0, this.#columns - width - BESIDE))
    return `  ${name}  ${this.#style[COLOURS[state]](state.padEnd(WIDEST))}  ${detail}`.trimEnd()
  }
}

function detailOf({ state, reason, generation, took }: MachineProgress): string {
  if (state === 'serving') return `generation ${generation} after ${took} ms`
  if (state === 'away') return 'catches up when it is back'
  if (state === 'unused' && reason === '') return 'has no such script'
  return printable(reason.split('\n')[0])
}

/** @param waited everybody has had the time to answer @throws RefusedError when it was refused */
export function concludeRollout(rollout: Rollout, waited: boolean): Told {
  if (rollout.id === '') return { out: `${whatOf(rollout)} already\n`, faults: '', code: Exit.DONE }
  if (rollout.state === 'refused') throw new RefusedError(rollout.reason, [], rollout)
  const concerned = rollout.machines.filter(({ state }) => state !== 'unused')
  const count = (...states: MachineState[]): number =>
    concerned.filter(({ state }) => states.includes(state)).length
  const [serving, under] = [count('serving'), count('asked', 'ready')]
  const follow = under > 0 && !waited ? `, ${under} to follow` : ''
  const faults = rollout.machines.map((machine) => faultOf(machine, waited)).filter((line) => line !== '')
  return {
    out: `${whatOf(rollout)} on ${serving} of ${concerned.length} machines${follow}\n`,
    faults: faults.map((line) => `sluice: ${line}\n`).join(''),
    code: faults.length === 0 ? Exit.DONE : Exit.REFUSED,
  }
}

function whatOf({ kind, name, digest, canary }: Rollout): string {
  const version = digest.slice(0, SHORT)
  if (kind === 'remove') return `${printable(name)} has no canary any more`
  if (canary !== null) return `${printable(name)} has the canary ${version} for ${shareText(canary)}`
  return `${printable(name)} is version ${version}`
}

function faultOf({ machine, state, reason }: MachineProgress, waited: boolean): string {
  const name = printable(machine)
  if (state === 'away') return `${name} is away; it catches up when it is back`
  if (state === 'unused' && reason !== '') return `${name}: ${indented(reason)}`
  if (state === 'failed') return `${name} failed: ${indented(reason)}`
  return waited && (state === 'asked' || state === 'ready') ? `${name} has not answered yet` : ''
}
