// A machine of a fleet in this process: a gateway that listens, what looks after it, and its part of the fleet. Several of
// them with one Redis are a fleet.

import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseConfig } from '../../runtime/config/parse.ts'
import type { FleetMachine, MachineState, Rollout } from '../../runtime/fleet/fleet.ts'
import { MachineFleet } from '../../runtime/fleet/machine-fleet.ts'
import { createGateway, type Gateway } from '../../runtime/gateway.ts'
import { GatewayControl } from '../../runtime/gateway-control.ts'
import { freePort } from '../lib/ports.ts'
import { HttpClient } from '../lib/raw-http.ts'
import type { RedisServer } from '../lib/redis.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

const POLL = 10
const LONGEST = 15_000
/** ms between two signs of life */
const BEAT = 200

/** A script that answers every request with one text. */
export const answering = (text: string) => `export function content(r) { r.return(200, '${text}') }\n`

export interface MachineSettings {
  /** Folder of a machine that was there before. */
  readonly folder?: string
  readonly files?: Readonly<Record<string, string>>
  /** More directives of http. */
  readonly http?: string
  readonly location?: string
  /** `script_fleet … state=` */
  readonly state?: string
  /** A link, and what it leads to. */
  readonly link?: readonly [name: string, to: string]
  /** Words of `store`; default: the Redis. */
  readonly store?: string
  /** ms between two signs of life */
  readonly beat?: number
}

const FILES = { 'a.js': answering('one') }

export class Machine {
  readonly name: string
  readonly folder: string
  readonly log: string[] = []
  readonly gateway: Gateway
  readonly control: GatewayControl
  readonly fleet: MachineFleet
  readonly port: number
  config: string

  private constructor(name: string, port: number, redis: RedisServer, settings: MachineSettings) {
    const { folder, files = FILES, http = '', location = 'script a.js;', state, beat = BEAT } = settings
    const store = settings.store ?? `redis://127.0.0.1:${redis.port}`
    const fleet = `script_fleet on name=${name} ${state === undefined ? '' : `state=${state}`};`
    this.name = name
    this.port = port
    this.folder = folder ?? tempDir('fleet-test-')
    writeFiles(this.folder, folder === undefined ? files : {})
    if (settings.link !== undefined) symlinkSync(settings.link[1], this.path(settings.link[0]))
    this.config = `http { access_log off; store ${store}; ${fleet} ${http}
      server { listen 127.0.0.1:${port}; location / { ${location} } } }`
    this.fleet = new MachineFleet({ config: this.path('sluice.conf'), prefix: this.folder, beat })
    const load = this.fleet.wrap(() => this.#load())
    this.gateway = createGateway(load().model!, {
      prefix: this.folder,
      log: (level, message) => this.log.push(`[${level}] ${message}`),
    })
    this.control = new GatewayControl(this.gateway, load, load().files)
  }

  static async start(name: string, redis: RedisServer, settings: MachineSettings = {}): Promise<Machine> {
    const machine = new Machine(name, await freePort(), redis, settings)
    await machine.gateway.listen()
    try {
      machine.fleet.attach(machine.control)
      const change = await machine.fleet.prepare(machine.#load().model!)
      change.commit()
      machine.control.companion = machine.fleet
    } catch (error) {
      await machine.gateway.close()
      throw error
    }
    return machine
  }

  #load() {
    writeFiles(this.folder, { 'sluice.conf': this.config })
    return parseConfig({ file: this.path('sluice.conf'), prefix: this.folder })
  }

  path(file: string): string {
    return join(this.folder, file)
  }

  read(file: string): string {
    return readFileSync(this.path(file), 'utf8')
  }

  /** What the proxy itself answers. */
  async get(path = '/'): Promise<string> {
    const client = new HttpClient(this.port)
    const { body } = await client.get(path)
    client.close()
    return body
  }

  push(text: string, name = 'a.js', author = 'ann'): Promise<Rollout> {
    return this.fleet.push({ name, text, author }, 'verdict')
  }

  canary(text: string, percent = 10_000, key = '$arg_k'): Promise<Rollout> {
    return this.fleet.push({ name: 'a.js', text, author: 'ann', canary: { percent, key } }, 'verdict')
  }

  /** Once the machines of a roll-out are in one of these states. */
  settled(id: string, ...states: MachineState[]): Promise<Rollout> {
    return until(async () => {
      const rollout = await this.fleet.rollout(id)
      return rollout.machines.every(({ state }) => states.includes(state)) ? rollout : null
    })
  }

  /** Once this machine sees so many that are there. */
  async sees(count: number): Promise<void> {
    await until(async () => {
      const { machines } = await this.fleet.status()
      return machines.filter(({ away }) => !away).length === count || null
    })
  }

  /** As this machine tells it of itself, once it has. */
  async told(): Promise<FleetMachine | undefined> {
    const found = (await this.fleet.status()).machines.find(({ machine }) => machine === this.name)
    const isSeen = (reason: string): boolean => reason.endsWith('by what it has said last')
    return Object.values(found?.drift ?? {}).some(isSeen) ? undefined : found
  }

  answers(text: string, path = '/'): Promise<true> {
    return until(async () => (await this.get(path)) === text || null)
  }

  says(pattern: RegExp): Promise<string> {
    return until(async () => this.log.find((line) => pattern.test(line)) ?? null)
  }

  async stop(): Promise<void> {
    await this.fleet.close()
    await this.gateway.close()
  }
}

/** What the question comes to once that is not null. */
export async function until<T>(question: () => Promise<T | null>): Promise<T> {
  const end = performance.now() + LONGEST
  for (;;) {
    const answer = await question()
    if (answer !== null) return answer
    if (performance.now() > end) throw new Error(`not within ${LONGEST} ms: ${question}`)
    await pause(POLL)
  }
}

/** State of each machine. */
export function statesOf({ machines }: Rollout): Record<string, MachineState> {
  return Object.fromEntries(machines.map(({ machine, state }) => [machine, state]))
}
