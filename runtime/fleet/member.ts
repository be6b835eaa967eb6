/**
 * This machine among those that share a Redis: says that it is there, answers what it is asked, and looks at what is
 * recorded: when it hears of it, when it is back, and every few seconds. All that it does to its scripts is done one after
 * the other; nothing that stands in Redis makes it throw.
 */
import { randomBytes } from 'node:crypto'
import { encodeBytes } from '../config/problems.ts'
import type { Control } from '../control.ts'
import { InTurn } from '../lib/in-turn.ts'
import type { LogLevel } from '../phases.ts'
import type { RedisSettings } from '../store/redis-connect.ts'
import { VERSION } from '../version.ts'
import type { Bindings } from './bindings.ts'
import { type Adoption, FleetError } from './fleet.ts'
import { FleetRedis, type Listener, type NewsKind } from './fleet-redis.ts'
import { Ledger } from './ledger.ts'
import { Machine, type MachineOptions, short } from './machine.ts'
import { type Answer, type FleetRecord, firstLine, MAX_SEALED } from './record.ts'
import { Rollouts } from './rollouts.ts'
import type { Seal } from './seal.ts'
import type { FleetState } from './state-file.ts'
import { Malformed } from './strict.ts'

export interface MemberOptions extends Pick<MachineOptions, 'model' | 'overlays'> {
  readonly control: Control
  readonly settings: RedisSettings
  readonly seal: Seal
  readonly state: FleetState
  /** ms between two signs of life */
  readonly beat: number
}

/** ms, at most, until a machine tells of what serves since a file was saved. */
const SWAP_LOOK = 250
/** Questions that may wait; what comes on top is not answered. */
const MAX_WAITING = 64
/** ms that a machine that ends takes to say so. */
const LEAVING = 300

/** What a machine says of itself. */
export interface Words {
  readonly pid: number
  readonly version: string
  /** It takes nothing that is not signed. */
  readonly signs: boolean
  readonly scripts: Readonly<Record<string, string>>
  readonly drift: Readonly<Record<string, string>>
}

export class Member implements Listener {
  readonly redis: FleetRedis
  readonly machine: Machine
  readonly rollouts: Rollouts
  readonly state: FleetState
  readonly #options: MemberOptions
  readonly #instance = randomBytes(8).toString('hex')
  readonly #turns = new InTurn()
  readonly #timer: NodeJS.Timeout
  readonly #watch: NodeJS.Timeout
  readonly #ledger: Ledger
  /** Scripts whose canary is being ended. */
  readonly #ending = new Set<string>()
  #waiting = 0
  /** A look is planned that has not begun. */
  #planned: Promise<void> | null = null
  /** Generation that it has told of. */
  #told = 0
  /** It is among those that are asked. */
  #isPresent = false
  #isNamesake = false
  /** What the log says already. */
  #trouble = ''
  #closed = false

  constructor(options: MemberOptions) {
    const { control, state, seal, settings, model, overlays, beat } = options
    this.#options = options
    this.state = state
    state.begin()
    this.redis = new FleetRedis(settings, this)
    const log = (level: LogLevel, message: string): void => this.#log(level, message)
    const fetch = (digest: string): Promise<string | null> => this.redis.text(digest)
    const bindings = (): Bindings => this.#ledger.bindings
    this.machine = new Machine({ control, state, model, overlays, fetch, bindings, log })
    this.rollouts = new Rollouts({
      redis: this.redis,
      seal,
      machine: this.machine,
      name: state.machine,
      serial: () => state.serial,
      present: () => this.#present(),
      log,
    })
    this.#ledger = new Ledger({ redis: this.redis, seal, state, machine: this.machine, log })
    this.#timer = setInterval(() => void this.#look(), beat)
    this.#timer.unref()
    this.#watch = setInterval(() => this.#lookForSwap(), Math.min(beat, SWAP_LOOK))
    this.#watch.unref()
  }

  /** Records that this machine accepts, as it has seen them last. */
  get records(): readonly FleetRecord[] {
    return this.#ledger.records
  }

  get seal(): Seal {
    return this.#options.seal
  }

  get name(): string {
    return this.state.machine
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    clearInterval(this.#watch)
    if (this.#isPresent) {
      const left = this.redis.leave(this.name, this.#instance).catch(() => undefined)
      await Promise.race([left, new Promise((late) => setTimeout(late, LEAVING).unref())])
    }
    this.redis.close()
  }

  // ---- news ----

  joined(): void {
    this.#log(
      'notice',
      `fleet: this machine, ${this.name}, shares its scripts through ${this.redis.description}`,
    )
    void this.#look()
  }

  lost(): void {
    this.#isPresent = false
    if (this.#closed) return
    this.#log(
      'warn',
      `fleet: ${this.redis.description} is away; this machine goes on with the scripts it has`,
    )
  }

  news(kind: NewsKind, id: string): void {
    if (kind === 'answered') this.rollouts.answered(id)
    else if (kind === 'recorded') void this.#look()
    else if (this.#waiting < MAX_WAITING) void this.#hear(id)
  }

  /** Somebody asks whether this machine could serve by something. */
  async #hear(id: string): Promise<void> {
    this.#waiting++
    await this.#turns.run(async () => {
      this.#waiting--
      if (!this.#closed) await this.#guarded(() => this.#answerTo(id))
    })
  }

