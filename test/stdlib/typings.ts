// Reads stdlib/sluice.d.ts as far as its pages are compared with it: modules with their functions, interfaces with
// their members. The file is formatted by Biome, so its shape can be relied on.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './sandbox.ts'

export interface Parameter {
  /** '' for one that is taken apart. */
  readonly name: string
  /** Names of one that is taken apart. */
  readonly names: readonly string[]
  readonly rest: boolean
  readonly optional: boolean
  /** What it is without a value, as written; null: nothing is said. */
  readonly default: string | null
  /** As written. */
  readonly type: string
}

export interface Member {
  readonly name: string
  readonly readonly: boolean
  /** As written; of a method, all from its `(` on. */
  readonly type: string
  /** null: no method. */
  readonly parameters: readonly Parameter[] | null
}

/** Without comments. */
const TYPINGS = readFileSync(join(ROOT, 'stdlib/sluice.d.ts'), 'utf8')
  .replace(/\/\*[\s\S]*?\*\//g, '')
  .replace(/^\s*\/\/.*$/gm, '')

const OPEN = '([{<'
const CLOSE = ')]}>'

/** Where the bracket that opens at `from` closes. Arrows are no brackets. */
function closing(text: string, from: number): number {
  let depth = 0
  for (let i = from; i < text.length; i++) {
    if (text[i] === "'") i = text.indexOf("'", i + 1)
    else if (text[i] === '=' && text[i + 1] === '>') i++
    else if (OPEN.includes(text[i])) depth++
    else if (CLOSE.includes(text[i]) && --depth === 0) return i
  }
  throw new Error(`unclosed bracket in ${text.slice(from, from + 80)}`)
}

/** The parts between separators outside of any bracket. */
function split(text: string, separator: string): string[] {
  const parts: string[] = []
  let from = 0
  for (let i = 0; i < text.length; i++) {
    if (OPEN.includes(text[i])) i = closing(text, i)
    else if (text[i] === "'") i = text.indexOf("'", i + 1)
    else if (text[i] === separator) {
      parts.push(text.slice(from, i))
      from = i + 1
    }
  }
  return [...parts, text.slice(from)].map((part) => part.trim()).filter((part) => part !== '')
}

/** What stands between the braces that open after the text. */
function blockAfter(text: string, start: string): string {
  const at = text.indexOf(start)
  if (at < 0) throw new Error(`the typings have no "${start}"`)
  const open = text.indexOf('{', at + start.length)
  return text.slice(open + 1, closing(text, open))
}

/** `value`, `seed = 0`, `...names`, `{ raw }`, `{ raw = false } = {}`, `options?: Options` */
function readParameters(text: string): Parameter[] {
  return split(text, ',').map((part) => {
    const rest = part.startsWith('...')
    const plain = rest ? part.slice(3) : part
    const end = plain.startsWith('{') ? closing(plain, 0) + 1 : plain.search(/[\s?:=]|$/)
    const head = plain.slice(0, end)
    const names = head.startsWith('{')
      ? split(head.slice(1, -1), ',').map((name) => /^\w+/.exec(name)![0])
      : []
    const tail = plain.slice(end).trim()
    const [, type = ''] = /^\??:\s*([\s\S]+)$/.exec(tail) ?? []
    const [, value = null] = /^=\s*([\s\S]+)$/.exec(tail) ?? []
    return {
      name: names.length > 0 ? '' : head,
      names,
      rest,
      optional: tail.startsWith('?'),
      default: value,
      type,
    }
  })
}

/** The parameters between the first brackets from an offset on. */
export function parametersAt(text: string, from: number): Parameter[] {
  const open = text.indexOf('(', from)
  return readParameters(text.slice(open + 1, closing(text, open)))
}

/** Members of a body, without index, call and construct signatures. */
function membersOf(body: string): Member[] {
  const members: Member[] = []
  for (const line of statements(body)) {
    const match = /^(readonly )?(\w+)\??(\s*[(<:][\s\S]*)$/.exec(line)
    if (match === null || match[2] === 'new') continue
    const [, readonly, name, type] = match
    const isMethod = !type.startsWith(':')
    const from = type.startsWith('<') ? closing(type, 0) : 0
    members.push({
      name,
      readonly: readonly !== undefined || isMethod,
      type: type.replace(/^:\s*/, ''),
      parameters: isMethod ? parametersAt(type, from) : null,
    })
  }
  return members
}

/** One for each line, but for what stands in brackets and for unions that go on. */
function statements(body: string): string[] {
  return split(body, '\n').reduce<string[]>((all, line) => {
    if (line.startsWith('|') || line.startsWith('&')) all[all.length - 1] += ` ${line}`
    else all.push(line)
    return all
  }, [])
}

const SLUICE = blockAfter(TYPINGS, 'declare namespace Sluice')

/** An interface of `Sluice`, with what it inherits; the innermost declaration of a name counts. */
export function interfaceOf(name: string, within = SLUICE): Map<string, Member> {
  const match = new RegExp(`interface ${name}\\b(?:<[^{]*>)?(?: extends ([^{]+))?\\s*\\{`).exec(within)
  if (match === null) throw new Error(`the typings have no interface ${name}`)
  const members = new Map<string, Member>()
  for (const parent of match[1] === undefined ? [] : split(match[1], ',')) {
    if (!new RegExp(`interface ${parent}\\b`).test(within)) continue
    for (const [inherited, member] of interfaceOf(parent, within)) members.set(inherited, member)
  }
  const open = match.index + match[0].length - 1
  for (const member of membersOf(within.slice(open + 1, closing(within, open))))
    members.set(member.name, member)
  return members
}

/** Parameters of a hook's type, as `type Access = (r: AccessRequest) => …`. */
export function hookType(name: string): Parameter[] {
  const type = name[0].toUpperCase() + name.slice(1)
  const at = SLUICE.search(new RegExp(`\\btype ${type} = \\(`))
  if (at < 0) throw new Error(`the typings have no type ${type}`)
  return parametersAt(SLUICE, at)
}

/** Names of every global that is declared. */
export function globals(): string[] {
  const found = TYPINGS.matchAll(/^declare (?:var|const|let|function|class) (\w+)/gm)
  return [...new Set([...found].map((match) => match[1]))].sort()
}

/** A module of the standard library. */
export class ModuleTypings {
  readonly #body: string

  constructor(name: string) {
    this.#body = blockAfter(TYPINGS, `declare module 'sluice:${name}'`)
  }

  /** What an exported function or class takes. */
  parameters(name: string): Parameter[] {
    const exported = new RegExp(`export \\{ (\\w+) as ${name} \\}`).exec(this.#body)?.[1] ?? name
    const type = new RegExp(`class ${exported}\\b[^{]*\\{`).exec(this.#body)
    if (type !== null) return parametersAt(this.#body, this.#body.indexOf('constructor', type.index))
    const start = new RegExp(`function ${exported}(?=[(<])`).exec(this.#body)
    if (start === null) throw new Error(`the typings have no function ${name}`)
    const from = start.index + start[0].length
    return parametersAt(this.#body, this.#body[from] === '<' ? closing(this.#body, from) : from)
  }

  /** The properties that a type has, as far as its name or its text tells. */
  properties(type: string): string[] {
    if (type.startsWith('{')) return membersOf(type.slice(1, -1)).map(({ name }) => name)
    const picked = /^Pick<\w+, (.*)>$/.exec(type)
    if (picked !== null) return [...picked[1].matchAll(/'(\w+)'/g)].map((match) => match[1])
    const name = /^(?:Partial<)?(\w+)/.exec(type)?.[1] ?? ''
    return new RegExp(`interface ${name}\\b`).test(this.#body)
      ? [...interfaceOf(name, this.#body).keys()]
      : []
  }
}
