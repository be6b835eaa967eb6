// What must be true before anything else can run: packages installed, TypeScript built, system programs on PATH.
// Plain JavaScript on Node built-ins only, because it runs on a fresh clone. Knows nothing of what comes after it.
//
//   node test/setup.mjs          install and build where needed (what `npm start` and `npm run bench` begin with)
//   node test/setup.mjs build    install where needed and build from scratch
//   node test/setup.mjs install  install where needed

import { spawnSync } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root folder, without a slash at the end. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

const OUTPUT = join(ROOT, 'dist')
const STAMP = join(OUTPUT, '.built')
const MAIN = join(OUTPUT, 'runtime/cli/main.js')
const SOURCES = ['runtime', 'test', 'tsconfig.json', 'package.json', 'package-lock.json']

/** Installs the packages when node_modules is missing or older than the lock file. */
export function ensureInstalled() {
  const installed = modified(join(ROOT, 'node_modules/.package-lock.json'))
  if (installed >= modified(join(ROOT, 'package-lock.json'))) return
  say('installing packages (npm ci)')
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
}

/** Installs, then builds into dist/ when a source is newer than the last build that succeeded. */
export function ensureBuilt() {
  ensureInstalled()
  if (existsSync(MAIN) && modified(STAMP) >= newest(SOURCES.map((name) => join(ROOT, name)))) return
  build()
}

/** Builds dist/ from nothing, so that no output of a deleted source stays behind. */
export function build() {
  const started = Date.now()
  rmSync(OUTPUT, { recursive: true, force: true })
  run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', join(ROOT, 'tsconfig.json')])
  chmodSync(MAIN, 0o755)
  writeFileSync(STAMP, '')
  utimesSync(STAMP, started / 1000, started / 1000)
  say(`built dist/ in ${((Date.now() - started) / 1000).toFixed(1)} s`)
}

/**
 * Makes sure that programs and files of the system are there: installs them with apt-get as root, else ends the
 * process and says what to type.
 * @param {{ name: string, package: string, file?: string }[]} needs `name` on PATH, or `file` if given
 */
export function ensureSystem(needs) {
  const missing = missingFromSystem(needs)
  if (missing.length === 0) return
  if (!installFromSystem(missing)) {
    fail(`${missing.map((need) => need.name).join(', ')} not found; type: ${installCommand(missing)}`)
  }
}

/** @param {{ name: string, package: string, file?: string }[]} needs @returns those that are not there */
export function missingFromSystem(needs) {
  return needs.filter((need) => (need.file ? !existsSync(need.file) : findOnPath(need.name) === null))
}

/** Installs the packages of `needs` with apt-get; false when that is not possible or was not enough. */
export function installFromSystem(needs) {
  if (process.getuid?.() !== 0 || findOnPath('apt-get') === null) return false
  const packages = [...new Set(needs.map((need) => need.package))]
  say(`installing ${packages.join(' ')} (apt-get)`)
  // RUNLEVEL=1: a package's service must not be started behind the user's back.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  const apt = (args) =>
    spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'], env }).status === 0
  const install = () => apt(['install', '-y', '-qq', '--no-install-recommends', ...packages])
  return (install() || (apt(['update', '-qq']) && install())) && missingFromSystem(needs).length === 0
}

/** The line that a user types to get the packages of `needs`. */
export function installCommand(needs) {
  return `sudo apt-get install -y ${[...new Set(needs.map((need) => need.package))].join(' ')}`
}

/** The full path of a program, looked for on PATH and in the sbin folders that ordinary users lack; null if absent. */
export function findOnPath(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin']
  for (const folder of folders) {
    const path = join(folder, name)
    if (isExecutable(path)) return path
  }
  return null
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
}

function newest(paths) {
  let latest = 0
  for (const path of paths) {
    latest = Math.max(latest, modified(path))
    if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) continue
    latest = Math.max(latest, newest(readdirSync(path).map((name) => join(path, name))))
  }
  return latest
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] })
  if (result.error) fail(`cannot run ${command}: ${result.error.message}`)
  if (result.status !== 0) process.exit(result.status ?? 1)
}

function say(text) {
  process.stderr.write(`sluice: ${text}\n`)
}

function fail(text) {
  process.stderr.write(`sluice: ${text}\n`)
  process.exit(1)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const task = process.argv[2] ?? 'ensure'
  if (task === 'build') {
    ensureInstalled()
    build()
  } else if (task === 'install') {
    ensureInstalled()
  } else if (task === 'ensure') {
    ensureBuilt()
  } else {
    fail(`unknown task "${task}"; use build, install, or nothing`)
  }
}