  async #answerTo(id: string): Promise<void> {
    const stored = await this.redis.rollout(id)
    if (stored === null || stored.state !== 'asking') return
    const answer = await this.#consider(id, stored.proposal)
    await this.redis.answer(id, this.name, JSON.stringify(answer))
  }

  async #consider(id: string, text: string): Promise<Answer> {
    try {
      const proposal = this.#options.seal.openProposal(text)
      if (proposal.id !== id) throw new Malformed('the proposal is of another roll-out')
      const answer = await this.machine.rehearse(proposal)
      if (answer.state === 'refused') {
        const { name, digest, author } = proposal
        this.#log(
          'notice',
          `fleet: ${name}, version ${short(digest)} by ${author}, is refused here: ${firstLine(answer)}`,
        )
      }
      return answer
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      this.#log('warn', `fleet: roll-out ${id} is refused here: ${error.message}`)
      return { state: 'refused', reason: error.message, generation: 0, took: 0, serial: 0 }
    }
  }

  // ---- what is recorded ----

  /** @returns when a look that begins after this call is over */
  #look(): Promise<void> {
    this.#planned ??= this.#turns.run(async () => {
      this.#planned = null
      if (!this.#closed && this.redis.connected) await this.#guarded(() => this.#takeOver())
    })
    return this.#planned
  }

  #lookForSwap(): void {
    if (this.#isPresent && this.#options.control.generation.id !== this.#told) void this.#look()
  }

  /** @throws FleetError */
  async adopt(called: string): Promise<Adoption> {
    await this.#present()
    return this.#turns.run(async () => {
      await this.#ledger.read()
      const adopted = await this.#adopt(called)
      await this.#tell()
      return adopted
    })
  }

  async #adopt(called: string): Promise<Adoption> {
    try {
      const file = this.machine.scripts.find(called)
      if (file !== null) return await this.#ledger.adopt(file)
    } catch (error) {
      if (error instanceof FleetError) throw error
      throw new FleetError('refused', (error as Error).message)
    }
    throw new FleetError('unknown', `this machine has no script ${JSON.stringify(called)}`)
  }

  /** What the fleet calls what this machine calls so. */
  recordedName(called: string): string {
    const file = this.machine.scripts.only(called)
    return (file === null ? null : this.#ledger.bindings.nameOf(file)) ?? called
  }

  async #present(): Promise<void> {
    if (!this.#isPresent && this.redis.connected) await this.#look()
    if (this.#isPresent) return
    throw new FleetError('unavailable', `${this.redis.description} cannot be reached`)
  }

  async #takeOver(): Promise<void> {
    // Who is asked has to know first what was recorded.
    await this.#ledger.read()
    const stopped = await this.#ledger.lookAfterCanaries()
    for (const [name, reason] of stopped) this.#endCanary(name, reason)
    await this.#tell()
  }

  /** What is stopped on one machine is ended on all. Begun, not waited for: this machine is asked as well. */
  #endCanary(name: string, reason: string): void {
    if (this.#ending.has(name)) return
    this.#ending.add(name)
    this.rollouts
      .change('remove', name, this.name, `stopped on ${this.name}: ${reason}`)
      .catch((error: Error) => this.#log('info', `fleet: the canary of ${name}: ${error.message}`))
      .finally(() => this.#ending.delete(name))
  }

  // ---- signs of life ----

  async #tell(): Promise<void> {
    this.#told = this.#options.control.generation.id
    const before = await this.redis.beat(this.name, this.#instance, await this.#words())
    if (this.#isPresent && before !== this.#instance && before !== '' && !this.#isNamesake) {
      this.#isNamesake = true
      this.#log(
        'error',
        `fleet: another machine is called ${this.name}, too; give one another name (script_fleet name=…)`,
      )
    }
    this.#isPresent = this.redis.connected
  }

  async #words(): Promise<string> {
    const scripts = await this.machine.served()
    const drift = { ...(await this.machine.drift(this.records)), ...this.#ledger.faults }
    const words: Words = { pid: process.pid, version: VERSION, signs: this.seal.signs, scripts, drift }
    const text = JSON.stringify(words)
    return text.length < MAX_SEALED / 4 ? text : JSON.stringify({ ...words, scripts: {}, drift: {} })
  }

  /** What Redis has against it is said once; the next look makes good for it. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work()
      this.#trouble = ''
    } catch (error) {
      const { message } = error as Error
      const isAway = error instanceof FleetError && !this.redis.connected
      if (this.#closed || isAway || message === this.#trouble) return
      this.#trouble = message
      this.#log('error', `fleet: ${message}`)
    }
  }

  #log(level: LogLevel, message: string): void {
    this.#options.control.log(level, encodeBytes(message))
  }
}
