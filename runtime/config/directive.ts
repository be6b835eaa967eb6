/**
 * One row of the directive table: a name, where it may stand, how many arguments it takes, and the function that
 * reads them. And the ready-made rows for directives that set one value.
 */
import type { Word } from './lexer.ts'
import type { Settings } from './model.ts'
import { orList } from './problems.ts'
import type { Call, Context } from './scope.ts'
import { parseCount, parseOffset, parseSize, parseTime } from './values.ts'

export type Arity =
  | 'none'
  | '0-1'
  | '0-2'
  | '1'
  | '1-2'
  | '1-3'
  | '1-4'
  | '2'
  | '2-3'
  | '3'
  | '3-4'
  | '1+'
  | '2+'

export interface Directive {
  readonly name: string
  readonly in: readonly Context[]
  readonly args: Arity
  readonly block?: boolean
  /** A second one in the same block is an error. */
  readonly once?: boolean
  readonly parse: (call: Call) => void
}

export const HTTP: readonly Context[] = ['http']
export const HTTP_SERVER: readonly Context[] = ['http', 'server']
export const HTTP_LOCATION: readonly Context[] = ['http', 'server', 'location']
export const HTTP_IF: readonly Context[] = ['http', 'server', 'location', 'if in location']
export const UPSTREAM: readonly Context[] = ['upstream']

/** Least and greatest number of arguments. */
export function bounds(arity: Arity): [min: number, max: number] {
  if (arity === 'none') return [0, 0]
  if (arity.endsWith('+')) return [Number.parseInt(arity, 10), Number.POSITIVE_INFINITY]
  const [min, max = min] = arity.split('-').map(Number)
  return [min!, max!]
}

export function describeArity(arity: Arity): string {
  const [min, max] = bounds(arity)
  if (max === 0) return 'it takes none'
  const noun = max === 1 || (min === 1 && max === Number.POSITIVE_INFINITY) ? 'argument' : 'arguments'
  if (max === Number.POSITIVE_INFINITY) return `it takes at least ${min} ${noun}`
  return `it takes ${min === max ? min : `${min} to ${max}`} ${noun}`
}

/** The settings whose value is a T. */
type SettingOf<T> = {
  [K in keyof Settings]-?: T extends NonNullable<Settings[K]> ? K : never
}[keyof Settings]

/** The settings that are lists, and what is in them. */
type ListSetting = {
  [K in keyof Settings]-?: NonNullable<Settings[K]> extends readonly unknown[] ? K : never
}[keyof Settings]
type ItemOf<K extends ListSetting> = NonNullable<Settings[K]> extends readonly (infer T)[] ? T : never

/** Adds to a list of this block; long lists of addresses make copying it each time too slow. */
export function append<K extends ListSetting>(settings: Settings, key: K, item: ItemOf<K>): void {
  const list = settings[key] as ItemOf<K>[] | undefined
  if (list) list.push(item)
  else settings[key] = [item] as Settings[K]
}

/** Says that a value is not one of those the directive takes. */
export function invalidValue(call: Call, word: Word, instead: string): void {
  call.run.error(word.where, `invalid value "${word.text}" in "${call.name}"; write ${instead}`)
}

export function invalidParameter(call: Call, word: Word, instead: string): void {
  call.run.error(word.where, `invalid parameter "${word.text}" of "${call.name}"; write ${instead}`)
}

/** `on` or `off`, in any case of letters. */
export function parseFlag(call: Call, word: Word): boolean | null {
  const text = word.text.toLowerCase()
  if (text === 'on' || text === 'off') return text === 'on'
  invalidValue(call, word, '"on" or "off"')
  return null
}

/** A row that reads its one argument with `read` and stores what is not null. */
function slot<T>(
  name: string,
  contexts: readonly Context[],
  read: (call: Call, word: Word) => T | null,
  store: (settings: Settings, value: T) => void,
): Directive {
  return {
    name,
    in: contexts,
    args: '1',
    once: true,
    parse: (call) => {
      const value = read(call, call.args[0]!)
      if (value !== null) store(call.scope.settings, value)
    },
  }
}

export function flag(name: string, contexts: readonly Context[], key: SettingOf<boolean>): Directive {
  return slot(name, contexts, parseFlag, (settings, value: boolean) => {
    settings[key] = value as never
  })
}

export function time(name: string, contexts: readonly Context[], key: SettingOf<number>): Directive {
  return slot(name, contexts, readTime, (settings, value: number) => {
    settings[key] = value as never
  })
}

export function size(name: string, contexts: readonly Context[], key: SettingOf<number>): Directive {
  return slot(name, contexts, readSize, (settings, value: number) => {
    settings[key] = value as never
  })
}

/** A size that may be given in gigabytes. */
export function offset(name: string, contexts: readonly Context[], key: SettingOf<number>): Directive {
  return slot(name, contexts, readOffset, (settings, value: number) => {
    settings[key] = value as never
  })
}

export function count(name: string, contexts: readonly Context[], key: SettingOf<number>): Directive {
  return slot(name, contexts, readCount, (settings, value: number) => {
    settings[key] = value as never
  })
}

/** One of some words, in any case of letters. */
export function choice<const T extends string>(
  name: string,
  contexts: readonly Context[],
  key: SettingOf<T>,
  words: readonly T[],
): Directive {
  const read = (call: Call, word: Word) => readChoice(call, word, words)
  return slot(name, contexts, read, (settings, value: T) => {
    settings[key] = value as never
  })
}

/** `count size` (`proxy_buffers 8 4k`). */
export function buffers(
  name: string,
  contexts: readonly Context[],
  key: SettingOf<{ readonly count: number; readonly size: number }>,
): Directive {
  return {
    name,
    in: contexts,
    args: '2',
    once: true,
    parse: (call) => {
      const [first, second] = call.args as [Word, Word]
      const number = readCount(call, first)
      const bytes = readSize(call, second)
      if (number === 0) invalidValue(call, first, 'a number above 0')
      if (bytes === 0) invalidValue(call, second, 'a size above 0')
      if (number && bytes) call.scope.settings[key] = { count: number, size: bytes } as never
    },
  }
}

export function readTime(call: Call, word: Word): number | null {
  const value = parseTime(word.text)
  if (value === null) invalidValue(call, word, 'a time, such as "30s", "500ms" or "1h30m"')
  return value
}

export function readSeconds(call: Call, word: Word): number | null {
  const value = parseTime(word.text, 's')
  if (value === null) invalidValue(call, word, 'a time in whole seconds, such as "30s" or "1h30m"')
  return value
}

export function readSize(call: Call, word: Word): number | null {
  const value = parseSize(word.text)
  if (value === null) invalidValue(call, word, 'a size, such as "512", "8k" or "1m"')
  return value
}

export function readOffset(call: Call, word: Word): number | null {
  const value = parseOffset(word.text)
  if (value === null) invalidValue(call, word, 'a size, such as "8k", "1m" or "1g"')
  return value
}

export function readCount(call: Call, word: Word): number | null {
  const value = parseCount(word.text)
  if (value === null) invalidValue(call, word, 'a whole number')
  return value
}

export function readChoice<const T extends string>(call: Call, word: Word, words: readonly T[]): T | null {
  const found = words.find((choice) => choice.toLowerCase() === word.text.toLowerCase())
  if (found === undefined) invalidValue(call, word, orList(words.map((choice) => `"${choice}"`)))
  return found ?? null
}
