/** Rows of Sluice's own directives: scripts and their limits. */
import type { ScriptLimits } from '../phases.ts'
import { append, type Directive, HTTP, invalidParameter, parseFlag, readChoice } from './directive.ts'
import type { Word } from './lexer.ts'
import type { ScriptModel } from './model.ts'
import { decodeBytes } from './problems.ts'
import type { Call, Context } from './scope.ts'
import { parseOffset, parseTime } from './values.ts'

const LEVELS: readonly Context[] = ['http', 'server', 'location', 'upstream']

export const SCRIPT_DIRECTIVES: readonly Directive[] = [
  { name: 'script', in: LEVELS, args: '1+', parse: parseScript },
  { name: 'script_limits', in: LEVELS, args: '1+', once: true, parse: parseLimits },
  { name: 'script_on_error', in: LEVELS, args: '1', once: true, parse: parseOnError },
  { name: 'script_watch', in: HTTP, args: '1', once: true, parse: parseWatch },
]

function parseScript(call: Call): void {
  const { run, scope, where, args } = call
  const [path, ...words] = args as [Word, ...Word[]]
  const file = run.besideConfig(path.text)
  if (!run.fileExists(file)) {
    run.error(path.where, `cannot read the script "${file}"; correct the path or make the file`)
    return
  }
  const params = new Map<string, string>()
  for (const word of words) readParam(call, word, params)
  const script: ScriptModel = { where, file: decodeBytes(file), params: Object.fromEntries(params) }
  if (scope.upstream) scope.upstream.scripts = [...scope.upstream.scripts, script]
  else append(scope.settings, 'scripts', script)
}

function readParam(call: Call, word: Word, params: Map<string, string>): void {
  const [, name, value = ''] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(word.text) ?? []
  if (name === undefined) invalidParameter(call, word, '"name=value"')
  else if (params.has(name))
    call.run.error(word.where, `duplicate parameter "${name}" of "script"; remove one`)
  else params.set(name, value)
}

interface LimitWord {
  readonly read: (text: string) => number | null
  readonly least: number
  readonly most: number
  readonly example: string
}

const MEBIBYTE = 1024 * 1024

const LIMITS: Readonly<Record<keyof ScriptLimits, LimitWord>> = {
  memory: {
    read: parseOffset,
    least: MEBIBYTE,
    most: 4096 * MEBIBYTE,
    example: 'a size from 1m to 4g, such as "memory=32m"',
  },
  stack: {
    read: parseOffset,
    least: 16 * 1024,
    most: MEBIBYTE,
    example: 'a size from 16k to 1m, such as "stack=64k"',
  },
  cpu: { read: parseTime, least: 1, most: 60_000, example: 'a time from 1ms to 60s, such as "cpu=50ms"' },
  wall: { read: parseTime, least: 1, most: 3_600_000, example: 'a time from 1ms to 1h, such as "wall=10s"' },
}

function parseLimits(call: Call): void {
  const limits: { -readonly [K in keyof ScriptLimits]?: number } = {}
  for (const word of call.args) {
    const [, name = '', value = ''] = /^([a-z]+)=(.*)$/s.exec(word.text) ?? []
    if (!Object.hasOwn(LIMITS, name)) {
      invalidParameter(call, word, '"memory=SIZE", "stack=SIZE", "cpu=TIME" or "wall=TIME"')
      continue
    }
    const key = name as keyof ScriptLimits
    const { read, least, most, example } = LIMITS[key]
    const number = read(value)
    if (number === null || number < least || number > most) invalidParameter(call, word, example)
    else limits[key] = number
  }
  if (call.scope.upstream) call.scope.upstream.scriptLimits = limits
  else call.scope.settings.scriptLimits = limits
}

function parseOnError(call: Call): void {
  const value = readChoice(call, call.args[0]!, ['closed', 'open'])
  if (value === null) return
  if (call.scope.upstream) call.scope.upstream.scriptOnError = value
  else call.scope.settings.scriptOnError = value
}

function parseWatch(call: Call): void {
  const value = parseFlag(call, call.args[0]!)
  if (value !== null) call.run.http!.scriptWatch = value
}
