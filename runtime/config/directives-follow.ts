/** `script_shadow` and `script_record`: read who follows the calls of the `script` line before them. */
import { invalidParameter } from './directive.ts'
import type { Word } from './lexer.ts'
import type { RecordModel, ScriptModel, ShadowModel } from './model.ts'
import { decodeBytes } from './problems.ts'
import type { Call } from './scope.ts'
import { parseOffset, parsePercent } from './values.ts'

/** Hundredths of a percent. */
const WHOLE = 10_000
const KIBIBYTE = 1024
const LEAST_MAX = 64 * KIBIBYTE
const MOST_MAX = 64 * KIBIBYTE ** 3

/** What is masked unless `mask=` and `mask_args=` say otherwise. */
export const DEFAULT_MASK: Pick<RecordModel, 'mask' | 'maskArgs'> = {
  mask: ['authorization', 'cookie', 'set-cookie', 'proxy-authorization', 'x-api-key'],
  maskArgs: ['token', 'password'],
}

type Draft<T> = { -readonly [K in keyof T]: T[K] }

interface Parameter<T> {
  /** @returns false when the value is none that the parameter takes */
  readonly read: (draft: Draft<T>, value: string) => boolean
  readonly example: string
}

type Parameters<T> = Readonly<Record<string, Parameter<T>>>

function readSample(draft: { sample: number }, value: string): boolean {
  const sample = parsePercent(value)
  if (sample === null || sample > WHOLE) return false
  draft.sample = sample
  return true
}

const SAMPLE = { read: readSample, example: 'a share from 0% to 100%, such as "sample=1%"' }

const SHADOW: Parameters<ShadowModel> = { sample: SAMPLE }

const RECORD: Parameters<RecordModel> = {
  sample: SAMPLE,
  max: {
    read: (draft, value) => {
      const max = parseOffset(value)
      if (max === null || max < LEAST_MAX || max > MOST_MAX) return false
      draft.max = max
      return true
    },
    example: 'a size from 64k to 64g, such as "max=64m"',
  },
  mask: {
    read: (draft, value) => {
      draft.mask = names(value)
      return draft.mask.every((name) => /^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name))
    },
    example: 'names of header fields, such as "mask=authorization,cookie"; "mask=" masks none',
  },
  mask_args: {
    read: (draft, value) => {
      draft.maskArgs = names(value)
      return draft.maskArgs.every((name) => name !== '' && !/[&=#\s]/.test(name))
    },
    example: 'names of query arguments, such as "mask_args=token,password"; "mask_args=" masks none',
  },
}

function names(value: string): string[] {
  return value === '' ? [] : value.toLowerCase().split(',')
}

/** Belongs to the last `script` line before it on its level. */
export function parseShadow(call: Call): void {
  const { run, where, args } = call
  const [path, ...words] = args as [Word, ...Word[]]
  const file = decodeBytes(run.besideConfig(path.text))
  if (!run.fileExists(run.besideConfig(path.text)))
    run.error(path.where, `cannot read the script "${file}"; correct the path or make the file`)
  const shadow = readWords(call, words, SHADOW, { where, file, sample: WHOLE })
  attach(call, 'shadow', shadow, (script) => {
    if (script.file === file)
      run.error(path.where, 'the shadow is the script itself; write the file of the candidate')
  })
}

/** The same; its file need not be there. */
export function parseRecord(call: Call): void {
  const { where, args } = call
  const [path, ...words] = args as [Word, ...Word[]]
  const draft = {
    where,
    file: decodeBytes(path.text),
    sample: WHOLE / 100,
    max: 64 * KIBIBYTE ** 2,
    ...DEFAULT_MASK,
  }
  attach(call, 'record', readWords<RecordModel>(call, words, RECORD, draft), () => undefined)
}

function attach<K extends 'shadow' | 'record'>(
  { run, scope, where }: Call,
  kind: K,
  model: NonNullable<ScriptModel[K]>,
  check: (script: ScriptModel) => void,
): void {
  const scripts = (scope.upstream?.scripts ?? scope.settings.scripts ?? []) as ScriptModel[]
  const script = scripts.at(-1)
  if (script === undefined) {
    run.error(
      where,
      `"script_${kind}" has no "script" before it on this level; write it below the line it is for`,
    )
    return
  }
  if (script[kind] !== undefined)
    run.error(where, `the script "${script.file}" before it has a "script_${kind}" already; remove one`)
  check(script)
  scripts[scripts.length - 1] = { ...script, [kind]: model }
}

function readWords<T>(call: Call, words: readonly Word[], parameters: Parameters<T>, draft: Draft<T>): T {
  const known = Object.keys(parameters).map((name) => `"${name}=VALUE"`)
  const seen = new Set<string>()
  for (const word of words) {
    const [, name = '', value = ''] = /^([a-z_]+)=(.*)$/s.exec(word.text) ?? []
    const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined
    if (parameter === undefined) invalidParameter(call, word, known.join(', '))
    else if (seen.has(name))
      call.run.error(word.where, `duplicate parameter "${name}" of "${call.name}"; remove one`)
    else if (!parameter.read(draft, value)) invalidParameter(call, word, parameter.example)
    seen.add(name)
  }
  return draft
}
