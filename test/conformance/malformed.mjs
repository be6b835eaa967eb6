// Drives corpora of malformed requests through a proxy to a recording upstream and counts what comes of them: see README.md.
//
//   node test/conformance/malformed.mjs FOLDER... [--binary PATH] [--verbose] [--json PATH]
//
// FOLDER is a copy of nodejs/llhttp (test/request/*.md) or of defparam/smuggler (configs/*.py, which are run by python3).

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HIDDEN, readCorpus } from './corpora.mjs'
import { Lane } from './lane.mjs'
import { judgeForwarded } from './readings.mjs'

const LANES = 16
const OUTCOMES = ['smuggled', 'unclean', 'rejected', 'forwarded clean', 'no answer']
const MODES = ['buffered', 'unbuffered'] // proxy_request_buffering

const options = readOptions(process.argv.slice(2))
const cases = options.folders.flatMap(readCorpus)
const results = []
for (const mode of MODES) {
  const lanes = await openLanes()
  const proxy = await startProxy(lanes, mode)
  const waiting = [...cases]
  await Promise.all(lanes.map((lane) => runCases(lane, waiting, mode)))
  for (const lane of lanes) lane.close()
  if (proxy.child.exitCode !== null) throw new Error(`the proxy died: ${proxy.output}`)
  await proxy.stop()
}

const bad = results.filter(({ outcome }) => outcome === 'smuggled' || outcome === 'unclean')
const listed = options.verbose ? bad : bad.slice(0, 40)
for (const one of listed) {
  process.stdout.write(
    `${one.outcome}: ${one.corpus} (${one.mode}) ${one.name}: ${JSON.stringify(one.reason)}\n`,
  )
  if (options.verbose)
    process.stdout.write(`  sent ${JSON.stringify(one.sent)}\n  upstream ${JSON.stringify(one.forwarded)}\n`)
}
if (bad.length > listed.length) process.stdout.write(`and ${bad.length - listed.length} more (--verbose)\n`)
if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`)
process.stdout.write(table(results))
process.exitCode = bad.length === 0 && results.length > 0 ? 0 : 1

async function runCases(lane, waiting, mode) {
  for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
    const { answer, forwarded } = await lane.send(one.bytes)
    results.push({
      corpus: one.corpus,
      mode,
      name: one.name,
      sent: one.bytes,
      forwarded,
      ...judge(one, answer, forwarded),
    })
  }
}

function judge(one, answer, forwarded) {
  const judged = forwarded.map(judgeForwarded)
  const smuggled = judged.find((verdict) => verdict.smuggled !== null)?.smuggled ?? tooMany(one, forwarded)
  if (smuggled !== null) return { outcome: 'smuggled', reason: smuggled }
  const unclean = judged.flatMap((verdict) => verdict.unclean)
  if (unclean.length > 0) return { outcome: 'unclean', reason: unclean.join('; ') }
  if (forwarded.length > 0) return { outcome: 'forwarded clean', reason: null }
  return { outcome: answer === '' ? 'no answer' : 'rejected', reason: null }
}

function tooMany({ most }, forwarded) {
  if (forwarded.length <= most) return null
  const hidden = forwarded.some((text) => text.startsWith(`GET ${HIDDEN} `))
  return `${forwarded.length} requests upstream, ${most} sent${hidden ? '; the hidden one is among them' : ''}`
}

function table(all) {
  const lines = [
    `| corpus | body | cases | ${OUTCOMES.join(' | ')} |`,
    `| --- | --- |${' ---: |'.repeat(OUTCOMES.length + 1)}`,
  ]
  for (const corpus of new Set(all.map((one) => one.corpus))) {
    for (const mode of MODES) {
      const rows = all.filter((one) => one.corpus === corpus && one.mode === mode)
      const counts = OUTCOMES.map((outcome) => rows.filter((one) => one.outcome === outcome).length)
      lines.push(`| ${corpus} | ${mode} | ${rows.length} | ${counts.join(' | ')} |`)
    }
  }
  return `${lines.join('\n')}\n`
}

async function openLanes() {
  const lanes = Array.from({ length: LANES }, () => new Lane())
  for (const lane of lanes) {
    await lane.listen()
    lane.proxyPort = await freePort()
  }
  return lanes
}

/** Starts the proxy with one server a lane; resolves when it listens. */
async function startProxy(lanes, mode) {
  const folder = mkdtempSync(join(tmpdir(), 'malformed-'))
  writeFileSync(join(folder, 'proxy.conf'), config(lanes, mode, folder))
  const isScript = /\.[cm]?js$/.test(options.binary)
  const command = isScript ? [process.execPath, options.binary] : [options.binary]
  const args = [...command.slice(1), '-p', `${folder}/`, '-c', 'proxy.conf', '-e', 'error.log']
  const child = spawn(command[0], args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const proxy = { child, output: '', stop: () => stop(child, folder) }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      proxy.output += text
    })
  }
  process.on('exit', () => child.kill('SIGKILL'))
  const pid = join(folder, 'proxy.pid')
  for (let i = 0; !(existsSync(pid) && readFileSync(pid, 'utf8').trim()); i++) {
    if (child.exitCode !== null || i > 500) throw new Error(`the proxy does not start: ${proxy.output}`)
    await new Promise((next) => setTimeout(next, 20))
  }
  return proxy
}

function stop(child, folder) {
  return new Promise((done) => {
    child.on('exit', () => {
      rmSync(folder, { recursive: true, force: true })
      done()
    })
    child.kill('SIGTERM')
  })
}

function config(lanes, mode, folder) {
  const servers = lanes.map(
    (lane) => `
  server {
    listen 127.0.0.1:${lane.proxyPort};
    location / {
      proxy_pass http://127.0.0.1:${lane.upstreamPort};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering ${mode === 'buffered' ? 'on' : 'off'};
    }
  }`,
  )
  return `daemon off;
pid ${folder}/proxy.pid;
error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  proxy_next_upstream off;${servers.join('')}
}
`
}

function freePort() {
  return new Promise((done, fail) => {
    const server = createServer()
    server.on('error', fail)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => done(port))
    })
  })
}

function readOptions(args) {
  const found = { folders: [], binary: null, verbose: false, json: null }
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--binary') found.binary = args[++i]
    else if (args[i] === '--json') found.json = args[++i]
    else if (args[i] === '--verbose') found.verbose = true
    else found.folders.push(args[i])
  }
  found.binary ??= fileURLToPath(new URL('../../dist/runtime/cli/main.js', import.meta.url))
  if (found.folders.length === 0) {
    process.stderr.write(
      'usage: node test/conformance/malformed.mjs FOLDER... [--binary PATH] [--verbose] [--json PATH]\n',
    )
    process.exit(2)
  }
  return found
}
