// What the tests of body filters share: an upstream that answers as a test says, a gateway in this process, and hooks
// that are functions of the test, written down as transcripts. Knows no scripts.

import type { Socket } from 'node:net'
import { createGateway, type Gateway } from '../../runtime/gateway.ts'
import { Outcome, type PhaseHandler } from '../../runtime/phases.ts'
import type { Exchange } from '../../runtime/proxy/exchange.ts'
import type { Hooks } from '../../runtime/proxy/plan.ts'
import { modelOf } from '../config/parsed.ts'
import { freePort } from '../lib/ports.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { type SocketUpstream, socketUpstream } from './journey-tools.ts'

/** What a hook does with a piece: text to put in its place, nothing, or `FAIL`; or that later. */
export type Word = string | Uint8Array | null | typeof FAIL
export const FAIL = Symbol('the hook fails')
export type Hook = (text: string, last: boolean, x: Exchange) => Word | Promise<Word>

/** How often the hooks of an exchange have been let go of. */
const drops = new WeakMap<Exchange, number>()

/** A hook as the engine would make it of a function: one that has been let go of says nothing more. */
export function hookOf(hook: Hook): PhaseHandler {
  const conclude = (request: Exchange, word: Word): Outcome => {
    if (word === null) return Outcome.PASS
    if (word === FAIL) {
      request.fail('bodyFilter', 'it fails')
      return Outcome.FAILED
    }
    request.bodyChunk!.replace(typeof word === 'string' ? Buffer.from(word, 'latin1') : word)
    return Outcome.REPLACED
  }
  return (request) => {
    const { data, last } = request.bodyChunk!
    const x = request as Exchange
    const word = hook(Buffer.from(data).toString('latin1'), last, x)
    if (!(word instanceof Promise)) return conclude(x, word)
    const before = drops.get(x)
    void word.then((late) => {
      if (drops.get(x) === before) x.hookSettled(conclude(x, late))
    })
    return Outcome.SUSPENDED
  }
}

/** A hook that lets everything go on, and what it has seen: `text` of each piece, `text!` of the last. */
export function witness(): { readonly seen: string[]; readonly hook: Hook } {
  const seen: string[] = []
  const hook: Hook = (text, last) => {
    seen.push(last ? `${text}!` : text)
    return null
  }
  return { seen, hook }
}

/** A promise and what settles it. */
export function later<T>(): { readonly promise: Promise<T>; readonly settle: (value: T) => void } {
  let settle: (value: T) => void = () => {}
  const promise = new Promise<T>((done) => {
    settle = done
  })
  return { promise, settle }
}

const NONE: Hooks = {
  rewrite: null,
  access: null,
  content: null,
  balancer: null,
  headerFilter: null,
  bodyFilter: null,
  wsOpen: null,
  wsMessage: null,
  wsClose: null,
  log: null,
}

/** A gateway in front of an upstream by the name of `$UPSTREAM`, with hooks that tests set. */
export class FilteredSite {
  readonly port: number
  readonly gateway: Gateway
  readonly upstream: SocketUpstream
  readonly log: string[]
  /** Exchanges whose hooks have been let go of. */
  readonly abandoned: Exchange[] = []
  /** Answers each request to the upstream; heads only, in latin1. */
  answer: (socket: Socket, head: string) => void = () => {}

  constructor(port: number, gateway: Gateway, upstream: SocketUpstream, log: string[]) {
    this.port = port
    this.gateway = gateway
    this.upstream = upstream
    this.log = log
    gateway.generation.services.abandonHook = (x) => {
      drops.set(x, (drops.get(x) ?? 0) + 1)
      this.abandoned.push(x)
    }
  }

  /** The body hooks of a location, from the next request on; none: no hooks at all. */
  filter(path: string, ...hooks: Hook[]): void {
    this.hook(path, hooks.length === 0 ? {} : { bodyFilter: hooks.map(hookOf) })
  }

  hook(path: string, hooks: Partial<Hooks>): void {
    const key = `127.0.0.1:${this.port}`
    const listener = this.gateway.generation.listener(key, { localAddress: '127.0.0.1' })
    const plan = listener.defaultServer.locations.find({ path, captures: null } as Exchange)!
    Object.assign(plan, { hooks: { ...NONE, ...hooks } })
  }

  async close(): Promise<void> {
    await this.gateway.close()
    await this.upstream.close()
  }
}

/** Locations of one server. `$UPSTREAM` stands for the upstream's address; `files` lie in the prefix. */
export async function filteredSite(
  locations: string,
  files: Readonly<Record<string, string | Buffer>> = {},
): Promise<FilteredSite> {
  const upstream = await socketUpstream((socket) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end + 4)
        text = text.slice(end + 4)
        site.answer(socket, head)
      }
    })
    socket.on('end', () => socket.end())
  })
  const port = await freePort()
  const prefix = tempDir('sluice-body-')
  writeFiles(prefix, files)
  const server = `listen 127.0.0.1:${port}; http2 on; ${locations.replaceAll('$UPSTREAM', upstream.address)}`
  const log: string[] = []
  const gateway = createGateway(
    modelOf(`http {
      upstream kept { server ${upstream.address}; keepalive 4; }
      server { root ${prefix}; ${server} }
    }`),
    { prefix, log: (level, message) => void log.push(`[${level}] ${message}`) },
  )
  await gateway.listen()
  const site = new FilteredSite(port, gateway, upstream, log)
  return site
}

/** Writes pieces one by one, each to be read by itself: by this process, which gets to its sockets between them. */
export async function inPieces(socket: Socket, ...pieces: (string | Buffer)[]): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return
    socket.write(piece, 'latin1')
    await new Promise((next) => setTimeout(next, 2))
    for (let turns = 0; turns < 2; turns++) await new Promise((next) => setImmediate(next))
  }
}
