// Sluice as a process of its own, from the same build folder that the test runs from. Knows the command line and
// the signals, nothing of the inside.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { tempDir, writeFiles } from './temp.ts'

/** The program's entry in this build folder. */
export const MAIN = fileURLToPath(new URL('../../runtime/cli/main.js', import.meta.url))

const POLL = 10
const running = new Set<ChildProcess>()

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** How a Sluice is started, beyond its configuration. */
export interface StartOptions {
  /** ms until it must listen. */
  readonly timeout?: number
  readonly env?: Readonly<Record<string, string>>
  /** Flags of node itself, for instance `--expose-gc`. */
  readonly nodeFlags?: readonly string[]
}

/** A running Sluice; stop it, or it ends with the test's process. */
export class SluiceProcess {
  readonly child: ChildProcess
  /** Its prefix (`-p`): sluice.conf, the files given, error.log, sluice.pid. */
  readonly folder: string
  stdout = ''
  stderr = ''
  /** Resolves with exit code or signal name. */
  readonly exited: Promise<number | string>

  constructor(child: ChildProcess, folder: string) {
    this.child = child
    this.folder = folder
    running.add(child)
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.exited = new Promise((done) => {
      child.on('exit', (code, signal) => {
        running.delete(child)
        done(code ?? signal ?? 'unknown')
      })
    })
  }

  get pid(): number {
    return this.child.pid!
  }

  /** What the error log holds now. */
  errorLog(): string {
    const path = join(this.folder, 'error.log')
    return existsSync(path) ? readFileSync(path, 'latin1') : ''
  }

  /** Writes files below the prefix, for instance a new sluice.conf before `reload`. */
  write(files: Readonly<Record<string, string>>): void {
    writeFiles(this.folder, files)
  }

  /** Waits until the error log matches, from byte `from` on; returns the match. */
  async waitForLog(pattern: RegExp, from = 0, timeout = 5000): Promise<RegExpExecArray> {
    const deadline = Date.now() + timeout
    for (;;) {
      const match = pattern.exec(this.errorLog().slice(from))
      if (match !== null) return match
      if (Date.now() > deadline) {
        throw new Error(`no ${pattern} in the error log after ${timeout} ms:\n${this.errorLog().slice(from)}`)
      }
      await pause()
    }
  }

  /**
   * HUP, then waits for the word that it is done: the old generation gone, or the new one refused.
   * @param until another line to wait for, when requests hold the old generation
   */
  async reload(until: RegExp = /exited with code|\[emerg\]/): Promise<string> {
    const from = this.errorLog().length
    this.child.kill('SIGHUP')
    await this.waitForLog(until, from)
    return this.errorLog().slice(from)
  }

  /** TERM, and KILL when that does not end it within 5 s. Returns exit code or signal name. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.child.kill(signal)
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 5000)
    return this.exited.finally(() => clearTimeout(timer))
  }
}

/**
 * Starts Sluice on `config` and waits until it listens (its pid file is there).
 * @param config text of sluice.conf; `daemon off`, `pid` (relative to the prefix) and an error log at level info are added unless it has them
 * @param files more files below the prefix, for instance `{ 'scripts/balancer.js': '…' }`
 * @throws Error with all it printed and logged, when it ends or does not listen in time
 */
export async function startSluice(
  config: string,
  files: Readonly<Record<string, string>> = {},
  options: StartOptions = {},
): Promise<SluiceProcess> {
  const folder = tempDir()
  writeFiles(folder, { ...files, 'sluice.conf': config, 'logs/.keep': '' })
  const args = [
    ...(options.nodeFlags ?? []),
    MAIN,
    '-p',
    `${folder}/`,
    '-c',
    'sluice.conf',
    '-e',
    'error.log',
  ]
  const env = { ...process.env, ...options.env }
  const child = spawn(process.execPath, [...args, '-g', globals(config)], { cwd: folder, env, stdio: 'pipe' })
  child.stdin.end()
  const sluice = new SluiceProcess(child, folder)
  await listening(sluice, join(folder, pidFile(config)), options.timeout ?? 10_000)
  return sluice
}

/** Runs the program to its end, for `-t`, `-T`, `-v`, `init`, `try`; returns its exit code and output. */
export function runSluice(
  args: readonly string[],
  cwd: string,
): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const sluice = new SluiceProcess(child, cwd)
  return new Promise((done, fail) => {
    child.on('error', fail)
    child.on('close', (code, signal) => {
      done({ code: code ?? signal ?? 'unknown', stdout: sluice.stdout, stderr: sluice.stderr })
    })
  })
}

function globals(config: string): string {
  const added: string[] = []
  const has = (directive: string) => new RegExp(`^\\s*${directive}\\s`, 'm').test(config)
  if (!has('daemon')) added.push('daemon off;')
  if (!has('pid')) added.push('pid sluice.pid;')
  if (!/^error_log\s/m.test(config)) added.push('error_log error.log info;')
  return added.join(' ')
}

function pidFile(config: string): string {
  return /^\s*pid\s+([^\s;]+)\s*;/m.exec(config)?.[1] ?? 'sluice.pid'
}

async function listening(sluice: SluiceProcess, pidPath: string, timeout: number): Promise<void> {
  const deadline = Date.now() + timeout
  let ended: number | string | null = null
  sluice.exited.then((how) => {
    ended = how
  })
  while (!existsSync(pidPath)) {
    if (ended === null && Date.now() < deadline) {
      await pause()
      continue
    }
    const how = ended === null ? `does not listen after ${timeout} ms` : `ended (${ended}) before it listened`
    await sluice.stop('SIGKILL')
    throw new Error(`sluice ${how}\n${sluice.stdout}${sluice.stderr}${sluice.errorLog()}`)
  }
}

function pause(): Promise<void> {
  return new Promise((next) => setTimeout(next, POLL))
}
