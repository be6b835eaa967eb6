/**
 * The admin API on its socket: few connections, short times, small bodies; whoever may not ask learns it before anything
 * is read. Knows how to answer, not what: that stands in `routes.ts`.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect, type ListenOptions } from 'node:net'
import type { AdminModel } from '../config/model.ts'
import type { LogLevel } from '../phases.ts'
import type { Guard } from './guard.ts'
import { Refusal, refusalOf } from './problem.ts'
import type { ApiRequest, Reply } from './reply.ts'

export interface AdminLimits {
  /** Connections at a time; further ones are closed at once. */
  readonly connections: number
  /** ms for the head of a request, and for all of it. */
  readonly head: number
  readonly request: number
  /** ms that a connection may be idle, whatever it waits for. */
  readonly idle: number
  /** Bytes of a body. */
  readonly body: number
}

export const ADMIN_LIMITS: AdminLimits = {
  connections: 64,
  head: 5_000,
  request: 15_000,
  idle: 60_000,
  body: 1024 * 1024,
}

/** Bytes of a request's head. */
const MAX_HEAD = 16 * 1024
/** Times that late requests are looked for within their time. */
const LOOKS = 5

export interface AdminServerOptions {
  readonly guard: Guard
  readonly answer: (request: ApiRequest) => Promise<Reply>
  readonly log: (level: LogLevel, message: string) => void
  readonly limits?: AdminLimits
}

export class AdminServer {
  guard: Guard
  readonly #options: AdminServerOptions
  readonly #limits: AdminLimits
  readonly #server: Server

  constructor(options: AdminServerOptions) {
    this.#options = options
    this.guard = options.guard
    const limits = (this.#limits = options.limits ?? ADMIN_LIMITS)
    this.#server = createServer(
      {
        maxHeaderSize: MAX_HEAD,
        headersTimeout: limits.head,
        requestTimeout: limits.request,
        keepAliveTimeout: limits.head,
        connectionsCheckingInterval: Math.ceil(limits.head / LOOKS),
        requireHostHeader: false,
      },
      (request, response) => void this.#serve(request, response),
    )
    this.#server.maxConnections = limits.connections
    this.#server.timeout = limits.idle
  }

  /** @throws Error of the system when the address cannot be had */
  async listen(address: AdminModel['address']): Promise<void> {
    if (!('path' in address)) return this.#bind(address)
    if (await isAbandoned(address.path)) rmSync(address.path, { force: true })
    // Nobody else's from the first moment on: the file is made before `listen` returns.
    const mask = process.umask(0o177)
    const bound = this.#bind(address)
    process.umask(mask)
    await bound
    chmodSync(address.path, 0o600)
  }

  #bind(address: ListenOptions): Promise<void> {
    return new Promise((done, failed) => {
      this.#server.once('error', failed)
      this.#server.listen({ ...address, exclusive: true }, () => {
        this.#server.off('error', failed)
        this.#server.on('error', (error) => this.#options.log('error', `admin: ${error.message}`))
        done()
      })
    })
  }

  /** Accepts nothing more; what is being answered is finished. */
  close(): void {
    this.#server.close()
    this.#server.closeIdleConnections()
  }

  /** Ends at once. */
  destroy(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path, query = ''] = (request.url ?? '/').split(/\?(.*)/s)
    const { method = 'GET', headers } = request
    try {
      this.guard.check({ method, path, headers })
      const reply = await this.#options.answer({
        method,
        path,
        query: new URLSearchParams(query),
        header: (name) => headers[name] as string | undefined,
        body: () => readBody(request, this.#limits.body),
      })
      this.#send(request, response, reply)
    } catch (error) {
      this.#send(request, response, this.#refuse(error, `${method} ${path}`))
    }
  }

  #refuse(error: unknown, what: string): Reply {
    const refusal = refusalOf(error)
    if (refusal === null) {
      this.#options.log('alert', `admin: ${what}: ${(error as Error)?.stack ?? String(error)}`)
      return toReply(new Refusal(500, 'internal error', 'the error log says more'))
    }
    return toReply(refusal)
  }

  #send(request: IncomingMessage, response: ServerResponse, { status, type, body, headers }: Reply): void {
    if (response.destroyed) return
    // What has not been read of a body is not waited for.
    if (!request.complete) response.setHeader('Connection', 'close')
    if (type !== '') response.setHeader('Content-Type', type)
    response.setHeader('Cache-Control', 'no-store')
    response.setHeader('X-Content-Type-Options', 'nosniff')
    for (const [name, value] of Object.entries(headers ?? {})) response.setHeader(name, value)
    response.writeHead(status)
    response.end(request.method === 'HEAD' ? undefined : body)
  }
}

function toReply(refusal: Refusal): Reply {
  const { status, body, headers } = refusal
  return { status, type: 'application/problem+json', body: `${body}\n`, headers }
}

function readBody(request: IncomingMessage, max: number): Promise<Buffer> {
  const tooLarge = (): Refusal => new Refusal(413, 'content too large', `a body has at most ${max} bytes`)
  if (Number(request.headers['content-length'] ?? 0) > max) return Promise.reject(tooLarge())
  return new Promise((done, failed) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= max) chunks.push(chunk)
      else {
        request.pause()
        failed(tooLarge())
      }
    })
    request.on('end', () => done(Buffer.concat(chunks)))
    request.on('error', failed)
    request.on('close', () => failed(new Refusal(400, 'bad request', 'the body ended too early')))
  })
}

/** A socket in the file system that nobody listens on any more. */
function isAbandoned(path: string): Promise<boolean> {
  return new Promise((done) => {
    const probe = connect({ path })
    probe.on('connect', () => {
      probe.destroy()
      done(false)
    })
    probe.on('error', (error: NodeJS.ErrnoException) => done(error.code === 'ECONNREFUSED'))
  })
}
