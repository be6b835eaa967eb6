// What the swap tests share: a gateway in this process, its scripts in a folder of their own, its log in memory.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseConfig } from '../../runtime/config/parse.ts'
import { createGateway, type Gateway } from '../../runtime/gateway.ts'
import { freePort } from '../lib/ports.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

export interface Answer {
  readonly status: number
  readonly body: string
  readonly version: string
}

/** Every event-loop turn in which a swap can go on, until `done`. */
const PATIENCE = 5000

export class Site {
  readonly folder = tempDir()
  readonly log: string[] = []
  readonly gateway: Gateway
  readonly port: number
  readonly #config: string

  private constructor(port: number, config: string, files: Readonly<Record<string, string>>) {
    writeFiles(this.folder, files)
    this.port = port
    this.#config = config
    this.gateway = createGateway(this.#model(config), {
      prefix: this.folder,
      log: (level, message) => this.log.push(`[${level}] ${message}`),
    })
  }

  /** Serves `server` as the text of a server block. @param http more of the http block */
  static async start(server: string, files: Readonly<Record<string, string>>, http = ''): Promise<Site> {
    const port = await freePort()
    const config = `http { access_log off; ${http}\nserver { listen 127.0.0.1:${port}; keepalive_requests 1000000;\n${server}\n} }`
    const site = new Site(port, config, files)
    await site.gateway.listen()
    return site
  }

  #model(config: string) {
    writeFiles(this.folder, { 'sluice.conf': config })
    const { model, problems } = parseConfig({ file: this.path('sluice.conf'), prefix: this.folder })
    if (model === null) throw new Error(JSON.stringify(problems, null, 1))
    return model
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  /** Writes a file, and swaps as the watcher would. */
  save(name: string, text: string) {
    writeFileSync(this.path(name), text)
    return this.gateway.reloadScripts()
  }

  /** HUP, with another configuration if there is one. */
  reload(change: (config: string) => string = (config) => config) {
    return this.gateway.reload(this.#model(change(this.#config)))
  }

  async get(path = '/'): Promise<Answer> {
    const client = new HttpClient(this.port)
    const response = await client.get(path)
    client.close()
    return { status: response.status, body: response.body, version: response.header('x-version') ?? '' }
  }

  /** States of a file's versions, as `gateway.scripts` has them. */
  states(name: string): string[] {
    return this.gateway.scripts.filter(({ file }) => file === this.path(name)).map(({ state }) => state)
  }

  /** The reasons of all generations so far. */
  get reasons(): string[] {
    return this.gateway.history.map(({ reason }) => reason)
  }

  async until(what: string, done: () => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE
    while (!done()) {
      if (Date.now() > deadline) throw new Error(`${what}: not after ${PATIENCE} ms\n${this.log.join('\n')}`)
      await new Promise((next) => setTimeout(next, 5))
    }
  }

  close(): Promise<void> {
    return this.gateway.close()
  }
}

/** A script that answers with its name and counts its own calls. */
export const version = (name: number | string) => `
let calls = 0
export function content(r) {
  r.headersOut.set('x-version', '${name}')
  r.return(200, String(++calls))
}
`

/** A script that hangs when it is asked to. */
export const hanging = (name: number | string) => `
export function content(r) {
  r.headersOut.set('x-version', '${name}')
  if (r.args.hang !== undefined) for (;;) {}
  r.return(200, 'fine')
}
`

/** Why a promise was rejected; fails when it was not. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return (error as Error).message
  }
  throw new Error('it was not refused')
}
