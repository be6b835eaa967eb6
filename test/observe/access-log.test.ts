// access_log: which line goes to which file.

import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { AccessLogModel } from '../../runtime/config/model.ts'
import { compileAccessLogs } from '../../runtime/observe/access-log.ts'
import { LogFiles } from '../../runtime/observe/log-files.ts'
import { LogFormats } from '../../runtime/observe/log-format.ts'
import { tempDir } from '../lib/temp.ts'
import { fakeBinder, template, type Values } from './fake-binder.ts'

interface LogLine {
  readonly path: string
  readonly if?: string
  readonly format?: string
  readonly buffer?: number
}

function setUp(lines: readonly LogLine[]) {
  const folder = tempDir()
  const reports: string[] = []
  const report = (level: string, message: string) => {
    reports.push(`[${level}] ${message}`)
  }
  const files = new LogFiles({ prefix: folder, report })
  const formats = new LogFormats(
    [
      { name: 'test', escape: 'default' as const, template: template('$uri:$status') },
      { name: 'long', escape: 'default' as const, template: template('long line $uri:$status') },
    ],
    fakeBinder,
  )
  const models = lines.map((line): AccessLogModel => {
    return {
      where: { file: 'test.conf', line: 1, column: 1 },
      path: template(line.path),
      format: line.format ?? 'test',
      condition: line.if === undefined ? null : template(line.if),
      buffer: line.buffer ?? 0,
      flush: 0,
      gzip: 0,
    }
  })
  const logs = compileAccessLogs(models, { formats, binder: fakeBinder, files, report })
  const write = (values: Values) => {
    for (const log of logs) log.write({ status: '200', ...values })
  }
  const read = (name: string) => {
    files.flushAll()
    return readFileSync(join(folder, name), 'latin1')
  }
  return { folder, files, reports, write, read }
}

test('several logs of one level each get their line', () => {
  const { write, read } = setUp([{ path: 'a.log' }, { path: 'b.log' }, { path: 'long.log', format: 'long' }])
  write({ uri: '/multi' })
  assert.is(read('a.log'), '/multi:200\n')
  assert.is(read('b.log'), '/multi:200\n')
  assert.is(read('long.log'), 'long line /multi:200\n')
})

test('if= leaves out what is empty or "0"', () => {
  const { write, read } = setUp([{ path: 'a.log', if: '$logme' }])
  write({ uri: '/absent' })
  write({ uri: '/empty', logme: '' })
  write({ uri: '/zero', logme: '0' })
  write({ uri: '/good', logme: '1' })
  write({ uri: '/zeros', logme: '00' })
  assert.is(read('a.log'), '/good:200\n/zeros:200\n')
})

test('if= of several variables is one text', () => {
  const { write, read } = setUp([{ path: 'a.log', if: '$a$b' }])
  write({ uri: '/one', a: '1' })
  write({ uri: '/zeros', a: '0', b: '0' })
  write({ uri: '/neither', a: '', b: '' })
  assert.is(read('a.log'), '/one:200\n/zeros:200\n')
})

test('two logs with a buffer and a condition each share the file', () => {
  const { write, read } = setUp([
    { path: 'a.log', buffer: 16384, if: '$a' },
    { path: 'a.log', buffer: 16384, if: '$b' },
  ])
  write({ uri: '/1', a: '0' })
  write({ uri: '/2', a: '1' })
  write({ uri: '/3', b: '1' })
  assert.is(read('a.log'), '/2:200\n/3:200\n')
})

test('a path with variables makes a file for each value', () => {
  const { folder, files, write, read } = setUp([{ path: 'var_$name' }])
  write({ uri: '/none' })
  write({ uri: '/zero', name: '0' })
  write({ uri: '/file', name: 'file' })
  write({ uri: '/again', name: 'file' })
  files.flushAll()
  assert.equal(readdirSync(folder).sort(), ['var_', 'var_0', 'var_file'])
  assert.is(read('var_file'), '/file:200\n/again:200\n')
})

test('a variable cannot lead the path elsewhere', () => {
  const { folder, files, reports, write } = setUp([{ path: 'sub/$name.log' }])
  mkdirSync(join(folder, 'sub'))
  write({ uri: '/', name: '../../escaped' })
  write({ uri: '/', name: 'x/../y' })
  write({ uri: '/', name: 'cut\0' })
  write({ uri: '/', name: '..fine' })
  files.flushAll()
  assert.equal(readdirSync(join(folder, 'sub')), ['..fine.log'])
  assert.equal(reports, ['[crit] access_log path "sub/../../escaped.log" is not one that a request may make'])
})

test('folders are never made; the failure is told once', () => {
  const { folder, reports, write } = setUp([{ path: '$name/a.log' }])
  for (let i = 0; i < 3; i++) write({ uri: '/', name: 'no-such' })
  assert.equal(readdirSync(folder), [])
  assert.equal(reports, [`[crit] open() "${folder}/no-such/a.log" failed (2: No such file or directory)`])
})

test('a path in a folder that does not exist is an error at compile time', () => {
  assert.throws(
    () => setUp([{ path: 'no/such/a.log' }]),
    /^open\(\) ".*" failed \(2: No such file or directory\)$/,
  )
})

test('an unknown format is an error at compile time', () => {
  assert.throws(() => setUp([{ path: 'a.log', format: 'main' }]), 'unknown log format "main"')
})

test.run()
