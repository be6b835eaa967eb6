// Fetches as a script host makes them, with everything that is told of them; names resolve to what a test says.

import type { Server } from 'node:net'
import { parseFetchRule } from '../../runtime/config/fetch-rule.ts'
import type { FetchRule } from '../../runtime/config/model.ts'
import { FetchAgents } from '../../runtime/fetch/agents.ts'
import { type FetchSurroundings, fetchWithin } from '../../runtime/fetch/network-fetch.ts'
import type { FetchCall, FetchEvents, FetchRequest, FetchResponse, ScriptHost } from '../../runtime/phases.ts'
import { UpstreamGroup } from '../../runtime/upstream/group.ts'
import type { Address } from '../../runtime/upstream/options.ts'
import { KEEPALIVE_DEFAULTS, SERVER_DEFAULTS } from '../../runtime/upstream/options.ts'

export function rules(text: string): FetchRule[] {
  if (text === 'none') return []
  return text.split(' ').map((word) => {
    const rule = parseFetchRule(word)
    if (rule === null) throw new Error(`${word} is no entry`)
    return rule
  })
}

/** A group of servers on 127.0.0.1. */
export function group(name: string, ports: readonly number[]): UpstreamGroup {
  return new UpstreamGroup({
    name,
    method: 'round_robin',
    keepalive: KEEPALIVE_DEFAULTS,
    servers: ports.map((port) => ({
      ...SERVER_DEFAULTS,
      name: `127.0.0.1:${port}`,
      addresses: [{ text: `127.0.0.1:${port}`, host: '127.0.0.1', port }],
    })),
  })
}

export interface World {
  readonly groups?: readonly UpstreamGroup[]
  /** Addresses by name, each time it is asked for. */
  readonly names?: Readonly<Record<string, () => readonly string[]>>
  readonly agents?: FetchAgents
}

export function surroundings({
  groups = [],
  names = {},
  agents = new FetchAgents(),
}: World): FetchSurroundings {
  return {
    findGroup(name) {
      const found = groups.find((each) => each.name === name)
      return found === undefined ? null : { group: found, key: '' }
    },
    resolver: {
      cached: () => null,
      lookUp(place, _port, done) {
        const [, host, port] = /^(.*):(\d+)$/.exec(place)!
        const literal = /^[\d.]+$|^\[/.test(host) ? [host.replace(/[[\]]/g, '')] : undefined
        const found = literal ?? names[host]?.() ?? []
        const addresses: Address[] = found.map((text) => ({ text, host: text, port: Number(port) }))
        setImmediate(done, addresses)
      },
    },
    agents,
    userAgent: 'sluice/test',
  }
}

/** One fetch and what was told of it, in order. */
export class Fetching implements FetchEvents {
  readonly call: FetchCall
  head: FetchResponse | null = null
  body = Buffer.alloc(0)
  ended = false
  drains = 0
  readonly failures: string[] = []
  /** Called for each event. */
  #tell: () => void = () => {}

  constructor(fetch: ScriptHost['fetch'], request: Partial<FetchRequest> & { readonly url: string }) {
    this.call = fetch(
      {
        method: 'GET',
        headers: [],
        body: null,
        redirect: 'follow',
        timeout: 5000,
        request: null,
        ...request,
      },
      this,
    )
  }

  response(response: FetchResponse): void {
    this.head = response
    this.ended = response.empty
    this.#tell()
  }

  data(chunk: Uint8Array, last: boolean): void {
    this.body = Buffer.concat([this.body, chunk])
    this.ended = last
    this.#tell()
  }

  drained(): void {
    this.drains++
    this.#tell()
  }

  failed({ kind, message }: { kind: string; message: string }): void {
    this.failures.push(`${kind}: ${message}`)
    this.#tell()
  }

  /** Resolves after an event that makes it true. */
  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      await new Promise<void>((next) => {
        this.#tell = next
      })
    }
  }

  /** The failure, or status and body. */
  async result(): Promise<string> {
    await this.until(() => this.head !== null || this.failures.length > 0)
    while (!this.ended && this.failures.length === 0) {
      const before = this.body.length
      this.call.read(true)
      await this.until(() => this.ended || this.body.length > before || this.failures.length > 0)
    }
    return this.failures[0] ?? `${this.head!.status} ${this.body.toString('latin1')}`
  }
}

/** A fetch function for scripts with that `script_allow_fetch`. */
export function network(allow: string, world: World = {}): ScriptHost['fetch'] {
  return fetchWithin(rules(allow), surroundings(world))
}

/** A fetch from its beginning to its end. */
export function outcome(
  fetch: ScriptHost['fetch'],
  request: Partial<FetchRequest> & { readonly url: string },
): Promise<string> {
  return new Fetching(fetch, request).result()
}

export function portOf(server: Server): number {
  return (server.address() as { port: number }).port
}

export function listening(server: Server): Promise<number> {
  return new Promise((done) => {
    server.listen(0, '127.0.0.1', () => done(portOf(server)))
  })
}
