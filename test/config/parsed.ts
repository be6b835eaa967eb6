// What the tests of the language share: parse a literal text as /etc/sluice/sluice.conf, look at it without places.

import { formatProblem, parseConfig } from '../../runtime/config/parse.ts'

export type Files = Readonly<Record<string, string>>

export const FILE = '/etc/sluice/sluice.conf'

/** Parses `text`; includes and scripts come from `files` (absolute path to contents). */
export function parse(text: string, files: Files = {}) {
  const readFile = (path: string) => {
    if (Object.hasOwn(files, path)) return files[path]!
    throw Object.assign(new Error(`no file ${path}`), { code: 'ENOENT' })
  }
  return parseConfig({ file: FILE, prefix: '/srv', text, readFile })
}

/** Every problem as `LINE:COLUMN: message`; of other files with their name. */
export function problemsOf(text: string, files: Files = {}): string[] {
  return parse(text, files).problems.map((problem) => formatProblem(problem).replace(`${FILE}:`, ''))
}

/** The model of a text that has no errors. */
export function modelOf(text: string, files: Files = {}) {
  const { model, problems } = parse(text, files)
  if (model === null) throw new Error(problems.map(formatProblem).join('\n'))
  return model
}

/** The http block of a text that has no errors. */
export function httpOf(text: string, files: Files = {}) {
  return modelOf(`http {\n${text}\n}`, files).http!
}

/** The one location of a server that holds `text`. */
export function locationOf(text: string, match = '/') {
  return httpOf(`server { listen 80; location ${match} {\n${text}\n} }`).servers[0]!.locations[0]!
}

/** Without places; a template is its text, a pattern its translation. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  if ('parts' in value && 'text' in value) return value.text
  if ('flags' in value && 'source' in value) return `/${value.source}/${value.flags}`
  const entries = Object.entries(value).filter(([key]) => key !== 'where')
  return Object.fromEntries(entries.map(([key, member]) => [key, plain(member)]))
}
