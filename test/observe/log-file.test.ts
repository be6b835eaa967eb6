// Log files: what ends up in the file, when, and what happens when the file does not take it.

import { spawnSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
} from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LogFile } from '../../runtime/observe/log-file.ts'
import { LogFiles } from '../../runtime/observe/log-files.ts'
import { tempDir } from '../lib/temp.ts'

const reports: string[] = []
const report = (level: string, message: string) => {
  reports.push(`[${level}] ${message}`)
}
test.before.each(() => {
  reports.length = 0
})

const read = (path: string) => readFileSync(path, 'latin1')

/** Resolves when the file holds `count` bytes. */
async function size(path: string, count: number): Promise<string> {
  const deadline = Date.now() + 3000
  while (read(path).length < count && Date.now() < deadline) await new Promise((next) => setTimeout(next, 2))
  return read(path)
}

test('lines of one turn are in the file after it, in order, bytes as they are', async () => {
  const path = join(tempDir(), 'a.log')
  const file = new LogFile(path, report)
  file.append('one')
  file.append('caf\xc3\xa9')
  assert.is(read(path), '', 'nothing is written while the turn lasts')
  assert.is(await size(path, 10), 'one\ncaf\xc3\xa9\n')
  file.close()
})

test('lines that come while a write is under way follow it', async () => {
  const path = join(tempDir(), 'a.log')
  const file = new LogFile(path, report)
  const expected: string[] = []
  for (let turn = 0; turn < 50; turn++) {
    for (let i = 0; i < 20; i++) {
      const line = `${turn}.${i}`
      expected.push(line)
      file.append(line)
    }
    await new Promise((next) => setImmediate(next))
  }
  const text = `${expected.join('\n')}\n`
  assert.is(await size(path, text.length), text)
  file.close()
})

test('an existing file is appended to; flush and close write at once', () => {
  const path = join(tempDir(), 'a.log')
  const first = new LogFile(path, report)
  first.append('one')
  first.flush()
  assert.is(read(path), 'one\n')
  first.append('two')
  first.close()
  first.append('after the end')
  const second = new LogFile(path, report)
  second.appendNow('three')
  assert.is(read(path), 'one\ntwo\nthree\n')
  second.close()
})

test('a name of bytes above ASCII is the same bytes on disk', () => {
  const folder = tempDir()
  new LogFile(join(folder, 'caf\xc3\xa9.log'), report).close()
  assert.equal(readdirSync(folder), ['café.log'])
})

test('a buffer goes out when the next line does not fit, and a line larger than it at once', async () => {
  const path = join(tempDir(), 'a.log')
  const file = new LogFile(path, report, { size: 10, flush: 0, gzip: 0 })
  file.append('1234')
  file.append('123')
  await new Promise((next) => setTimeout(next, 20))
  assert.is(read(path), '')
  file.append('x')
  assert.is(await size(path, 9), '1234\n123\n')
  file.append('longer than ten')
  assert.is(await size(path, 27), '1234\n123\nx\nlonger than ten\n')
  file.close()
})

test('a buffer goes out after its flush time', async () => {
  const path = join(tempDir(), 'a.log')
  const file = new LogFile(path, report, { size: 65536, flush: 10, gzip: 0 })
  file.append('waits')
  assert.is(await size(path, 6), 'waits\n')
  file.close()
})

test('each buffer is a gzip member of its own; together they are the log', async () => {
  const path = join(tempDir(), 'a.log')
  const file = new LogFile(path, report, { size: 8, flush: 0, gzip: 6 })
  for (const line of ['first', 'second', 'third', 'fourth']) file.append(line)
  file.close()
  const bytes = readFileSync(path)
  assert.is(gunzipSync(bytes).toString('latin1'), 'first\nsecond\nthird\nfourth\n')
  const members = bytes.toString('latin1').split('\x1f\x8b\x08').length - 1
  assert.ok(members >= 2, `${members} members`)
})

