/**
 * Text with variables, taken apart: `http://$host/x` is `['http://', {host}, '/x']`. Whether the variables exist is
 * for others to say.
 */
import type { Template, TemplatePart, Where } from './model.ts'
import type { Problem } from './problems.ts'

/** `$name`, `${name}`, `$1`: exactly the names that `ngx_http_script_compile` takes. */
const VARIABLE = /\$(?:([1-9])|\{([A-Za-z0-9_]*)(\}?)|([A-Za-z0-9_]*))/g

/** Splits a value at its variables. */
export function parseTemplate(text: string, where: Where): Template | Problem[] {
  if (!text.includes('$')) return literalTemplate(text, where)
  const parts: TemplatePart[] = []
  const problems: Problem[] = []
  let end = 0
  for (const match of text.matchAll(VARIABLE)) {
    if (match.index > end) parts.push(text.slice(end, match.index))
    end = match.index + match[0].length
    const [whole, capture, braced, brace, bare] = match
    const name = capture ?? braced ?? bare ?? ''
    const wrong = describeMistake(whole, name, braced !== undefined && brace === '')
    if (wrong) problems.push({ where, message: wrong, severity: 'error' })
    else parts.push({ variable: name.toLowerCase() })
  }
  if (end < text.length) parts.push(text.slice(end))
  return problems.length > 0 ? problems : { text, parts, where }
}

/** Text in which a `$` is only a `$`. */
export function literalTemplate(text: string, where: Where): Template {
  return { text, parts: text === '' ? [] : [text], where }
}

export function hasVariables(template: Template): boolean {
  return template.parts.some((part) => typeof part !== 'string')
}

function describeMistake(whole: string, name: string, open: boolean): string | null {
  if (open && name !== '') return `the closing brace of "${whole}" is missing; write "\${${name}}"`
  if (name !== '') return null
  return `invalid variable name after "$"; write a name, as in "$host" or "\${host}"`
}
