// Runs one .t file apart from everything: as an ordinary user, in a temporary folder of its own and, where root allows it,
// in a network and process namespace of its own, so that fixed ports do not collide and nothing outlives its file.

import { spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const PATH = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin`
const IS_ROOT = process.getuid?.() === 0
const running = new Set()
let base = null

process.on('exit', () => {
  for (const child of running) killGroup(child)
  if (base !== null) rmSync(base, { recursive: true, force: true })
})

/** What the runs of one session share. */
export class Isolation {
  /** Namespaces work here: files may run side by side. */
  separate = false
  #user = null
  #tests
  #wrapper
  #keep

  /** @param {{ folder: string, binary: string, keep: boolean }} options */
  constructor({ folder, binary, keep }) {
    const created = mkdtempSync(join(tmpdir(), 'ct-')) // short: unix socket paths are limited to 108 bytes
    if (!keep) base = created
    this.#keep = keep
    this.folder = created
    this.#tests = join(created, 'nt')
    copyTests(folder, this.#tests)
    this.#wrapper = join(created, 'nginx')
    writeFileSync(this.#wrapper, wrapperText(binary))
    if (IS_ROOT) {
      this.#user = ordinaryUser()
      this.separate = namespacesWork()
    }
    openToAll(created)
    this.#checkReadable(binary)
  }

  /**
   * @param {string} file name of the .t file
   * @param {number} timeout ms
   * @returns {Promise<{ output: string, errors: string, ending: string | null }>} ending is null for exit code 0
   */
  run(file, timeout) {
    const temporary = join(this.folder, basename(file, '.t'))
    mkdirSync(temporary)
    if (this.#user !== null) chownSync(temporary, this.#user.uid, this.#user.gid)
    const [program, ...args] = [...this.#enter(), 'perl', file]
    const env = {
      PATH,
      HOME: temporary,
      TMPDIR: temporary,
      LANG: 'C.UTF-8',
      TEST_NGINX_BINARY: this.#wrapper,
      TEST_NGINX_UNSAFE: '1',
      ...(this.#keep ? { TEST_NGINX_LEAVE: '1' } : {}),
    }
    const child = spawn(program, args, {
      cwd: this.#tests,
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    return collect(child, timeout).finally(() => {
      running.delete(child)
      if (!this.#keep) rmSync(temporary, { recursive: true, force: true })
    })
  }

  /** The words in front of a command that make it run apart. */
  #enter() {
    return [...(this.separate ? NAMESPACES : []), ...(this.#user === null ? [] : dropTo(this.#user))]
  }

  #checkReadable(binary) {
    const [program, ...args] = [...this.#enter(), this.#wrapper, '-V']
    const { status, stderr, error } = spawnSync(program, args, {
      encoding: 'utf8',
      timeout: 20_000,
      env: { PATH },
    })
    if (status !== 0) {
      const reason = error?.message ?? stderr.trim().split('\n').slice(-8).join('\n')
      throw new Error(`${binary} -V does not run as an ordinary user:\n${reason}`)
    }
  }
}

// The shell stays as the first process of its namespace and reaps what the tests leave behind.
const NAMESPACES = [
  ...['unshare', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ...['sh', '-c', 'ip link set lo up && "$@"; exit $?', 'sh'],
]

function dropTo({ uid, gid }) {
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups']
}

function namespacesWork() {
  const [program, ...args] = [...NAMESPACES, 'true']
  return spawnSync(program, args, { env: { PATH } }).status === 0
}

function ordinaryUser() {
  const id = (flag) =>
    Number(spawnSync('id', [flag, 'nobody'], { encoding: 'utf8' }).stdout.trim() || Number.NaN)
  const user = { uid: id('-u'), gid: id('-g') }
  if (!(user.uid > 0)) throw new Error('no user "nobody": the tests must not run as root')
  return user
}

/**
 * A program that becomes the one under test, so that its process id is the one that the tests know. A distribution's nginx
 * names loadable modules in `-V`, and the tests would load them from beside the binary, where they are not: left out.
 */
function wrapperText(binary) {
  if (/\.[cm]?js$/.test(binary)) return `#!/bin/sh\nexec "${process.execPath}" "${binary}" "$@"\n`
  const version = `"${binary}" -V 2>&1 | sed 's/ --with-[^ ]*=dynamic//g' >&2`
  return `#!/bin/sh\nif [ "$*" = -V ]; then ${version}; exit; fi\nexec "${binary}" "$@"\n`
}

function copyTests(from, to) {
  cpSync(join(from, 'lib'), join(to, 'lib'), { recursive: true })
  for (const name of readdirSync(from)) {
    if (statSync(join(from, name)).isFile()) cpSync(join(from, name), join(to, name))
  }
}

function openToAll(path) {
  chmodSync(path, 0o755)
  if (!statSync(path).isDirectory()) return
  for (const name of readdirSync(path)) openToAll(join(path, name))
}

function collect(child, timeout) {
  let output = ''
  let errors = ''
  let late = false
  child.stdout.setEncoding('latin1').on('data', (text) => {
    output += text
  })
  child.stderr.setEncoding('latin1').on('data', (text) => {
    errors += text
  })
  const timer = setTimeout(() => {
    late = true
    killGroup(child)
  }, timeout)
  return new Promise((done) => {
    child.on('error', (error) => done({ output, errors, ending: error.message }))
    child.on('exit', () => killGroup(child))
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const ending = late
        ? `stopped after ${timeout / 1000} s`
        : signal
          ? `ended by ${signal}`
          : `exit code ${code}`
      done({ output, errors, ending: code === 0 && !late ? null : ending })
    })
  })
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nothing of the group is left.
  }
}
