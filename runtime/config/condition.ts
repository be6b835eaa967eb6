/** The condition of `if ( … )` (`ngx_http_rewrite_if_condition`). */
import type { Word } from './lexer.ts'
import type { Condition } from './model.ts'
import type { Call } from './scope.ts'

const FORMS = '"if ($variable)", "if ($variable = text)", "if ($variable ~ pattern)" or "if (-f path)"'

const FILE_TESTS: Readonly<Record<string, Extract<Condition, { kind: 'file' }>['test']>> = {
  f: 'file',
  d: 'directory',
  e: 'exists',
  x: 'executable',
}

/** null: a problem has been reported. */
export function parseCondition(call: Call): Condition | null {
  const words = withoutParentheses(call)
  const [first, operator, value] = words ?? []
  if (!words || !first || words.length > 3) return words && refuse(call, first ?? call.args[0]!)
  if (first.text.length > 1 && first.text.startsWith('$')) {
    const name = { text: first.text.slice(1).toLowerCase(), where: first.where }
    if (!/^[a-z0-9_]+$/.test(name.text)) return refuse(call, first)
    if (/^[1-9]$/.test(name.text)) {
      call.run.error(
        first.where,
        `a capture cannot be tested; write "set $name ${first.text};" before and test "$name"`,
      )
      return null
    }
    call.run.useVariable(name)
    if (!operator) return { kind: 'true', variable: name.text }
    return value ? compare(call, name.text, operator, value) : refuse(call, operator)
  }
  const test = /^(!?)-([fdex])$/.exec(first.text)
  if (!test || !operator || value) return refuse(call, first)
  const path = call.run.template(operator)
  return { kind: 'file', test: FILE_TESTS[test[2]!]!, path, negate: test[1] === '!' }
}

function compare(call: Call, variable: string, operator: Word, value: Word): Condition | null {
  const negate = operator.text.startsWith('!')
  switch (operator.text) {
    case '=':
    case '!=':
      return { kind: 'equal', variable, value: call.run.template(value), negate }
    case '~':
    case '~*':
    case '!~':
    case '!~*': {
      const pattern = call.run.pattern(value, value.text, operator.text.endsWith('*'))
      return pattern && { kind: 'match', variable, pattern, negate }
    }
  }
  call.run.error(
    operator.where,
    `unexpected "${operator.text}" in a condition; write "=", "!=", "~", "~*", "!~" or "!~*"`,
  )
  return null
}

/** The words between `(` and `)`, which may stick to the first and the last of them. */
function withoutParentheses(call: Call): Word[] | null {
  const words = [...call.args]
  const first = words[0]!
  const last = words.at(-1)!
  if (
    !first.text.startsWith('(') ||
    !last.text.endsWith(')') ||
    (words.length === 1 && first.text.length < 2)
  ) {
    call.run.error(first.where, 'a condition stands in parentheses; write "if ($variable)"')
    return null
  }
  words[0] = { ...first, text: first.text.slice(1) }
  const end = words.at(-1)!
  words[words.length - 1] = { ...end, text: end.text.slice(0, -1) }
  if (words[0]!.text === '' && first.text === '(') words.shift()
  if (words.at(-1)?.text === '' && last.text === ')') words.pop()
  return words
}

function refuse(call: Call, word: Word): null {
  call.run.error(word.where, `invalid condition "${word.text}"; write ${FORMS}`)
  return null
}
