/**
 * What went wrong in a script, and where: reads the text that the sandbox makes of a guest error, and writes the one
 * line that the error log gets, or for people the line of the script with a caret. Knows no sandbox.
 */
import { excerpt } from '../lib/excerpt.ts'
import type { Phase, ScriptFault } from '../phases.ts'
import { fromBytes, toBytes } from './guest-values.ts'

/** Name under which the prelude is compiled; its frames are no script's. */
export const PRELUDE_FILE = 'sluice:prelude'
/** Between status, stack and message in what `describe` of the prelude returns. */
const PART_END = '\u0001'

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
  /** The client is to blame, and is answered this. Absent: the script is. */
  readonly status?: number
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

/** Where something stands in a file, for people. */
export interface Place {
  /** Absolute. */
  readonly file: string
  /** 0: not known. */
  readonly line: number
  /** In characters, from 1. */
  readonly column: number
  /** That line with a caret below the column, for a terminal; '' if it is not known. */
  readonly excerpt: string
}

/** Why a script was refused. */
export class ScriptError extends Error implements Place {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly excerpt: string
  /** The message alone, without the place. One line, without control characters. */
  readonly reason: string

  constructor({ file, line, column, excerpt }: Place, reason: string, frames: readonly Frame[] = []) {
    const told = reason.replace(CONTROL, escapeControl)
    super(`${file}${line > 0 ? `:${line}:${column}` : ''}: ${told}`)
    this.name = 'ScriptError'
    this.file = file
    this.line = line
    this.column = column
    this.excerpt = excerpt
    this.reason = told
    this.stack = [
      `${this.name}: ${this.message}`,
      ...frames.map((frame) => `    at ${showFrame(frame)}`),
    ].join('\n')
  }
}

/** What would break a line or drive a terminal. */
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g

function escapeControl(found: string): string {
  if (found === '\n') return '\\n'
  const code = found.charCodeAt(0)
  return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, '0')}`
}

/** Texts of modules, by the names that frames have. */
export interface Texts {
  absolute(file: string): string
  written(file: string): string | undefined
}

/** The place of a frame; without one, the script itself. */
export function placeOf(texts: Texts, frame: Omit<Frame, 'name'> | null): Place {
  if (frame === null) return { file: texts.absolute(''), line: 0, column: 0, excerpt: '' }
  const { file, line, column } = frame
  const text = texts.written(file)
  return {
    file: texts.absolute(file),
    line,
    column,
    excerpt: text === undefined ? '' : excerpt(text, line, column),
  }
}

/** `    at name (file:3:7)`, `    at file:3:7` for a syntax error. */
const FRAME = /^\s+at (?:(.*) \()?(.*?):(\d+):(\d+)\)?$/

/** Splits what the prelude's `describe` said. */
export function readFault(described: string): Fault {
  const begin = described.indexOf(PART_END) + 1
  const status = Number(described.slice(0, Math.max(0, begin - 1)))
  const end = described.indexOf(PART_END, begin)
  const stack = end < 0 ? '' : described.slice(begin, end)
  const message = described.slice(end + 1).slice(0, MAX_MESSAGE)
  const frames: Frame[] = []
  for (const line of stack.split('\n')) {
    const match = FRAME.exec(line)
    if (match === null || frames.length === MAX_FRAMES) continue
    // Neither our own frames nor places in a text that JSON.parse was given.
    if (match[2] === PRELUDE_FILE || match[2] === '<input>') continue
    const name = match[1] === undefined || match[1] === '<anonymous>' || match[1] === '<eval>' ? '' : match[1]
    frames.push({ name, file: match[2], line: Number(match[3]), column: Number(match[4]) })
  }
  return status > 0 ? { message, frames, status } : { message, frames }
}

/** Where the script was when its sandbox was lost, as far as that could still be asked. */
export function positionOf(error: { readonly position: string }): readonly Frame[] {
  return readFault(fromBytes(error.position)).frames
}

/** The frame that the user can mend: the first that is not in the standard library. */
export function ownFrame(fault: Fault): Frame | null {
  return fault.frames.find((frame) => !frame.file.startsWith('sluice:')) ?? fault.frames[0] ?? null
}

function showFrame(frame: Frame): string {
  const place = `${frame.file}:${frame.line}:${frame.column}`
  return frame.name === '' ? place : `${frame.name} (${place})`
}

/** What is told to those who want to know more than the log line. Byte strings. */
export function scriptFault(fault: Fault, phase: Phase | null, texts: Texts): ScriptFault {
  const { file, line, column, excerpt } = placeOf(texts, ownFrame(fault))
  return {
    phase,
    message: toBytes(fault.message),
    file: toBytes(file),
    line,
    column,
    excerpt: toBytes(excerpt),
    stack: fault.frames.map((frame) => toBytes(showFrame(frame))),
  }
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
