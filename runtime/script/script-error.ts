/**
 * What went wrong in a script, and where: reads the text that the sandbox makes of a guest error, and writes the one
 * line that the error log gets. Knows no sandbox.
 */
import { toBytes } from './guest-values.ts'

/** Name under which the prelude is compiled; its frames are no script's. */
export const PRELUDE_FILE = 'sluice:prelude'
/** Between stack and message in what `describe` of the prelude returns. */
const STACK_END = '\u0001'

const MAX_MESSAGE = 2048
const MAX_FRAMES = 8

export interface Frame {
  /** '' at the top level of a module. */
  readonly name: string
  /** Relative to the script's root, or `sluice:NAME`. */
  readonly file: string
  readonly line: number
  readonly column: number
}

/** A guest error as plain text and numbers. */
export interface Fault {
  readonly message: string
  readonly frames: readonly Frame[]
}

/** A hook call that did not end well. */
export class HookFailure extends Error {
  readonly fault: Fault
  /** It took more than it may: CPU or wall time. */
  readonly overrun: boolean

  constructor(fault: Fault, overrun: boolean) {
    super(fault.message)
    this.fault = fault
    this.overrun = overrun
  }
}

/** Why a script was refused. */
export class ScriptError extends Error {
  /** Absolute. */
  readonly file: string
  /** 0: not known. */
  readonly line: number
  readonly column: number
  /** The message alone, without the place. */
  readonly reason: string

  constructor(file: string, line: number, column: number, reason: string, frames: readonly Frame[] = []) {
    super(`${file}${line > 0 ? `:${line}:${column}` : ''}: ${reason}`)
    this.name = 'ScriptError'
    this.file = file
    this.line = line
    this.column = column
    this.reason = reason
    this.stack = [
      `${this.name}: ${this.message}`,
      ...frames.map((frame) => `    at ${showFrame(frame)}`),
    ].join('\n')
  }
}

/** `    at name (file:3:7)`, `    at file:3:7` for a syntax error. */
const FRAME = /^\s+at (?:(.*) \()?(.*?):(\d+):(\d+)\)?$/

/** Splits what the prelude's `describe` said. */
export function readFault(described: string): Fault {
  const end = described.indexOf(STACK_END)
  const stack = end < 0 ? '' : described.slice(0, end)
  const message = described.slice(end + 1).slice(0, MAX_MESSAGE)
  const frames: Frame[] = []
  for (const line of stack.split('\n')) {
    const match = FRAME.exec(line)
    if (match === null || match[2] === PRELUDE_FILE || frames.length === MAX_FRAMES) continue
    const name = match[1] === undefined || match[1] === '<anonymous>' || match[1] === '<eval>' ? '' : match[1]
    frames.push({ name, file: match[2], line: Number(match[3]), column: Number(match[4]) })
  }
  return { message, frames }
}

/** The frame that the user can mend: the first that is not in the standard library. */
export function ownFrame(fault: Fault): Frame | null {
  return fault.frames.find((frame) => !frame.file.startsWith('sluice:')) ?? fault.frames[0] ?? null
}

function showFrame(frame: Frame): string {
  const place = `${frame.file}:${frame.line}:${frame.column}`
  return frame.name === '' ? place : `${frame.name} (${place})`
}

/**
 * One line: `/etc/sluice/balancer.js:3:12: TypeError: … in balancer, at pick (lib/ring.js:3:12), at …`.
 * @param absolute the file of a frame as the user named it
 * @returns a byte string
 */
export function faultLine(fault: Fault, where: string, absolute: (file: string) => string): string {
  const own = ownFrame(fault)
  const place = own === null ? absolute('') : `${absolute(own.file)}:${own.line}:${own.column}`
  const stack = fault.frames.map((frame) => `, at ${showFrame(frame)}`).join('')
  return toBytes(`${place}: ${fault.message} in ${where}${stack}`)
}
