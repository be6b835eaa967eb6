/** Colours for a terminal: none where output is no terminal, or where NO_COLOR asks for none (no-color.org). */
import { inspect } from 'node:util'

const NAMES = ['bold', 'dim', 'green', 'yellow', 'red', 'cyan'] as const

export type Style = Readonly<Record<(typeof NAMES)[number], (text: string) => string>>

/** @param terminal whether the output is one */
export function makeStyle(terminal: boolean, env: NodeJS.ProcessEnv = process.env): Style {
  const coloured = terminal && !env.NO_COLOR && env.TERM !== 'dumb'
  return Object.fromEntries(NAMES.map((name) => [name, coloured ? paint(name) : plain])) as Style
}

function paint(name: string): (text: string) => string {
  const [on, off] = inspect.colors[name]!
  return (text) => `\x1b[${on}m${text}\x1b[${off}m`
}

function plain(text: string): string {
  return text
}
