/** Rows of Sluice's own directives: scripts and their limits. */
import type { ScriptLimits } from '../phases.ts'
import {
  append,
  type Directive,
  HTTP,
  invalidParameter,
  invalidValue,
  parseFlag,
  readChoice,
} from './directive.ts'
import { parseCanary } from './directives-canary.ts'
import { parseRecord, parseShadow } from './directives-follow.ts'
import { parseFetchRule } from './fetch-rule.ts'
import type { Word } from './lexer.ts'
import type { FetchRule, ScriptModel } from './model.ts'
import { decodeBytes } from './problems.ts'
import type { Call, Context } from './scope.ts'
import { parseCount, parseOffset, parseTime } from './values.ts'

const LEVELS: readonly Context[] = ['http', 'server', 'location', 'upstream']

export const SCRIPT_DIRECTIVES: readonly Directive[] = [
  { name: 'script', in: LEVELS, args: '1+', parse: parseScript },
  { name: 'script_limits', in: LEVELS, args: '1+', once: true, parse: parseLimits },
  { name: 'script_on_error', in: LEVELS, args: '1', once: true, parse: parseOnError },
  { name: 'script_allow_fetch', in: LEVELS, args: '1+', once: true, parse: parseAllowFetch },
  { name: 'script_canary', in: LEVELS, args: '1+', parse: parseCanary },
  { name: 'script_shadow', in: LEVELS, args: '1+', parse: parseShadow },
  { name: 'script_record', in: LEVELS, args: '1+', parse: parseRecord },
  { name: 'script_eject_after', in: LEVELS, args: '1', once: true, parse: parseEjectAfter },
  { name: 'script_generations', in: HTTP, args: '1', once: true, parse: parseGenerations },
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
  load: { read: parseTime, least: 1, most: 60_000, example: 'a time from 1ms to 60s, such as "load=70ms"' },
  wall: { read: parseTime, least: 1, most: 3_600_000, example: 'a time from 1ms to 1h, such as "wall=10s"' },
}

function parseLimits(call: Call): void {
  const limits: { -readonly [K in keyof ScriptLimits]?: number } = {}
  for (const word of call.args) {
    const [, name = '', value = ''] = /^([a-z]+)=(.*)$/s.exec(word.text) ?? []
    if (!Object.hasOwn(LIMITS, name)) {
      invalidParameter(call, word, '"memory=SIZE", "stack=SIZE", "cpu=TIME", "load=TIME" or "wall=TIME"')
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

const FETCH_ENTRIES =
  '"upstreams", "any", "none", "https://HOST[:PORT][/PATH]", "https://*.DOMAIN", "*.DOMAIN" or a block of addresses such as "10.0.0.0/8"'

function parseAllowFetch(call: Call): void {
  const rules: FetchRule[] = []
  for (const word of call.args) {
    const rule = parseFetchRule(word.text)
    if (rule !== null) rules.push(rule)
    else if (word.text !== 'none') invalidParameter(call, word, FETCH_ENTRIES)
    else if (call.args.length > 1) call.run.error(word.where, '"none" stands alone; remove it or the others')
  }
  if (call.scope.upstream) call.scope.upstream.scriptAllowFetch = rules
  else call.scope.settings.scriptAllowFetch = rules
}

const MAX_OVERRUNS = 1_000_000

function parseEjectAfter(call: Call): void {
  const word = call.args[0]!
  const count = parseCount(word.text)
  if (count === null || count > MAX_OVERRUNS) {
    invalidValue(call, word, `a number from 1 to ${MAX_OVERRUNS}, or 0 for never`)
    return
  }
  if (call.scope.upstream) call.scope.upstream.scriptEjectAfter = count
  else call.scope.settings.scriptEjectAfter = count
}

const MAX_GENERATIONS = 1000

function parseGenerations(call: Call): void {
  const word = call.args[0]!
  const count = parseCount(word.text)
  if (count === null || count < 1 || count > MAX_GENERATIONS)
    invalidValue(call, word, `a number from 1 to ${MAX_GENERATIONS}`)
  else call.run.http!.scriptGenerations = count
}

function parseWatch(call: Call): void {
  const value = parseFlag(call, call.args[0]!)
  if (value !== null) call.run.http!.scriptWatch = value
}
