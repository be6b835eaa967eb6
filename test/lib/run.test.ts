// The test runner itself: what it counts and when it fails. Runs it on small build folders made here.

import { spawnSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tempDir, writeFiles } from './temp.ts'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const HEAD = "import { test } from 'uvu'\n"
const PASSES = "test('passes', () => {})\n"
const FAILS = "test('fails', () => { throw new Error('reason') })\n"

function run(files: Record<string, string>, words: string[] = []): { lines: string[]; code: number | null } {
  const folder = tempDir()
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const inTest = Object.entries(files).map(([name, text]) => [`test/${name}`, HEAD + text])
  writeFiles(folder, { 'package.json': '{"type":"module"}', ...Object.fromEntries(inTest) })
  const env = { ...process.env, TEST_TIME_LIMIT: '2' }
  const args = [join(ROOT, 'test/run.mjs'), '--out', folder, ...words]
  const result = spawnSync(process.execPath, args, { encoding: 'utf8', env, timeout: 30_000 })
  return { lines: result.stdout.trim().split('\n'), code: result.status }
}

test('counts are summed over files, in the last line', () => {
  const { lines, code } = run({
    'a.test.js': `${PASSES}${PASSES}test.run()`,
    'b/c.test.js': `${PASSES}test.skip('later', () => {})\ntest.run()`,
    'b/not-a-test.js': 'throw new Error()',
  })
  assert.is(lines.at(-1), '3 passed, 0 failed')
  assert.is(lines.at(-2), '1 skipped')
  assert.is(code, 0)
})

test('a failing test fails the run and shows its output', () => {
  const { lines, code } = run({ 'a.test.js': `${PASSES}${FAILS}test.run()` })
  assert.is(lines.at(-1), '1 passed, 1 failed')
  assert.ok(lines.some((line) => line.includes('reason')))
  assert.is(code, 1)
})

const BAD_ENDINGS: readonly [string, string, RegExp][] = [
  ['throws on load', `throw new Error('boom')`, /exit code 1/],
  ['never ends', `${PASSES}test.run()\nsetInterval(() => {}, 1000)`, /1 passed, 1 failed, stopped after 2 s/],
  ['holds no test', 'console.log(1)', /no test ran/],
  ['is killed', "process.kill(process.pid, 'SIGKILL')", /ended by SIGKILL/],
  ['ends before its tests', "test('waits', () => new Promise(() => {}))\ntest.run()", /FAIL/],
  [
    'throws after its tests',
    `${PASSES}test.run()\nsetTimeout(() => { throw new Error('late') }, 50)`,
    /exit code 1/,
  ],
]
for (const [what, text, note] of BAD_ENDINGS) {
  test(`a file that ${what} counts as failed`, () => {
    const { lines, code } = run({ 'a.test.js': text, 'b.test.js': `${PASSES}test.run()` })
    assert.match(lines.at(-1)!, /^[12] passed, 1 failed$/)
    assert.ok(
      lines.some((line) => note.test(line)),
      lines.join('\n'),
    )
    assert.is(code, 1)
  })
}

test('words choose files; none chosen is a failure', () => {
  const files = { 'a.test.js': `${PASSES}test.run()`, 'b/c.test.js': `${FAILS}test.run()` }
  assert.is(run(files, ['a.test']).lines.at(-1), '1 passed, 0 failed')
  const none = run(files, ['nothing'])
  assert.is(none.lines.at(-1), '0 passed, 0 failed')
  assert.is(none.code, 1)
})

test.run()
