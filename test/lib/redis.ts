// Real Redis servers for tests: one, a cluster of three, or a master with a replica and a sentinel. Loopback only,
// each in a folder of its own, ended with the test's process at the latest.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort, freePorts } from './ports.ts'
import { tempDir, writeFiles } from './temp.ts'

const POLL = 20
const START_TIME = 10_000
const running = new Set<ChildProcess>()

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class RedisServer {
  readonly port: number
  readonly #folder = tempDir('redis-test-')
  readonly #args: readonly string[]
  #child: ChildProcess | null = null

  private constructor(port: number, args: readonly string[]) {
    this.port = port
    this.#args = args
  }

  /** @param args words of redis.conf with two dashes */
  static async start(args: readonly string[] = [], port?: number): Promise<RedisServer> {
    const server = new RedisServer(port ?? (await freePort()), args)
    await server.start()
    return server
  }

  /** Again, after `stop`, on the same port and with nothing in it (but for what `--appendonly yes` kept). */
  async start(): Promise<void> {
    const own = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder, '--save', '']
    const child = spawn('redis-server', [...this.#args, ...own], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    running.add(child)
    let said = ''
    child.stdout.on('data', (text) => {
      said += text
    })
    child.once('error', () => {
      said = 'redis-server not found; type: sudo apt-get install -y redis-server'
    })
    child.once('exit', () => running.delete(child))
    for (let waited = 0; !(await this.#answers()); waited += POLL) {
      if (waited > START_TIME || child.exitCode !== null || child.pid === undefined) {
        child.kill('SIGKILL')
        throw new Error(`redis-server did not start\n${said}`)
      }
      await pause(POLL)
    }
    // Somebody else's may have been quicker to take the port.
    const [, answerer] = /process_id:(\d+)/.exec(this.command('info', 'server')) ?? []
    if (answerer === undefined || Number(answerer) === child.pid) return
    child.kill('SIGKILL')
    throw new Error('redis-server did not start\nAddress already in use')
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** Holds its connections and answers nothing. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** What redis-cli prints. */
  command(...words: string[]): string {
    return redisCli(this.port, ...words)
  }

  async #answers(): Promise<boolean> {
    const socket = connect(this.port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      socket.write('PING\r\n')
      const [reply] = (await once(socket, 'data')) as [Buffer]
      return /^(\+PONG|-NOAUTH|-MASTERDOWN)/.test(reply.toString())
    } catch {
      return false
    } finally {
      socket.destroy()
    }
  }
}

export function redisCli(port: number, ...words: string[]): string {
  const { stdout, stderr } = spawnSync('redis-cli', ['-p', String(port), ...words], { encoding: 'utf8' })
  return `${stdout}${stderr}`.trim()
}

/** Three masters that have all slots. */
export async function startCluster(tries = 5): Promise<RedisServer[]> {
  try {
    return await formCluster()
  } catch (error) {
    // The nodes talk to each other on their port plus 10000, which somebody may have.
    if (tries > 1 && /Address already in use/.test((error as Error).message)) return startCluster(tries - 1)
    throw error
  }
}

async function formCluster(): Promise<RedisServer[]> {
  const ports = await freePorts(3)
  const words = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000']
  const starts = await Promise.allSettled(ports.map((port) => RedisServer.start(words, port)))
  const nodes = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  try {
    for (const start of starts) if (start.status === 'rejected') throw start.reason
    join(ports)
    await joined(ports)
    return nodes
  } catch (error) {
    await Promise.all(nodes.map((node) => node.stop()))
    throw error
  }
}

function join(ports: readonly number[]): void {
  const addresses = ports.map((port) => `127.0.0.1:${port}`)
  redisCli(ports[0], '--cluster', 'create', ...addresses, '--cluster-yes')
}

async function joined(ports: readonly number[]): Promise<void> {
  const isOk = (port: number): boolean => redisCli(port, 'cluster', 'info').includes('cluster_state:ok')
  for (let waited = 0; !ports.every(isOk); waited += POLL) {
    if (waited > START_TIME)
      throw new Error(`the cluster did not form\n${redisCli(ports[0], 'cluster', 'info')}`)
    await pause(POLL)
  }
}

export interface Sentinel {
  readonly master: RedisServer
  readonly replica: RedisServer
  /** Port of the sentinel, which calls the master `main`. */
  readonly port: number
  stop(): Promise<void>
}

export async function startSentinel(): Promise<Sentinel> {
  const master = await RedisServer.start()
  const replica = await RedisServer.start(['--replicaof', '127.0.0.1', String(master.port)])
  const folder = tempDir('sentinel-test-')
  const port = await freePort()
  writeFiles(folder, {
    'sentinel.conf': `port ${port}
bind 127.0.0.1
dir ${folder}
sentinel monitor main 127.0.0.1 ${master.port} 1
sentinel down-after-milliseconds main 300
sentinel failover-timeout main 2000
`,
  })
  const child = spawn('redis-server', [`${folder}/sentinel.conf`, '--sentinel'], { stdio: 'ignore' })
  running.add(child)
  child.once('exit', () => running.delete(child))
  for (let waited = 0; ; waited += POLL) {
    const known = redisCli(port, 'sentinel', 'replicas', 'main')
    const synced = master.command('info', 'replication').includes('state=online')
    if (known.includes(String(replica.port)) && synced) break
    if (waited > START_TIME) throw new Error(`the sentinel did not start\n${known}`)
    await pause(POLL)
  }
  return {
    master,
    replica,
    port,
    async stop() {
      child.kill('SIGKILL')
      await Promise.all([master.stop(), replica.stop()])
    },
  }
}
