/** `script_canary`: reads the second version of a script, its share of the keys and its guard. */
import { invalidParameter } from './directive.ts'
import type { Word } from './lexer.ts'
import type { CanaryModel, ScriptModel } from './model.ts'
import { decodeBytes } from './problems.ts'
import type { Call } from './scope.ts'
import { parseCount, parsePercent, parseTime } from './values.ts'

/** Hundredths of a percent. */
const WHOLE = 10_000
const MAX_CALLS = 1_000_000

type Draft = { -readonly [K in keyof CanaryModel]: CanaryModel[K] }

/** @returns false when the value is none that the parameter takes */
type Read = (draft: Draft, value: string, call: Call, word: Word) => boolean

interface Parameter {
  readonly read: Read
  readonly example: string
}

const PARAMETERS: Readonly<Record<string, Parameter>> = {
  percent: {
    read: (draft, value) => {
      const percent = parsePercent(value.endsWith('%') ? value : `${value}%`)
      if (percent === null || percent > WHOLE) return false
      draft.percent = percent
      return true
    },
    example: 'a share from 0 to 100, such as "percent=5"',
  },
  key: {
    read: (draft, value, call, word) => {
      if (value === '') return false
      draft.key = call.run.template(word, value)
      return true
    },
    example: 'a value with variables, such as "key=$arg_userId"',
  },
  max_errors: {
    read: (draft, value) => {
      const share = parsePercent(value)
      if (share === null || share > WHOLE) return false
      draft.maxErrors = share
      return true
    },
    example: 'a share from 0% to 100%, such as "max_errors=1%"',
  },
  max_latency: {
    read: (draft, value) => {
      const time = parseTime(value)
      if (time === null || time === 0) return false
      draft.maxLatency = time
      return true
    },
    example: 'a time above 0, such as "max_latency=20ms"',
  },
  min_calls: {
    read: (draft, value) => {
      const calls = parseCount(value)
      if (calls === null || calls === 0 || calls > MAX_CALLS) return false
      draft.minCalls = calls
      return true
    },
    example: `a number from 1 to ${MAX_CALLS}, such as "min_calls=50"`,
  },
}

const NAMES = '"percent=N", "key=VALUE", "max_errors=N%", "max_latency=TIME" or "min_calls=N"'

/** Belongs to the last `script` line before it on its level. */
export function parseCanary(call: Call): void {
  const { run, scope, where, args } = call
  const [path, ...words] = args as [Word, ...Word[]]
  const scripts = (scope.upstream?.scripts ?? scope.settings.scripts ?? []) as ScriptModel[]
  const script = scripts.at(-1)
  const file = decodeBytes(run.besideConfig(path.text))
  if (script === undefined) {
    run.error(
      where,
      '"script_canary" has no "script" before it on this level; write it below the line it is for',
    )
  } else if (script.canary !== undefined) {
    run.error(where, `the script "${script.file}" before it has a canary already; remove one`)
  } else if (script.file === file) {
    run.error(path.where, 'the canary is the script itself; write the file of the second version')
  }
  if (!run.fileExists(run.besideConfig(path.text)))
    run.error(path.where, `cannot read the script "${file}"; correct the path or make the file`)
  const canary = readWords(call, words, { ...UNSET, where, file })
  if (script !== undefined) scripts[scripts.length - 1] = { ...script, canary }
}

/** What a canary is held to where nothing else is said. */
export const CANARY_GUARD = { maxErrors: 100, maxLatency: null, minCalls: 50 }

const UNSET = { percent: 0, key: null, ...CANARY_GUARD }

function readWords(call: Call, words: readonly Word[], draft: Draft): CanaryModel {
  const seen = new Set<string>()
  for (const word of words) {
    const [, name = '', value = ''] = /^([a-z_]+)=(.*)$/s.exec(word.text) ?? []
    const parameter = Object.hasOwn(PARAMETERS, name) ? PARAMETERS[name] : undefined
    if (parameter === undefined) invalidParameter(call, word, NAMES)
    else if (seen.has(name))
      call.run.error(word.where, `duplicate parameter "${name}" of "script_canary"; remove one`)
    else if (!parameter.read(draft, value, call, word)) invalidParameter(call, word, parameter.example)
    seen.add(name)
  }
  if (!seen.has('percent'))
    call.run.error(call.where, '"script_canary" says no share; add "percent=N", such as "percent=5"')
  return draft
}
