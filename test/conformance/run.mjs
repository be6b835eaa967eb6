// Runs nginx's own test suite against Sluice (or another program) and counts what passes. See README.md.

import { writeFileSync } from 'node:fs'
import { Isolation } from './isolation.mjs'
import { readOptions } from './options.mjs'
import { judge } from './tap.mjs'

const options = readOptions(process.argv.slice(2))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

const isolation = new Isolation(options)
const jobs = isolation.separate ? (options.jobs ?? 2) : 1
const results = new Map(options.files.map((file) => [file, null]))
const waiting = [...options.files]
const started = Date.now()
await Promise.all(Array.from({ length: jobs }, runWaiting))
const list = [...results.values()]

if (options.markdown) process.stdout.write(`\n${markdown(list)}`)
if (options.json !== null) writeFileSync(options.json, `${JSON.stringify(list, null, 2)}\n`)
if (options.keep) process.stdout.write(`kept: ${isolation.folder}\n`)
process.stdout.write(`${summary(list)} (${Math.round((Date.now() - started) / 1000)} s)\n`)
process.exitCode = list.every(({ whole }) => whole) ? 0 : 1

async function runWaiting() {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const { output, errors, ending } = await isolation.run(file, options.timeout)
    const result = { file, ...judge(output, ending) }
    results.set(file, result)
    show(result, errors)
  }
}

function show(result, errors) {
  const mark = result.whole ? 'ok  ' : 'FAIL'
  process.stdout.write(`${mark} ${result.file.padEnd(40)} ${counts(result)}${remarks(result)}\n`)
  if (!options.verbose || result.whole) return
  const lines = [...result.failures, ...errors.trim().split('\n').slice(-40)]
  process.stdout.write(`${lines.map((line) => `       ${line}`).join('\n')}\n`)
}

function counts({ passed, planned }) {
  return `${passed}/${planned}`
}

function remarks({ failed, todo, skipped, note }) {
  const parts = [failed && `${failed} failed`, todo && `${todo} todo`, skipped && `${skipped} skipped`, note]
  const text = parts.filter(Boolean).join(', ')
  return text && `  ${text}`
}

function summary(list) {
  const sum = (key) => list.reduce((total, result) => total + result[key], 0)
  const whole = list.filter((result) => result.whole).length
  const notRun = list.filter((result) => result.planned === 0).length
  const files = `${whole} of ${list.length} files pass whole${notRun > 0 ? ` (${notRun} did not run)` : ''}`
  return `${files}; ${sum('passed')} of ${sum('planned')} assertions pass, ${sum('failed')} fail, ${sum('todo')} todo, ${sum('skipped')} skipped`
}

function markdown(list) {
  const rows = list.map((result) => {
    const verdict = result.whole ? 'passes' : '**fails**'
    return `| ${result.file} | ${result.passed} | ${result.planned} | ${verdict} | ${remarks(result).trim()} |`
  })
  const head = ['| file | assertions passed | planned | | remarks |', '| --- | ---: | ---: | --- | --- |']
  return `${[...head, ...rows, '', `${summary(list)}.`].join('\n')}\n`
}
