// A real nginx, for tests that compare with it: its own folder, pid file and temporary files; nothing shared.

import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, constants, existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { freePort } from './ports.ts'
import { tempDir, writeFiles } from './temp.ts'

const POLL = 10
const START_TIME = 5000
const running = new Set<ChildProcess>()

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A running nginx; it ends with the test's process at the latest. */
export interface NginxProcess {
  /** What `%PORT%` stands for in the configuration. */
  readonly port: number
  readonly folder: string
  /** What the error log holds now. */
  errorLog(): string
  stop(): Promise<void>
}

/**
 * Starts nginx as one process and waits until it listens.
 * @param config what stands in `http { }`; `%PORT%` becomes a free port
 * @throws Error when nginx is not installed, or with what it said when it does not start
 */
export async function startNginx(config: string): Promise<NginxProcess> {
  const program = findNginx()
  const folder = tempDir('nginx-test-')
  const port = await freePort()
  writeFiles(folder, { 'nginx.conf': wrap(folder, config.replaceAll('%PORT%', String(port))) })
  const errorLog = join(folder, 'error.log')
  const child = spawn(program, ['-p', `${folder}/`, '-c', 'nginx.conf', '-e', errorLog], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  running.add(child)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const exited = new Promise<void>((done) => {
    child.once('error', () => done())
    child.once('exit', () => {
      running.delete(child)
      done()
    })
  })
  const stop = () => {
    child.kill('SIGKILL')
    return exited
  }
  if (!(await listening(child, join(folder, 'nginx.pid')))) {
    await stop()
    throw new Error(`nginx did not start\n${said}`)
  }
  return { port, folder, errorLog: () => readFileSync(errorLog, 'latin1'), stop }
}

function findNginx(): string {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin']) {
    const path = join(folder, 'nginx')
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Look on.
    }
  }
  throw new Error('nginx not found; type: sudo apt-get install -y nginx')
}

function wrap(folder: string, config: string): string {
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log info;
events { worker_connections 256; }
http {
  access_log off;
  ${temp.map((name) => `${name}_temp_path ${folder}/${name}_temp;`).join('\n  ')}
${config}
}
`
}

/** nginx writes its pid file once its sockets listen. */
async function listening(child: ChildProcess, pidFile: string): Promise<boolean> {
  const deadline = Date.now() + START_TIME
  while (child.exitCode === null && child.signalCode === null && Date.now() < deadline) {
    if (existsSync(pidFile) && readFileSync(pidFile, 'latin1') !== '') return true
    await new Promise((next) => setTimeout(next, POLL))
  }
  return false
}
