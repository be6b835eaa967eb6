/**
 * `/api/v1/fleet` and `/api/v1/rollouts`, and changes of scripts on all machines that share a Redis. Knows the fleet by its
 * contract alone.
 */
import { setTimeout as pause } from 'node:timers/promises'
import {
  type Adoption,
  type Fleet,
  FleetError,
  type FleetStatus,
  type MachineProgress,
  type Rollout,
} from '../fleet/fleet.ts'
import type { MetricFamily } from '../observe/metrics.ts'
import { fleetFamilies } from './fleet-metrics.ts'
import { type ChangeQuery, readAuthor } from './fleet-request.ts'
import { type LocatedProblem, Refusal } from './problem.ts'
import { type ApiRequest, json, notFound, type Reply } from './reply.ts'

/** ms between two looks at what this machine makes of a change, and how long it may take for it. */
const LOOK = 20
const MAX_WAIT = 10_000

/** What became of a change; `own`: of this machine, null where it has nothing to do with it. */
export interface FleetChange {
  readonly rollout: Rollout
  readonly own: MachineProgress | null
}

/** What can be asked for a script that the fleet has recorded. */
export type FleetWish = 'rollback' | 'promote' | 'remove'

/** What a problem of a machine tells beside its place. */
interface MachineProblem extends LocatedProblem {
  readonly machine: string
}

/** A roll-out that changed nothing: RFC 9457 section 3.2, with the whole of it. */
class RolloutRefusal extends Refusal {
  readonly #rollout: Rollout

  constructor(rollout: Rollout) {
    const problems = rollout.machines.flatMap(problemOf)
    super(422, 'the fleet refuses it', rollout.reason || 'a machine could not serve by it', { problems })
    this.#rollout = rollout
  }

  override get body(): string {
    return JSON.stringify({ ...JSON.parse(super.body), rollout: this.#rollout })
  }
}

export class FleetApi {
  readonly #fleet: Fleet | null

  constructor(fleet: Fleet | null) {
    this.#fleet = fleet
  }

  /** Whether changes are the fleet's. */
  get on(): boolean {
    return this.#fleet?.on === true
  }

  async status(): Promise<Reply> {
    if (!this.on) return json({ on: false })
    return json({ on: true, ...(await this.#ask((fleet) => fleet.status())) })
  }

  async metrics(): Promise<MetricFamily[]> {
    if (!this.on) return []
    return fleetFamilies(await this.#fleet!.status().catch(() => null))
  }

  async rollout(id: string): Promise<Reply> {
    if (!this.on) throw notFound('there are no roll-outs without a fleet; "store redis://…" makes one')
    return json(await this.#ask((fleet) => fleet.rollout(id)))
  }

  /** @param name as all machines know it @throws Refusal */
  async push(name: string, text: string, request: ApiRequest, query: ChangeQuery): Promise<FleetChange> {
    const author = readAuthor(request)
    const push = { name, text, author, ...(query.canary !== null && { canary: query.canary }) }
    const { machine } = await this.#reached()
    const rollout = await this.#change((fleet) => fleet.push(push, query.atOnce ? 'nothing' : 'verdict'))
    return query.atOnce ? { rollout, own: null } : this.#settled(rollout, machine)
  }

  /** @returns null when the fleet knows nothing of this script @throws Refusal */
  async change(wish: FleetWish, name: string, request: ApiRequest): Promise<FleetChange | null> {
    const author = readAuthor(request)
    const { machine, machines, scripts } = await this.#reached()
    // Before it is among them, it may not know yet what is recorded.
    if (!machines.some((one) => one.machine === machine)) throw joining()
    const recorded = this.#fleet!.recordedName(name)
    const script = scripts.find((one) => one.name === recorded)
    if (script === undefined || (wish !== 'rollback' && script.canary === null)) return null
    const rollout = await this.#change((fleet) => {
      if (wish === 'rollback') return fleet.rollback(name, author)
      if (wish === 'promote') return fleet.promote(name, author)
      return fleet.removeCanary(name, author, `removed by ${author}`)
    })
    return this.#settled(rollout, machine)
  }

  /** What the fleet has recorded in place of what this machine alone has. @throws Refusal */
  async adopt(name: string): Promise<Adoption> {
    if (!this.on) throw notFound('there is nothing to adopt without a fleet; "store redis://…" makes one')
    return this.#ask((fleet) => fleet.adopt(name))
  }

  /** @throws Refusal when Redis is away: what the fleet has recorded is not known then */
  async #reached(): Promise<FleetStatus> {
    return this.#change(async (fleet) => {
      const status = await fleet.status()
      if (status.connected) return status
      throw new FleetError('unavailable', 'the Redis of the fleet cannot be reached')
    })
  }

  /** Once this machine, too, has done what was recorded. @throws Refusal when it was refused */
  async #settled(verdict: Rollout, machine: string): Promise<FleetChange> {
    let rollout = verdict
    for (let waited = 0; ; waited += LOOK) {
      if (rollout.state === 'refused') throw new RolloutRefusal(rollout)
      const own = rollout.machines.find((one) => one.machine === machine) ?? null
      const isOver = own === null || !['asked', 'ready'].includes(own.state) || rollout.state === 'done'
      if (isOver || waited >= MAX_WAIT) return { rollout, own }
      await pause(LOOK)
      // What is recorded stays so, whatever has become of Redis meanwhile.
      rollout = await this.#fleet!.rollout(rollout.id).catch(() => rollout)
    }
  }

  async #ask<T>(question: (fleet: Fleet) => Promise<T>, hint = ''): Promise<T> {
    try {
      return await question(this.#fleet!)
    } catch (error) {
      throw error instanceof FleetError ? toRefusal(error, hint) : error
    }
  }

  /** As `#ask`; who cannot change all may still want to change this machine. */
  #change<T>(question: (fleet: Fleet) => Promise<T>): Promise<T> {
    return this.#ask(question, '; "?local=1" (--local) changes this machine alone')
  }
}

const REFUSALS = {
  unavailable: [503, 'the fleet cannot be reached'],
  unknown: [404, 'not found'],
  refused: [422, 'the fleet refuses it'],
  conflict: [409, 'conflict'],
} as const satisfies Record<FleetError['code'], readonly [status: number, title: string]>

function joining(): Refusal {
  const message = 'this machine is about to join its fleet; try again in a moment'
  return toRefusal(new FleetError('unavailable', message), '')
}

/** @param hint what to do where Redis is away */
function toRefusal({ code, message }: FleetError, hint: string): Refusal {
  const [status, title] = REFUSALS[code]
  return new Refusal(status, title, code === 'unavailable' ? `${message}${hint}` : message)
}

/** Reasons begin with their place where they have one; below it may stand the line that is meant. */
function problemOf({ machine, state, reason }: MachineProgress): MachineProblem[] {
  if (state !== 'refused') return []
  const [first, ...excerpt] = reason.split('\n')
  const [, file, line, column, message] = /^(.+?):(\d+):(\d+): (.*)$/.exec(first) ?? []
  if (file === undefined) return []
  const place = { file, line: Number(line), column: Number(column) }
  const more = excerpt.length > 0 ? { excerpt: excerpt.join('\n') } : {}
  return [{ machine, ...place, severity: 'error', message, ...more }]
}
