// log_format: a request's values to a line, with each way of escaping.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { LogFormatModel, Template } from '../../runtime/config/model.ts'
import { compileLogFormat, escapeDefault, escapeJson, LogFormats } from '../../runtime/observe/log-format.ts'
import { fakeBinder, template, type Values } from './fake-binder.ts'

function format(escaping: LogFormatModel['escape'], text: string, values: Values): string {
  return compileLogFormat({ name: 'test', escape: escaping, template: template(text) }, fakeBinder)(values)
}

const COMBINED: Values = {
  remote_addr: '127.0.0.1',
  remote_user: undefined,
  time_local: '21/Nov/2025:10:47:00 +0000',
  request: 'GET /a HTTP/1.1',
  status: '200',
  body_bytes_sent: '2',
  http_referer: undefined,
  http_user_agent: 'curl "8"',
}

test('combined is there without being defined, under any case', () => {
  const line = '127.0.0.1 - - [21/Nov/2025:10:47:00 +0000] "GET /a HTTP/1.1" 200 2 "-" "curl \\x228\\x22"'
  const formats = new LogFormats([], fakeBinder)
  assert.is(formats.get('combined')(COMBINED), line)
  assert.is(formats.get('Combined'), formats.get('combined'))
})

// nginx-tests access_log.t: /escape/"1 %1B%1C "?c=2 with $uri$arg_b$arg_c
const ESCAPE: Values = { uri: '/escape/"1 \x1b\x1c "', arg_b: undefined, arg_c: '2' }
const ESCAPES: readonly [LogFormatModel['escape'], string][] = [
  ['default', '/escape/\\x221 \\x1B\\x1C \\x22-2'],
  ['none', '/escape/"1 \x1b\x1c "2'],
  ['json', '/escape/\\"1 \\u001B\\u001C \\"2'],
]
for (const [escaping, line] of ESCAPES) {
  test(`escape=${escaping}`, () => {
    assert.is(format(escaping, '$uri$arg_b$arg_c', ESCAPE), line)
  })
}

test('text between variables is never escaped', () => {
  assert.is(
    format('json', '{"u":"$uri","b":"$arg_b"}', ESCAPE),
    '{"u":"/escape/\\"1 \\u001B\\u001C \\"","b":""}',
  )
  assert.is(format('default', 'long "line" $arg_c', ESCAPE), 'long "line" 2')
})

test('a value that is empty but there is empty, not a dash', () => {
  assert.is(format('default', '[$a]', { a: '' }), '[]')
})

test('every byte, default', () => {
  for (let code = 0; code < 256; code++) {
    const char = String.fromCharCode(code)
    const plain = code >= 0x20 && code < 0x7f && char !== '"' && char !== '\\'
    const escaped = plain ? char : `\\x${code.toString(16).toUpperCase().padStart(2, '0')}`
    assert.is(escapeDefault(`a${char}b`), `a${escaped}b`)
  }
})

test('every byte, json: reads back as what was written', () => {
  for (let code = 0; code < 256; code++) {
    const text = `a${String.fromCharCode(code)}b`
    assert.is(JSON.parse(`"${escapeJson(text)}"`), text)
  }
  assert.is(escapeJson('\b\t\n\f\r"\\\x00\x1f'), '\\b\\t\\n\\f\\r\\"\\\\\\u0000\\u001F')
  assert.is(escapeJson('caf\xc3\xa9\x7f'), 'caf\xc3\xa9\x7f')
})

test('unknown names are errors when compiled', () => {
  assert.throws(() => new LogFormats([], fakeBinder).get('main'), 'unknown log format "main"')
  assert.throws(() => format('default', '$no_such', {}), 'unknown "no_such" variable')
})

test('a format of the configuration is found and compiled once', () => {
  let compiled = 0
  const counting = {
    ...fakeBinder,
    getter: (name: string) => {
      compiled++
      return fakeBinder.getter(name)
    },
  }
  const where: Template = template('$uri')
  const formats = new LogFormats<Values>([{ name: 'Main', escape: 'default', template: where }], counting)
  assert.is(formats.get('main')({ uri: '/x' }), '/x')
  assert.is(formats.get('MAIN')({ uri: '/y' }), '/y')
  assert.is(compiled, 1)
})

test.run()
