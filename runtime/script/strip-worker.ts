/**
 * The thread that takes the types out of TypeScript: the only code that loads the stripper (`strip-types.ts` says why it
 * is a thread). Answers each text with what is left of it, or with what is wrong in it. Knows no files.
 */
import { parentPort } from 'node:worker_threads'
import { transformSync } from '@swc/wasm-typescript'
import type { StripAnswer, TypeFault } from './strip-types.ts'

/** What the stripper throws: no Error, but this. Columns are those of a terminal, from 0. */
interface Refusal {
  readonly code: 'UnsupportedSyntax' | 'InvalidSyntax'
  readonly message: string
  readonly startLine: number
  readonly startColumn: number
}

/** What is TypeScript and no type, by a word of the stripper's message, and what to write instead. */
const CODE_OF_ITS_OWN: readonly (readonly [word: string, advice: string])[] = [
  ['enum', "an enum is code, not a type; write `const Color = { Red: 'red' } as const`"],
  ['namespace', 'a namespace is code, not a type; write a module (a file of its own) or an object'],
  [
    'parameter property',
    'a parameter property is code, not a type; write a field, and assign it in the constructor',
  ],
  ['import equals', "`import x = …` is code, not a type; write `import x from './x.ts'`"],
  ['export assignment', '`export =` is code, not a type; write `export { x }`'],
  ['<T>expr', 'the assertion `<T>x` cannot be taken out in its place; write `x as T`'],
]

parentPort!.on('message', (source: string) => parentPort!.postMessage(strip(source)))
parentPort!.postMessage({ kind: 'ready' } satisfies StripAnswer)

function strip(source: string): StripAnswer {
  try {
    const { code } = transformSync(source, { mode: 'strip-only', module: true })
    return { kind: 'text', text: inPlace(source, code) }
  } catch (error) {
    if (isRefusal(error)) return { kind: 'fault', fault: faultOf(source, error) }
    // A trap: its memory may be in any state.
    return { kind: 'broken' }
  }
}

function isRefusal(error: unknown): error is Refusal {
  return typeof error === 'object' && error !== null && !(error instanceof Error) && 'startLine' in error
}

/**
 * The stripper keeps positions in UTF-16; the engine counts characters: a character of two units that was taken out
 * leaves one blank.
 */
function inPlace(source: string, code: string): string {
  let text = ''
  let taken = 0
  for (const { index } of source.matchAll(/[\u{10000}-\u{10ffff}]/gu)) {
    if (code.charCodeAt(index) === source.charCodeAt(index)) continue
    text += `${code.slice(taken, index)} `
    taken = index + 2
  }
  return text + code.slice(taken)
}

function faultOf(source: string, refusal: Refusal): TypeFault {
  const { code, message, startLine } = refusal
  const advice = CODE_OF_ITS_OWN.find(([word]) => message.includes(word))?.[1]
  const said = code === 'UnsupportedSyntax' && advice !== undefined ? advice : message
  return { message: `SyntaxError: ${said}`, line: startLine, column: columnOf(source, refusal) + 1 }
}

/** In characters: found again in a text whose characters are all as wide as one on a terminal. */
function columnOf(source: string, { startLine, startColumn }: Refusal): number {
  const narrow = source.replace(/[\t\u00a0\u2028\u2029\ufeff]/g, ' ').replace(/[^\x00-\x7f]/gu, 'x')
  if (narrow === source) return startColumn
  try {
    transformSync(narrow, { mode: 'strip-only', module: true })
  } catch (error) {
    if (isRefusal(error) && error.startLine === startLine) return error.startColumn
  }
  return startColumn
}
