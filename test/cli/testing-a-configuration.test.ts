// -v, -V, -t, -T and -q of the program itself: what it prints where, and its exit code.

import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runSluice } from '../lib/proxy-process.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

const GOOD = 'events {}\nhttp { server { listen 127.0.0.1:8080; return 204; } }\n'
const BAD = 'events {}\nhttp {\n    server {\n        listen 127.0.0.1:8080;\n        retrun 204;\n    }\n}\n'

/** A folder with this sluice.conf, and files besides. */
function folderOf(config: string, files: Record<string, string> = {}): string {
  const folder = tempDir()
  writeFiles(folder, { ...files, 'sluice.conf': config, 'logs/.keep': '' })
  return folder
}

test('-v names the version on stderr, nginx first', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
  const { code, stdout, stderr } = await runSluice(['-v'], tempDir())
  assert.is(code, 0)
  assert.is(stdout, '')
  assert.is(stderr, `nginx version: nginx/1.31.5 (sluice/${version})\n`)
})

test('-V adds what is built in', async () => {
  const { code, stderr } = await runSluice(['-V'], tempDir())
  assert.is(code, 0)
  assert.match(
    stderr,
    /^nginx version: nginx\/1\.31\.5 \(sluice\/[\d.]+\)\nbuilt by node v\d+.*\nconfigure arguments: --with/,
  )
})

test('--help lists flags and commands', async () => {
  const { code, stdout } = await runSluice(['--help'], tempDir())
  assert.is(code, 0)
  assert.match(stdout, /^Usage: sluice /)
  for (const word of ['-t ', '-T ', '-s signal', 'init', 'try']) assert.ok(stdout.includes(word), word)
})

test('-t says that a configuration is good, and exits with 0', async () => {
  const folder = folderOf(GOOD)
  const { code, stdout, stderr } = await runSluice(['-t', '-p', folder], tempDir())
  assert.is(code, 0)
  assert.is(stdout, '')
  assert.is(
    stderr,
    `sluice: the configuration file ${folder}/sluice.conf syntax is ok\n` +
      `sluice: configuration file ${folder}/sluice.conf test is successful\n`,
  )
})

test('-t says what is wrong where, and exits with 1', async () => {
  const folder = folderOf(BAD)
  const { code, stderr } = await runSluice(['-t', '-p', folder], tempDir())
  assert.is(code, 1)
  assert.match(stderr, `sluice: [emerg] ${folder}/sluice.conf:5:9: unknown directive "retrun"`)
  assert.match(stderr, `sluice: configuration file ${folder}/sluice.conf test failed\n`)
})

test('-t tells all problems at once, in order', async () => {
  const folder = folderOf('events {}\nhttp {\n    sever {}\n    keepalive_timeout soon;\n}\n')
  const { code, stderr } = await runSluice(['-t', '-p', folder], tempDir())
  assert.is(code, 1)
  assert.equal(stderr.match(/sluice\.conf:\d+:\d+/g), ['sluice.conf:3:5', 'sluice.conf:4:23'])
})

test('-t loads the scripts: one that is broken is named with its line', async () => {
  const config = 'server { listen 127.0.0.1:8080; script scripts/a.js; return 204; }\n'
  const folder = folderOf(config, { 'scripts/a.js': 'export function access(r) {\n  return (\n}\n' })
  const { code, stderr } = await runSluice(['-t', '-p', folder], tempDir())
  assert.is(code, 1)
  assert.match(stderr, /\[emerg\] .*scripts\/a\.js:3/)
})

test('-t finds a script that does not exist at its place in the configuration', async () => {
  const folder = folderOf('server { listen 127.0.0.1:8080; script scripts/none.js; return 204; }\n')
  const { code, stderr } = await runSluice(['-t', '-p', folder], tempDir())
  assert.is(code, 1)
  assert.match(stderr, /\[emerg\] .*none\.js/)
})

test('-q keeps quiet about what is good, not about what is wrong', async () => {
  assert.equal(await runSluice(['-tq', '-p', folderOf(GOOD)], tempDir()), { code: 0, stdout: '', stderr: '' })
  const { code, stderr } = await runSluice(['-tq', '-p', folderOf(BAD)], tempDir())
  assert.is(code, 1)
  assert.match(stderr, 'unknown directive "retrun"')
})

test('-T prints every file that was read, byte for byte', async () => {
  const config = `include more/*.conf;\n${GOOD}# caf\xc3\xa9\n`
  const folder = folderOf(config, { 'more/a.conf': 'pid a.pid;\n' })
  const { code, stdout } = await runSluice(['-T', '-p', folder], tempDir())
  assert.is(code, 0)
  const text = Buffer.from(config, 'latin1').toString('utf8')
  assert.is(
    stdout,
    `# configuration file ${folder}/sluice.conf:\n${text}\n# configuration file ${folder}/more/a.conf:\npid a.pid;\n\n`,
  )
})

test('-g adds directives, -e and -c name files', async () => {
  const folder = folderOf('', { 'other.conf': GOOD })
  const { code } = await runSluice(
    ['-t', '-p', folder, '-c', 'other.conf', '-e', 'err.log', '-g', 'pid my.pid;'],
    tempDir(),
  )
  assert.is(code, 0)
  const twice = await runSluice(
    ['-t', '-p', folder, '-c', 'other.conf', '-g', 'pid a.pid; pid b.pid;'],
    tempDir(),
  )
  assert.is(twice.code, 1)
  assert.match(twice.stderr, '-g:1:12: "pid" is duplicate')
})

test('a configuration file that is not there is named', async () => {
  const { code, stderr } = await runSluice(['-t', '-c', 'none.conf'], tempDir())
  assert.is(code, 1)
  assert.match(stderr, /none\.conf.*no such file/)
})

test('a wrong flag is one line on stderr', async () => {
  const { code, stderr } = await runSluice(['-x'], tempDir())
  assert.is(code, 1)
  assert.is(stderr, 'sluice: invalid option: "-x"; see -h\n')
})

test.run()
