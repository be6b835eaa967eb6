// Exchanges with a client that keeps what it is sent, for tests of responses of our own. Only what those need of a
// location is there; the steps around the one under test are not run.

import { FieldBlock } from '../../runtime/http1/fields.ts'
import { RequestHead } from '../../runtime/http1/request-reader.ts'
import {
  type BodyPart,
  type ClientTransport,
  Exchange,
  type GenerationPin,
  type OpenFile,
} from '../../runtime/proxy/exchange.ts'
import type { Effective, FilePlan, LocationPlan, ServerPlan } from '../../runtime/proxy/plan.ts'
import type { Step } from '../../runtime/proxy/step.ts'

export interface FakeRequest {
  readonly method?: string
  readonly path?: string
  readonly args?: string
  readonly version?: 9 | 10 | 11
  readonly fields?: Readonly<Record<string, string>>
  readonly settings?: Partial<Effective>
  readonly files?: Partial<FilePlan>
}

/** What the client got, and how much it takes at a time. */
export class FakeClient {
  readonly connectionId = 1
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = '1024'
  readonly protocol = 'HTTP/1.1'
  body = ''
  aborted = false
  /** Called for each piece of the body; its answer is that of `sendBody`. */
  takes: (x: Exchange, chunk: Uint8Array | string) => boolean = () => true
  pendingBytes = 0

  sendBody(x: Exchange, chunk: Uint8Array | string): boolean {
    this.body += bytesOf(chunk)
    return this.takes(x, chunk)
  }

  abort(): void {
    this.aborted = true
  }
}

export interface Made {
  readonly x: Exchange
  readonly client: FakeClient
  /** `[level] message` of every line on the error log. */
  readonly logged: string[]
  /** The step that a suspended journey is resumed at. */
  readonly resumed: Promise<Step>
}

export function makeExchange(request: FakeRequest = {}): Made {
  const { method = 'GET', path = '/', args = '', version = 11 } = request
  const logged: string[] = []
  let resume: (step: Step) => void = () => {}
  const resumed = new Promise<Step>((done) => {
    resume = done
  })
  const services = {
    log: (level: string, message: string) => void logged.push(`[${level}] ${message}`),
    resume: (_x: Exchange, step: Step) => resume(step),
    version: '1.2.3',
    prefix: '/prefix',
    stats: { accepted: 5, handled: 4, requests: 31, active: 3, reading: 0, writing: 1, waiting: 2 },
  }
  const client = new FakeClient()
  const fields = FieldBlock.from(Object.entries({ Host: 'localhost', ...request.fields }))
  const head = new RequestHead(method, path, version, fields, `${method} ${path} HTTP/1.1`)
  const x = new Exchange(
    client as unknown as ClientTransport,
    { services } as unknown as GenerationPin,
    head,
    fakeServer(request),
  )
  x.path = path
  x.args = args
  x.hasArgs = args !== ''
  x.host = 'localhost'
  return { x, client, logged, resumed }
}

function fakeServer({ settings, files }: FakeRequest): ServerPlan {
  const root = {
    settings: {
      etag: true,
      ifModifiedSince: 'exact',
      maxRanges: 0x7fffffff,
      logNotFound: true,
      serverTokens: 'on',
      absoluteRedirect: false,
      ...settings,
    } as Partial<Effective>,
    files: {
      root: () => '/nowhere',
      alias: false,
      aliased: null,
      index: [{ get: () => 'index.html', absolute: false }],
      types: new Map([
        ['html', 'text/html'],
        ['gif', 'image/gif'],
      ]),
      defaultType: 'text/plain',
      ...files,
    },
  }
  return { name: 'localhost', settings: root.settings, root: root as unknown as LocationPlan } as ServerPlan
}

/** A response as the header filter would find it. */
export function answerWith(x: Exchange, parts: BodyPart[], lastModified: string | null, etag?: string): void {
  x.status = 200
  x.parts = parts
  x.allowRanges = true
  x.headers.contentType = 'text/plain'
  x.headers.lastModified = lastModified
  x.headers.contentLength = parts.reduce(
    (sum, part) =>
      sum + (typeof part === 'string' || part instanceof Uint8Array ? part.length : part.end - part.start),
    0,
  )
  if (etag !== undefined) x.headers.add('ETag', etag)
}

/** The bytes of a body made of texts and buffers; files are read. */
export async function bodyOf(parts: readonly BodyPart[] | null): Promise<string> {
  let text = ''
  for (const part of parts ?? []) {
    if (typeof part === 'string' || part instanceof Uint8Array) text += bytesOf(part)
    else text += bytesOf(await readAll(part.file, part.start, part.end))
  }
  return text
}

function readAll(file: OpenFile, start: number, end: number): Promise<Uint8Array> {
  const block = Buffer.alloc(end - start)
  return new Promise((done, fail) => {
    file.read(block, start, (error, count) => (error === null ? done(block.subarray(0, count)) : fail(error)))
  })
}

function bytesOf(chunk: Uint8Array | string): string {
  return typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1')
}
