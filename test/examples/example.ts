// Runs the examples: Sluice with an example's own configuration and scripts, only ports substituted, and what a test
// needs around it: applications that name themselves, and a plain HTTP client.

import { readdirSync, readFileSync } from 'node:fs'
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../lib/ports.ts'
import { type SluiceProcess, startSluice } from '../lib/proxy-process.ts'

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url))

/** A running example. */
export interface Example {
  readonly sluice: SluiceProcess
  /** The port that stands for one of the configuration. */
  port(written: number): number
}

/** Starts an example; every `127.0.0.1:PORT` of its configuration becomes the given port, or a free one. */
export async function startExample(name: string, given: Readonly<Record<number, number>>): Promise<Example> {
  const folder = join(EXAMPLES, name)
  const ports = new Map(Object.entries(given).map(([written, port]) => [Number(written), port]))
  const written = readFileSync(join(folder, 'sluice.conf'), 'latin1')
  for (const [, port] of written.matchAll(/127\.0\.0\.1:(\d+)/g)) {
    if (!ports.has(Number(port))) ports.set(Number(port), await freePort())
  }
  const config = written.replace(/127\.0\.0\.1:(\d+)/g, (_, port) => `127.0.0.1:${ports.get(Number(port))}`)
  const files: Record<string, string> = {}
  for (const file of readdirSync(join(folder, 'scripts'))) {
    files[`scripts/${file}`] = readFileSync(join(folder, 'scripts', file), 'latin1')
  }
  const sluice = await startSluice(config, files)
  return { sluice, port: (number) => ports.get(number)! }
}

/** What an application got, and how it answers. */
export type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** An HTTP server that can be stopped, with all its connections, and started again on the same port. */
export class Application {
  readonly port: number
  readonly requests: IncomingMessage[] = []
  readonly #answer: Answer
  readonly #sockets = new Set<Socket>()
  #server: Server | null = null

  constructor(port: number, answer: Answer) {
    this.port = port
    this.#answer = answer
  }

  static async start(answer: Answer): Promise<Application> {
    const application = new Application(await freePort(), answer)
    await application.start()
    return application
  }

  start(): Promise<Server> {
    const server = createServer((received, response) => {
      this.requests.push(received)
      this.#answer(received, response)
    })
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
    this.#server = server
    return new Promise((done) => server.listen(this.port, '127.0.0.1', () => done(server)))
  }

  stop(): Promise<void> {
    return new Promise((done) => {
      this.#server?.close(() => done())
      for (const socket of this.#sockets) socket.destroy()
    })
  }
}

/** A response as the tests compare it. */
export interface Received {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** One request on a connection of its own. */
export function http(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Received> {
  return new Promise((done, fail) => {
    const sent = request({ port, host: '127.0.0.1', path, agent: false, ...options }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        body += chunk
      })
      response.on('error', fail)
      response.on('end', () => done({ status: response.statusCode!, headers: response.headers, body }))
    })
    sent.on('error', fail)
    sent.end(options.body)
  })
}
