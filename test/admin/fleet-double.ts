// A fleet as a test describes it, behind the admin API of a real proxy.

import { Guard } from '../../runtime/admin/guard.ts'
import { Routes } from '../../runtime/admin/routes.ts'
import { AdminServer } from '../../runtime/admin/server.ts'
import type {
  Adoption,
  Fleet,
  FleetError,
  FleetStatus,
  MachineProgress,
  Push,
  Rollout,
} from '../../runtime/fleet/fleet.ts'
import { freePort } from '../lib/ports.ts'
import { AdminSite } from './site.ts'

export const answering = (text: string) => `export function content(r) { r.return(200, '${text}') }\n`

export const DIGEST = 'd1'.repeat(32)
/** Of a roll-out, as machines call it. */
export const CANARY_FILE = '.b.fleet-canary-0123456789abcdef.js'
const AT = Date.UTC(2030, 0, 2, 3, 4, 5)

/** `web-2 refused a.js:1:2: no`; what serves does so by generation 7 after 30 ms. */
export function machine(text: string): MachineProgress {
  const [, name, state, reason = ''] = /^(\S+) (\S+)(?: (.*))?$/s.exec(text)!
  const serves = state === 'serving'
  return {
    machine: name,
    state: state as MachineProgress['state'],
    reason,
    generation: serves ? 7 : 0,
    took: serves ? 30 : 0,
  }
}

export function rollout(
  state: Rollout['state'],
  machines: readonly string[],
  more: Partial<Rollout> = {},
): Rollout {
  const about = { id: 'r1', kind: 'push', name: 'a.js', digest: DIGEST, author: 'ann', at: AT } as const
  return { ...about, canary: null, reason: '', state, machines: machines.map(machine), ...more }
}

export function recorded(name: string, canary: FleetStatus['scripts'][0]['canary'] = null) {
  const live = { digest: DIGEST, author: 'ann', at: AT, kind: 'push' } as const
  const earlier = [{ digest: '0a'.repeat(32), author: 'bob', at: AT - 60_000, kind: 'push' }] as const
  return { name, serial: 4, supersededBy: '', live, canary, earlier }
}

export const CANARY = {
  digest: 'ca'.repeat(32),
  author: 'cay',
  at: AT,
  kind: 'canary',
  percent: 500,
  key: '$arg_u',
} as const

export class FleetDouble implements Fleet {
  on = true
  /** What was asked of it. */
  readonly asked: unknown[] = []
  /** How roll-outs go on: each look sees the next one, the last one stays. */
  steps: Rollout[] = []
  fault: FleetError | null = null
  adoption: Adoption = { file: '', generation: 3, took: 2, kept: [] }
  /** What the fleet calls scripts. */
  names: Readonly<Record<string, string>> = {}
  state: FleetStatus = {
    machine: 'web-1',
    connected: true,
    signed: false,
    machines: [
      {
        machine: 'web-1',
        pid: 1,
        version: '0.1.0',
        seen: AT,
        away: false,
        signs: false,
        scripts: {},
        drift: {},
      },
    ],
    scripts: [],
  }

  push(push: Push, wait: 'verdict' | 'nothing'): Promise<Rollout> {
    return this.#begin({ ...push, wait }, wait)
  }

  rollback(name: string, author: string): Promise<Rollout> {
    return this.#begin({ rollback: name, author })
  }

  promote(name: string, author: string): Promise<Rollout> {
    return this.#begin({ promote: name, author })
  }

  removeCanary(name: string, author: string, reason: string): Promise<Rollout> {
    return this.#begin({ remove: name, author, reason })
  }

  async #begin(asked: unknown, wait: 'verdict' | 'nothing' = 'verdict'): Promise<Rollout> {
    if (this.fault !== null) throw this.fault
    this.asked.push(asked)
    while (wait === 'verdict' && this.steps[0].state === 'asking') this.steps.shift()
    return this.steps[0]
  }

  async adopt(name: string): Promise<Adoption> {
    if (this.fault !== null) throw this.fault
    this.asked.push({ adopt: name })
    return this.adoption
  }

  recordedName(name: string): string {
    return this.names[name] ?? name
  }

  async rollout(): Promise<Rollout> {
    if (this.fault !== null) throw this.fault
    if (this.steps.length > 1) this.steps.shift()
    return this.steps[0]
  }

  async status(): Promise<FleetStatus> {
    return this.state
  }
}

/** A proxy that serves `a.js`, and `b.js` with a canary of the fleet, with the admin API of a machine of that fleet beside its own. */
export class FleetSite {
  readonly fleet = new FleetDouble()
  readonly site: AdminSite
  readonly port: number
  readonly #server: AdminServer

  private constructor(site: AdminSite, port: number) {
    this.site = site
    this.port = port
    const place = { config: site.path('sluice.conf'), prefix: site.folder }
    const routes = new Routes(site.control, place, this.fleet)
    this.#server = new AdminServer({
      guard: new Guard([], null),
      answer: (request) => routes.answer(request),
      log: (level, message) => site.log.push(`[${level}] ${message}`),
    })
  }

  static async start(): Promise<FleetSite> {
    const config = (port: number, admin: number) => `admin ${admin}; server { listen 127.0.0.1:${port};
      location / { script scripts/a.js; }
      location /b { script scripts/b.js; script_canary scripts/${CANARY_FILE} percent=1; } }`
    const files = ['a.js', 'b.js', CANARY_FILE].map((name) => [`scripts/${name}`, answering('one')])
    const site = await AdminSite.start(config, Object.fromEntries(files))
    const own = new FleetSite(site, await freePort())
    await own.#server.listen({ host: '127.0.0.1', port: own.port })
    return own
  }

  async close(): Promise<void> {
    this.#server.destroy()
    await this.site.close()
  }
}
