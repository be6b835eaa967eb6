// Text with variables, split.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTemplate } from '../../runtime/config/template.ts'

const where = { file: 'f', line: 1, column: 1 }

function parts(text: string): unknown {
  const parsed = parseTemplate(text, where)
  return 'parts' in parsed
    ? parsed.parts.map((part) => (typeof part === 'string' ? part : [part.variable]))
    : null
}

function messages(text: string): string[] {
  const parsed = parseTemplate(text, where)
  return Array.isArray(parsed) ? parsed.map((problem) => problem.message) : []
}

test('constant parts and variables alternate', () => {
  assert.equal(parts(''), [])
  assert.equal(parts('plain'), ['plain'])
  assert.equal(parts('http://$host:$server_port/x'), ['http://', ['host'], ':', ['server_port'], '/x'])
  assert.equal(parts('$a$b'), [['a'], ['b']])
})

test('braces end a name, one digit is a capture', () => {
  assert.equal(parts(`\${a}b`), [['a'], 'b'])
  assert.equal(parts('$1234'), [['1'], '234'])
  assert.equal(parts('$0x'), [['0x']])
  assert.equal(parts(`\${1}`), [['1']])
})

test('names are case-insensitive, and are kept in lower case', () => {
  assert.equal(parts('$arg_userId$Host'), [['arg_userid'], ['host']])
})

test('a dollar without a name is a mistake', () => {
  const message = `invalid variable name after "$"; write a name, as in "$host" or "\${host}"`
  assert.equal(messages('$'), [message])
  assert.equal(messages('a$-b'), [message])
  assert.equal(messages(`\${}`), [message])
  assert.equal(messages('$$a'), [message])
  assert.equal(messages(`\${a`), [`the closing brace of "\${a" is missing; write "\${a}"`])
  assert.equal(messages(`\${a-b}`), [`the closing brace of "\${a" is missing; write "\${a}"`])
})

test.run()
