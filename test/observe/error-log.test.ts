// error_log: which messages are written, and that a line is one line.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { ErrorLogModel } from '../../runtime/config/model.ts'
import { connectionContext, ErrorLog, requestContext } from '../../runtime/observe/error-log.ts'
import { LogFiles } from '../../runtime/observe/log-files.ts'
import type { LogLevel } from '../../runtime/phases.ts'
import { tempDir } from '../lib/temp.ts'

function setUp(...targets: [path: string, level: ErrorLogModel['level']][]) {
  const folder = tempDir()
  const files = new LogFiles({ prefix: folder, report() {} })
  const log = new ErrorLog(
    targets.map(([path, level]) => ({ path, level })),
    files,
  )
  const read = (name = 'e.log') => readFileSync(join(folder, name), 'latin1')
  /** What stands behind `date [level] pid#tid: `, of each line. */
  const messages = (name = 'e.log') =>
    read(name)
      .split('\n')
      .slice(0, -1)
      .map((line) => line.replace(/^\S+ \S+ (\[\w+\]) \d+#\d+: /, '$1 '))
  return { log, files, read, messages }
}

function request(fields: Record<string, string> = {}, lineText = 'GET / HTTP/1.1') {
  return {
    remoteAddress: '127.0.0.1',
    client: { connectionId: 7 },
    server: { name: 'localhost' },
    head: { lineText },
    requestHeaders: { get: (name: string) => fields[name] },
  }
}

test('a line is in the file on return, with local time, level, process and thread', () => {
  const { log, read } = setUp(['e.log', 'error'])
  log.log('error', 'message')
  const line = read()
  assert.match(line, /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[error\] \d+#\d+: message\n$/)
  assert.ok(line.includes(` ${process.pid}#0: `), line)
  const now = new Date()
  const today = `${now.getFullYear()}/${String(now.getMonth() + 1).padStart(2, '0')}/`
  assert.ok(line.startsWith(today), line)
})

const LEVELS: LogLevel[] = ['debug', 'info', 'notice', 'warn', 'error', 'crit', 'alert', 'emerg']
for (const [index, level] of LEVELS.entries()) {
  test(`error_log at "${level}" takes it and worse`, () => {
    const { log, messages } = setUp(['e.log', level])
    for (const each of LEVELS) log.log(each, each)
    assert.equal(
      messages(),
      LEVELS.slice(index).map((each) => `[${each}] ${each}`),
    )
    assert.is(log.enabled(level), true)
    assert.is(index > 0 && log.enabled(LEVELS[index - 1]!), false)
  })
}

test('every target has its own level; one file named twice gets two lines', () => {
  const { log, messages } = setUp(['a.log', 'warn'], ['b.log', 'alert'], ['a.log', 'error'])
  log.log('warn', 'one')
  log.log('error', 'two')
  assert.equal(messages('a.log'), ['[warn] one', '[error] two', '[error] two'])
  assert.equal(messages('b.log'), [])
})

test('a request is told with connection, client, server, request, upstream, host and referrer', () => {
  const { log, messages } = setUp(['e.log', 'info'])
  log.logFor(
    request({ host: 'a.test', referer: 'http://b.test/' }),
    'error',
    'failed',
    'http://127.0.0.1:81/x',
  )
  log.logFor(request({}, ''), 'info', 'client closed connection')
  assert.equal(messages(), [
    '[error] *7 failed, client: 127.0.0.1, server: localhost, request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:81/x", host: "a.test", referrer: "http://b.test/"',
    '[info] *7 client closed connection, client: 127.0.0.1, server: localhost',
  ])
})

test('a connection without a request is told with its listening address', () => {
  const { log, messages } = setUp(['e.log', 'info'])
  log.log('info', 'client timed out', connectionContext('::1', '[::1]:80'), 3)
  assert.equal(messages(), ['[info] *3 client timed out, client: ::1, server: [::1]:80'])
})

test('no value can end the line, begin the next field or drive a terminal', () => {
  const forged = 'x"\n2026/01/01 00:00:00 [emerg] 1#1: forged\r\x1b[2J'
  const { log, read, messages } = setUp(['e.log', 'info'])
  log.logFor(request({ host: forged }, 'GET /" , host: "evil'), 'error', 'bad\nname')
  assert.is(read().split('\n').length, 2)
  assert.equal(messages(), [
    '[error] *7 bad\\x0Aname, client: 127.0.0.1, server: localhost, request: "GET /\\x22 , host: \\x22evil", host: "x\\x22\\x0A2026/01/01 00:00:00 [emerg] 1#1: forged\\x0D\\x1B[2J"',
  ])
})

test('bytes above ASCII stay', () => {
  const { log, messages } = setUp(['e.log', 'info'])
  log.log('info', 'caf\xc3\xa9')
  assert.equal(messages(), ['[info] caf\xc3\xa9'])
})

test('a line is at most 4096 bytes', () => {
  const { log, read } = setUp(['e.log', 'info'])
  log.log('info', 'x'.repeat(100_000))
  assert.is(read().length, 4097)
  assert.ok(read().endsWith('x...\n'))
})

test('a message below every level costs no context', () => {
  const { log } = setUp(['e.log', 'error'])
  const untouched = new Proxy({}, { get: () => assert.unreachable() }) as ReturnType<typeof request>
  log.logFor(untouched, 'info', 'not written')
})

test('no target at all is no error', () => {
  const { log } = setUp()
  log.log('emerg', 'nowhere')
  assert.is(log.enabled('emerg'), false)
})

test('requestContext is the tail alone', () => {
  assert.is(requestContext(request()), ', client: 127.0.0.1, server: localhost, request: "GET / HTTP/1.1"')
})

test.run()
