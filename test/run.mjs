// `npm test`: builds, runs every compiled test file in a process of its own, two at a time, each under a time limit,
// and adds up what uvu says. Knows nothing of what the tests test.
//
//   npm test                           everything
//   npm test -- http1 proxy/upgrade    only files whose path contains one of the words
//   node test/run.mjs --out DIR [...]  runs what is already built in DIR, without installing or building
//
// The last line is always `N passed, N failed`: totals over all files. A file that crashes, runs out of time or holds
// no test counts as one failed.

import { spawn } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { build, ensureInstalled, ensureSystem, ROOT } from './setup.mjs'

const AT_A_TIME = 2
const TIME_LIMIT = Number(process.env.TEST_TIME_LIMIT ?? 60) * 1000
const SYSTEM_NEEDS = [
  { name: 'nginx', package: 'nginx' },
  { name: 'redis-server', package: 'redis-server' },
  { name: 'chromium', package: 'chromium' },
]

const { output, words } = readArguments(process.argv.slice(2))
const testRoot = join(output ?? join(ROOT, 'dist'), 'test')
const running = new Set()

if (output === null) {
  ensureInstalled()
  ensureSystem(SYSTEM_NEEDS)
  build()
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))
process.on('exit', stopRunning)

const files = testFiles(testRoot).filter(
  (file) => words.length === 0 || words.some((word) => file.includes(word)),
)
const totals = { passed: 0, failed: 0, skipped: 0 }
const waiting = [...files]
await Promise.all(Array.from({ length: AT_A_TIME }, runWaiting))

if (files.length === 0) process.stderr.write(`no test file in ${testRoot} matches ${words.join(' ')}\n`)
if (totals.skipped > 0) process.stdout.write(`${totals.skipped} skipped\n`)
process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`)
process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1

async function runWaiting() {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const result = await runFile(file)
    totals.passed += result.passed
    totals.failed += result.failed
    totals.skipped += result.skipped
    report(file, result)
  }
}

/** Runs one file; resolves with its counts, what it printed, and a note if it did not end well. */
function runFile(file) {
  const started = Date.now()
  // A process group of its own, so that nothing that a test started outlives it.
  const child = spawn(process.execPath, ['--enable-source-maps', join(testRoot, file)], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined },
  })
  running.add(child)
  let text = ''
  let timedOut = false
  const collect = (chunk) => {
    text += chunk
  }
  child.stdout.setEncoding('utf8').on('data', collect)
  child.stderr.setEncoding('utf8').on('data', collect)
  const timer = setTimeout(() => {
    timedOut = true
    killGroup(child)
  }, TIME_LIMIT)
  return new Promise((done) => {
    child.on('exit', () => killGroup(child))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      running.delete(child)
      const ending = timedOut ? `stopped after ${TIME_LIMIT / 1000} s` : signal ? `ended by ${signal}` : code
      done({ ...judge(text, ending), text, milliseconds: Date.now() - started })
    })
  })
}

/** Counts of one file: uvu's own, and one more failure if the process ended in a way that they do not explain. */
function judge(text, ending) {
  const plain = text.replace(/\x1b\[[0-9;]*m/g, '')
  const last = (word) => Number([...plain.matchAll(new RegExp(`^ *${word}: +(\\d+)`, 'gm'))].at(-1)?.[1] ?? 0)
  const total = last('Total')
  const passed = last('Passed')
  const skipped = last('Skipped')
  const failed = Math.max(0, total - passed)
  if (ending === 0 && total > 0) return { passed, failed, skipped, note: null }
  if (ending === 0) return { passed, failed: 1, skipped, note: 'no test ran' }
  if (ending === 1 && failed > 0) return { passed, failed, skipped, note: null }
  return {
    passed,
    failed: failed + 1,
    skipped,
    note: typeof ending === 'string' ? ending : `exit code ${ending}`,
  }
}

function report(file, { passed, failed, skipped, note, text, milliseconds }) {
  const counts = [`${passed} passed`, failed && `${failed} failed`, skipped && `${skipped} skipped`, note]
  const mark = failed === 0 ? 'ok  ' : 'FAIL'
  process.stdout.write(`${mark} ${file}  ${counts.filter(Boolean).join(', ')}  (${milliseconds} ms)\n`)
  if (failed > 0) process.stdout.write(`${text.trim().replace(/^/gm, '     ')}\n`)
}

function testFiles(folder) {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return []
  const names = readdirSync(folder, { recursive: true })
  return names.filter((name) => name.endsWith('.test.js')).sort()
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nothing of the group is left.
  }
}

function stopRunning() {
  for (const child of running) killGroup(child)
}

function readArguments(args) {
  const at = args.indexOf('--out')
  if (at === -1) return { output: null, words: args }
  const folder = args[at + 1]
  if (folder === undefined) throw new Error('--out needs a folder')
  return { output: resolve(folder), words: args.filter((_, i) => i !== at && i !== at + 1).map(relativeWord) }
}

function relativeWord(word) {
  return word.startsWith('/') ? relative(testRoot, word) : word
}
