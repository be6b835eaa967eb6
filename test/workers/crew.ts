// What the tests of several workers share: a Sluice with workers, which of them answers, and clients that ask all the time.

import { join } from 'node:path'
import { freePort } from '../lib/ports.ts'
import { type SluiceProcess, startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'

/** ms */
const PATIENCE = 20_000

export class Crew {
  readonly sluice: SluiceProcess
  readonly port: number
  readonly #config: string

  private constructor(sluice: SluiceProcess, port: number, config: string) {
    this.sluice = sluice
    this.port = port
    this.#config = config
  }

  /** @param server more of the server block @param http more of the http block */
  static async start(
    count: number,
    server: string,
    files: Readonly<Record<string, string>> = {},
    http = '',
  ): Promise<Crew> {
    const port = await freePort()
    const config = `worker_processes ${count};
http {
  access_log off; ${http}
  server {
    listen 127.0.0.1:${port};
    keepalive_requests 1000000;
    location = /who { return 200 "$pid $sluice_generation"; }
    ${server}
  }
}
`
    return new Crew(await startSluice(config, files), port, config)
  }

  path(name: string): string {
    return join(this.sluice.folder, name)
  }

  /** Writes the configuration anew and tells the supervisor; resolves when the log matches. */
  async reload(change: (config: string) => string, until = /serves after|\[emerg\]/): Promise<string> {
    this.sluice.write({ 'sluice.conf': change(this.#config) })
    return (await this.tell('SIGHUP', until))[0]
  }

  /** Sends a signal to the supervisor; resolves when the log matches. */
  tell(signal: NodeJS.Signals, until: RegExp): Promise<RegExpExecArray> {
    const from = this.sluice.errorLog().length
    this.sluice.child.kill(signal)
    return this.sluice.waitForLog(until, from, PATIENCE)
  }

  /** Process ids of the workers that answer, asked over new connections. */
  async pids(count: number): Promise<number[]> {
    return [...(await this.#ask('/who', count)).keys()]
  }

  /** Body of one answer, over a connection of its own. */
  async get(path: string): Promise<string> {
    const client = new HttpClient(this.port)
    const { body } = await client.get(path)
    client.close()
    return body
  }

  /** One answer of each worker. */
  async ofEach(path: string, count: number): Promise<string[]> {
    return [...(await this.#ask(path, count)).values()]
  }

  /** Many connections at a time: whoever has just accepted one lets others accept. */
  async #ask(path: string, count: number): Promise<Map<number, string>> {
    const answers = new Map<number, string>()
    const deadline = Date.now() + PATIENCE
    while (answers.size < count) {
      if (Date.now() > deadline)
        throw new Error(`${[...answers.keys()]}, not ${count} workers answer\n${this.sluice.errorLog()}`)
      const clients = Array.from({ length: 8 * count }, () => new HttpClient(this.port))
      await Promise.all(
        clients.map(async (client) => {
          const [pid] = (await client.get('/who')).body.split(' ')
          const answer = await client.get(path).catch((error: Error) => error)
          client.close()
          if (!(answer instanceof Error)) answers.set(Number(pid), answer.body)
          // Its worker leaves: a kept connection may be closed then.
          else if (!client.closed) throw answer
        }),
      )
    }
    return answers
  }
}

/** Clients that ask over and over, each on a connection that it keeps. */
export class Load {
  /** What went wrong, by the process that the connection was to. */
  readonly failures: { readonly pid: number; readonly what: string }[] = []
  /** Kept connections that were closed while they waited: every client asks again then (RFC 9112, 9.3.1). */
  readonly closed: number[] = []
  requests = 0
  #running = true
  readonly #clients: Promise<void>[]

  /** @param each requests after which a client comes on a new connection */
  constructor(port: number, count: number, path = '/who', each = Infinity) {
    this.#clients = Array.from({ length: count }, () => this.#ask(port, path, each))
  }

  async #ask(port: number, path: string, each: number): Promise<void> {
    while (this.#running) {
      const client = new HttpClient(port)
      let pid = 0
      try {
        pid = Number((await client.get('/who')).body.split(' ')[0])
        for (let left = each; this.#running && left > 0; left--) {
          const { status, header } = await client.get(path)
          if (status !== 200) this.failures.push({ pid, what: `status ${status}` })
          this.requests++
          if (header('connection') === 'close') break
        }
      } catch (error) {
        if (pid !== 0 && client.closed && client.rest === '') this.closed.push(pid)
        else this.failures.push({ pid, what: String(error) })
      }
      client.close()
    }
  }

  async stop(): Promise<void> {
    this.#running = false
    await Promise.all(this.#clients)
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Waits for what happens in another process and has no event here. */
export async function until(
  what: string,
  happened: () => boolean | Promise<boolean>,
  timeout = PATIENCE,
): Promise<void> {
  const deadline = Date.now() + timeout
  while (!(await happened())) {
    if (Date.now() > deadline) throw new Error(`${what}: not after ${timeout} ms`)
    await new Promise((next) => setTimeout(next, 10))
  }
}
