// A proxy in this process with its admin API on a port of its own, and a client of that API.

import { request as send } from 'node:http'
import { join } from 'node:path'
import { Admin } from '../../runtime/admin/admin.ts'
import { parseConfig } from '../../runtime/config/parse.ts'
import { createGateway, type Gateway } from '../../runtime/gateway.ts'
import { GatewayControl } from '../../runtime/gateway-control.ts'
import { freePort } from '../lib/ports.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

export interface ApiAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON the API answers with
  readonly json: any
}

export interface Asked {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

/** One request to the API, on a connection of its own. */
export function ask(
  to: number | string,
  method: string,
  path: string,
  { headers = {}, body }: Asked = {},
): Promise<ApiAnswer> {
  const address = typeof to === 'number' ? { host: '127.0.0.1', port: to } : { socketPath: to }
  return new Promise((done, failed) => {
    const request = send({ ...address, method, path, headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('end', () => {
        const isJson = /json/.test(response.headers['content-type'] ?? '')
        const json = isJson && text !== '' ? JSON.parse(text) : null
        done({ status: response.statusCode!, headers: response.headers, text, json })
      })
    })
    request.on('error', failed)
    request.end(body)
  })
}

export class AdminSite {
  readonly folder = tempDir()
  readonly log: string[] = []
  readonly gateway: Gateway
  readonly control: GatewayControl
  readonly admin: Admin
  readonly port: number
  readonly adminPort: number
  #config: string

  private constructor(
    ports: readonly [number, number],
    config: string,
    files: Readonly<Record<string, string>>,
  ) {
    writeFiles(this.folder, files)
    ;[this.port, this.adminPort] = ports
    this.#config = config
    this.gateway = createGateway(this.#load().model!, {
      prefix: this.folder,
      log: (level, message) => this.log.push(`[${level}] ${message}`),
    })
    const load = () => this.#load()
    this.control = new GatewayControl(this.gateway, load, load().files)
    this.admin = new Admin(this.control, { config: this.path('sluice.conf'), prefix: this.folder })
    this.control.companion = this.admin
  }

  /** @param make text of the http block, given the ports of the proxy and of the API */
  static async start(
    make: (port: number, adminPort: number) => string,
    files: Readonly<Record<string, string>> = {},
  ): Promise<AdminSite> {
    const ports = [await freePort(), await freePort()] as const
    const config = `http { access_log off;\n${make(...ports)}\n}\n`
    const site = new AdminSite(ports, config, files)
    await site.gateway.listen()
    try {
      const change = await site.admin.prepare(site.#load().model!)
      change.commit()
      return site
    } catch (error) {
      await site.gateway.close()
      throw error
    }
  }

  #load() {
    writeFiles(this.folder, { 'sluice.conf': this.#config })
    const loaded = parseConfig({ file: this.path('sluice.conf'), prefix: this.folder })
    return loaded
  }

  get config(): string {
    return this.#config
  }

  /** What the next reload will read. */
  set config(text: string) {
    this.#config = text
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  ask(method: string, path: string, asked?: Asked): Promise<ApiAnswer> {
    return ask(this.adminPort, method, path, asked)
  }

  post(path: string, body: unknown = {}): Promise<ApiAnswer> {
    return this.#write('POST', path, body)
  }

  patch(path: string, body: unknown): Promise<ApiAnswer> {
    return this.#write('PATCH', path, body)
  }

  #write(method: string, path: string, body: unknown): Promise<ApiAnswer> {
    return this.ask(method, path, {
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })
  }

  push(
    name: string,
    text: string | Buffer,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<ApiAnswer> {
    return this.ask('PUT', `/api/v1/scripts/${name}`, {
      headers: { 'Content-Type': 'text/javascript', ...headers },
      body: text,
    })
  }

  /** What the proxy itself answers. */
  async get(path = '/'): Promise<{ status: number; body: string }> {
    const client = new HttpClient(this.port)
    const { status, body } = await client.get(path)
    client.close()
    return { status, body }
  }

  async close(): Promise<void> {
    this.admin.close()
    await this.gateway.close()
  }
}
