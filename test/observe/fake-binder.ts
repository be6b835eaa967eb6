// Requests as plain records of variables, for tests of logs.

import type { Template, TemplatePart } from '../../runtime/config/model.ts'
import type { LogBinder } from '../../runtime/observe/log-format.ts'

export type Values = Readonly<Record<string, string | undefined>>

/** `"a$b"` as the configuration's parser splits it. */
export function template(text: string): Template {
  const parts = text
    .split(/(\$\w+)/)
    .filter((part) => part !== '')
    .map((part): TemplatePart => (part.startsWith('$') ? { variable: part.slice(1) } : part))
  return { text, parts, where: { file: 'test.conf', line: 1, column: 1 } }
}

/** Every name but `no_such` is a variable. */
export const fakeBinder: LogBinder<Values> = {
  bind: ({ parts }) => {
    return (values) =>
      parts.map((part) => (typeof part === 'string' ? part : (values[part.variable] ?? ''))).join('')
  },
  constant: ({ parts, text }) => (parts.every((part) => typeof part === 'string') ? text : null),
  getter: (name) => (name === 'no_such' ? null : (values) => values[name]),
}
