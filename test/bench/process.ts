// A process under measurement: started on one core, its CPU time and memory read from /proc with all its children.

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { programPath } from './tools.ts'

/** Core of the proxy under test, and core of everything that loads it. */
export const PROXY_CORE = 0
export const LOAD_CORE = 1

// USER_HZ is 100 on every Linux that Node runs on.
const MICROSECONDS_PER_TICK = 10_000
const running = new Set<Measured>()

process.on('exit', () => {
  for (const measured of running) measured.kill()
})

/** A running program and what it costs. */
export class Measured {
  readonly name: string
  readonly child: ChildProcess
  output = ''
  ended: string | null = null

  constructor(name: string, child: ChildProcess) {
    this.name = name
    this.child = child
    running.add(this)
    const collect = (text: string) => {
      this.output = (this.output + text).slice(-4000)
    }
    child.stdout?.setEncoding('utf8').on('data', collect)
    child.stderr?.setEncoding('utf8').on('data', collect)
    child.on('error', (error) => this.#end(error.message))
    child.on('exit', (code, signal) => this.#end(`${signal ?? `exit code ${code}`}`))
  }

  #end(how: string): void {
    this.ended = how
    running.delete(this)
  }

  /** CPU time so far, user and system, of the process and its living descendants, in microseconds. */
  cpu(): number {
    let ticks = 0
    for (const pid of this.#tree()) ticks += cpuTicks(pid)
    return ticks * MICROSECONDS_PER_TICK
  }

  /** Resident memory of the tree in KiB; `peak` since the last `resetPeak`. */
  memory(): { readonly now: number; readonly peak: number } {
    let now = 0
    let peak = 0
    for (const pid of this.#tree()) {
      const status = readProc(pid, 'status')
      now += Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
      peak += Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0)
    }
    return { now, peak }
  }

  resetPeak(): void {
    for (const pid of this.#tree()) writeFileSync(`/proc/${pid}/clear_refs`, '5')
  }

  async stop(): Promise<void> {
    if (this.ended !== null) return
    const exited = new Promise((done) => this.child.once('exit', done))
    this.child.kill('SIGTERM')
    const timer = setTimeout(() => this.kill(), 3000)
    await exited
    clearTimeout(timer)
  }

  kill(): void {
    for (const pid of this.#tree()) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // Already gone.
      }
    }
  }

  #tree(): number[] {
    return this.ended !== null || this.child.pid === undefined ? [] : withDescendants(this.child.pid)
  }
}

/** Starts a program on one core, or on those of a list (`0,1`). Its output is kept for messages. */
export function startPinned(name: string, cores: number | string, command: readonly string[]): Measured {
  const args = ['-c', String(cores), ...command]
  return new Measured(name, spawn(programPath('taskset'), args, { stdio: ['ignore', 'pipe', 'pipe'] }))
}

/** Resolves once something listens on 127.0.0.1:`port`. @throws Error with the program's last words */
export async function waitUntilListening(measured: Measured, port: number, timeout = 10_000): Promise<void> {
  const deadline = Date.now() + timeout
  while (!(await accepts(port))) {
    if (measured.ended !== null || Date.now() > deadline) {
      const how = measured.ended ?? `does not listen after ${timeout} ms`
      throw new Error(`${measured.name}: ${how}: ${lastWords(measured.output)}`)
    }
    await pause(20)
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((next) => setTimeout(next, milliseconds))
}

function lastWords(output: string): string {
  const lines = output.split('\n').map((line) => line.trim())
  return (
    lines.find((line) => /error|emerg|cannot|must|unknown/i.test(line)) ?? lines.filter(Boolean).at(-1) ?? ''
  )
}

function accepts(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.on('error', () => done(false))
  })
}

function withDescendants(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const parent = Number(statFields(Number(entry))[1] ?? -1)
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
  }
  const tree = [root]
  for (const pid of tree) tree.push(...(children.get(pid) ?? []))
  return tree
}

/** The fields of /proc/PID/stat after the command name (which may hold spaces): state, parent, … */
function statFields(pid: number): string[] {
  const stat = readProc(pid, 'stat')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function cpuTicks(pid: number): number {
  const fields = statFields(pid)
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}