test('reopen goes on in a new file of the name', async () => {
  const folder = tempDir()
  const path = join(folder, 'a.log')
  const file = new LogFile(path, report)
  file.append('old')
  renameSync(path, join(folder, 'a.log.1'))
  file.reopen()
  file.append('new')
  file.close()
  assert.is(read(join(folder, 'a.log.1')), 'old\n')
  assert.is(read(path), 'new\n')
})

/** Descriptors of this process on files of a folder. */
function openIn(folder: string): number {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  })
  return targets.filter((target) => target.startsWith(folder)).length
}

test('reopen while a write is under way loses nothing and leaks no descriptor', async () => {
  const folder = tempDir()
  const path = join(folder, 'a.log')
  const file = new LogFile(path, report)
  file.append('x'.repeat(1 << 20))
  await new Promise((next) => setImmediate(next)) // the write has begun
  renameSync(path, join(folder, 'a.log.1'))
  file.reopen()
  file.reopen()
  file.append('new')
  assert.is(await size(path, 4), 'new\n')
  assert.is((await size(join(folder, 'a.log.1'), (1 << 20) + 1)).length, (1 << 20) + 1)
  while (openIn(folder) > 1) await new Promise((next) => setImmediate(next))
  assert.is(openIn(folder), 1)
  file.close()
})

test('a file that cannot be reopened stays the old one, and is reported', async () => {
  const folder = tempDir()
  const path = join(folder, 'sub', 'a.log')
  spawnSync('mkdir', [join(folder, 'sub')])
  const file = new LogFile(path, report)
  renameSync(join(folder, 'sub'), join(folder, 'moved'))
  file.reopen()
  file.append('still here')
  file.close()
  assert.is(read(join(folder, 'moved', 'a.log')), 'still here\n')
  assert.equal(reports, [`[emerg] open() "${path}" failed (2: No such file or directory)`])
})

test('a full disk is reported once, and lines are dropped meanwhile', async () => {
  const file = new LogFile('/dev/full', report)
  file.appendNow('one')
  file.appendNow('two')
  file.append('three')
  file.close()
  assert.equal(reports, ['[alert] write() to "/dev/full" failed (28: No space left on device)'])
})

function pipe(): { path: string; reader: number } {
  const path = join(tempDir(), 'pipe')
  assert.is(spawnSync('mkfifo', [path]).status, 0)
  return { path, reader: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) }
}

function drain(reader: number): string {
  const block = Buffer.alloc(1 << 16)
  let text = ''
  for (;;) {
    try {
      const count = readSync(reader, block)
      if (count === 0) return text
      text += block.toString('latin1', 0, count)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return text
      throw error
    }
  }
}

test('a reader that stalls costs bounded memory; what is dropped is counted', async () => {
  const { path, reader } = pipe()
  const file = new LogFile(path, report)
  const line = 'x'.repeat(65535)
  const sent = 16 * 20
  for (let i = 0; i < sent; i++) {
    file.append(line)
    if (i % 10 === 0) await new Promise((next) => setImmediate(next))
  }
  let got = 0
  const deadline = Date.now() + 5000
  while (reports.length === 0 && Date.now() < deadline) {
    got += drain(reader).length
    await new Promise((next) => setTimeout(next, 1))
  }
  const dropped = Number(/^\[alert\] (\d+) lines for ".*pipe" were dropped/.exec(reports[0] ?? '')?.[1])
  assert.ok(dropped > 0 && dropped < sent, reports[0])
  while (got < (sent - dropped) * 65536 && Date.now() < deadline) {
    got += drain(reader).length
    await new Promise((next) => setTimeout(next, 1))
  }
  assert.is(got, (sent - dropped) * 65536)
  file.close()
  closeSync(reader)
})

test('closing a file whose reader stalls does not hang', () => {
  const { path, reader } = pipe()
  const file = new LogFile(path, report)
  file.appendNow('x'.repeat(1 << 20))
  file.close()
  const got = drain(reader).length
  assert.ok(got > 0 && got < 1 << 20, `${got} bytes`)
  closeSync(reader)
})

test('a pipe without a reader is an error, not a start that hangs', () => {
  const path = join(tempDir(), 'pipe')
  spawnSync('mkfifo', [path])
  assert.throws(
    () => new LogFile(path, report),
    (error: Error) => error.message === `open() "${path}" failed (6: No such device or address)`,
  )
})

const UNUSABLE: readonly [string, RegExp][] = [
  [
    '/no/such/folder/a.log',
    /^open\(\) "\/no\/such\/folder\/a\.log" failed \(2: No such file or directory\)$/,
  ],
  ['/tmp', /^open\(\) "\/tmp" failed \(21: Is a directory\)$/],
  ['syslog:server=127.0.0.1', /^logging to syslog is not built yet/],
]
for (const [path, message] of UNUSABLE) {
  test(`"${path}" is refused`, () => {
    assert.throws(() => new LogFiles({ prefix: '/', report }).get(path), message)
  })
}

test('the standard streams are used as they are', () => {
  const script = `import { LogFiles } from ${JSON.stringify(new URL('../../runtime/observe/log-files.js', import.meta.url).href)}
    const files = new LogFiles({ prefix: '/', report() {} })
    files.get('stderr').append('to stderr')
    files.get('/dev/stderr').append('to the device')
    files.get('/dev/stdout').append('to stdout')
    files.reopenAll()
    files.close()
    console.log('still open')`
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'latin1' })
  assert.is(result.stderr, 'to stderr\nto the device\n')
  assert.is(result.stdout, 'to stdout\nstill open\n')
})

test('one path is one file; relative paths stand in the prefix', () => {
  const folder = tempDir()
  const files = new LogFiles({ prefix: folder, report })
  assert.is(files.get('a.log'), files.get(join(folder, 'a.log')))
  assert.is(files.size, 1)
  files.close()
  assert.is(files.size, 0)
})

test('logs of one file share its buffer; another buffer is refused', () => {
  const files = new LogFiles({ prefix: tempDir(), report })
  const file = files.get('a.log', { size: 1024, flush: 0, gzip: 0 })
  assert.is(files.get('a.log', { size: 1024, flush: 0, gzip: 0 }), file)
  assert.is(files.get('a.log'), file)
  assert.throws(
    () => files.get('a.log', { size: 2048, flush: 0, gzip: 0 }),
    /already defined with another buffer/,
  )
  files.close()
})

test('files of changing paths: the least recently used is closed beyond the bound', () => {
  const folder = tempDir()
  const files = new LogFiles({ prefix: folder, report, maxChanging: 2 })
  const a = files.changing('a.log')
  files.changing('b.log')
  assert.is(files.changing('a.log'), a)
  files.changing('c.log') // closes b
  assert.is(files.size, 2)
  assert.is(files.changing('a.log'), a)
  files.close()
})

test('files of changing paths are closed when nobody writes to them, with what they held', async () => {
  const folder = tempDir()
  const files = new LogFiles({ prefix: folder, report, idle: 20 })
  files.changing('a.log').append('kept')
  const deadline = Date.now() + 3000
  while (files.size > 0 && Date.now() < deadline) await new Promise((next) => setTimeout(next, 5))
  assert.is(files.size, 0)
  assert.is(read(join(folder, 'a.log')), 'kept\n')
})

test('a changing path that is also a fixed one is the same file', () => {
  const files = new LogFiles({ prefix: tempDir(), report })
  const fixed = files.get('b.log')
  assert.is(files.changing('b.log'), fixed)
  assert.is(files.size, 1)
  files.close()
})

test('reopenAll reopens every file', () => {
  const folder = tempDir()
  const files = new LogFiles({ prefix: folder, report })
  files.get('a.log').append('one')
  files.changing('b.log').append('one')
  for (const name of ['a.log', 'b.log']) renameSync(join(folder, name), join(folder, `${name}.1`))
  files.reopenAll()
  files.get('a.log').append('two')
  files.changing('b.log').append('two')
  files.flushAll()
  for (const name of ['a.log', 'b.log']) {
    assert.is(read(join(folder, `${name}.1`)), 'one\n')
    assert.is(read(join(folder, name)), 'two\n')
  }
  assert.ok(existsSync(join(folder, 'a.log')))
  files.close()
})

test.run()
