/**
 * The roll-outs that this machine begins. Two steps, so that nothing changes where anybody could not serve by it:
 *
 *   asked      the version and its text are put into Redis; every machine that is there loads it, and answers
 *   recorded   one compare-and-set of the script's record; every machine serves by it, now or when it is back
 */
import { randomBytes } from 'node:crypto'
import type { LogLevel } from '../phases.ts'
import { Bindings } from './bindings.ts'
import {
  FleetError,
  type FleetMachine,
  type FleetVersion,
  type Push,
  type Rollout,
  type RolloutKind,
} from './fleet.ts'
import type { FleetRedis, StoredRollout } from './fleet-redis.ts'
import { machinesOf } from './fleet-status.ts'
import { type Machine, short } from './machine.ts'
import { heldText } from './machine-canaries.ts'
import {
  type Answer,
  digestOf,
  digestsOf,
  type FleetRecord,
  firstLine,
  isId,
  isScriptName,
  MAX_AUTHOR,
  MAX_KEY,
  MAX_NAME,
  MAX_REASON,
  MAX_SCRIPT,
} from './record.ts'
import { ASKED, answersOf, viewOf } from './rollout-view.ts'
import type { Seal } from './seal.ts'
import { cleaned, Malformed } from './strict.ts'
import { type Draft, draftOf, type Wish } from './versions.ts'
import { Waiter } from './waiter.ts'

export interface RolloutsOptions {
  readonly redis: FleetRedis
  readonly seal: Seal
  readonly machine: Machine
  /** What this machine is called. */
  readonly name: string
  /** Serial number of the last record that this machine has taken over. */
  readonly serial: () => number
  /** Resolves once this machine is among those that are asked. @throws FleetError */
  readonly present: () => Promise<void>
  readonly log: (level: LogLevel, message: string) => void
}

/** ms between two looks, where the news of an answer is lost. */
const LOOK = 500
/** How far ahead of what is known a serial number may be that a machine tells of. */
const MAX_AHEAD = 1_000_000
/** Names that a message lists. */
const MAX_LISTED = 20

/** What stands in Redis of a script; `text`: as it is there, '': nothing. */
interface Base {
  readonly text: string
  /** null: nothing, or nothing that this machine accepts. */
  readonly record: FleetRecord | null
  /** Highest serial number of all records. */
  readonly serial: number
}

/** Who asks, and why. */
interface Told {
  readonly author: string
  readonly reason?: string
}

/** A change that is under way. */
interface Ask {
  readonly draft: Draft
  readonly base: Base
}

export class Rollouts {
  readonly #options: RolloutsOptions
  /** Of roll-outs that wait for answers, by id. */
  readonly #waiters = new Map<string, Waiter>()

  constructor(options: RolloutsOptions) {
    this.#options = options
  }

  /** A machine has answered. */
  answered(id: string): void {
    this.#waiters.get(id)?.wake()
  }

  async push({ name, text, author, canary }: Push, wait: 'verdict' | 'nothing'): Promise<Rollout> {
    checkText(name, text)
    const kind = canary === undefined ? 'push' : 'canary'
    if (canary !== undefined) checkShare(canary)
    const more = { digest: digestOf(text), share: canary ?? null }
    return this.#begin(this.#wish(kind, name, { author }, more), text, wait)
  }

  /** @param reason why a canary is removed */
  async change(
    kind: Exclude<RolloutKind, 'push' | 'canary'>,
    name: string,
    author: string,
    reason = '',
  ): Promise<Rollout> {
    return this.#begin(this.#wish(kind, name, { author, reason }, {}), null, 'verdict')
  }

  async rollout(id: string): Promise<Rollout> {
    const stored = isId(id) ? await this.#options.redis.rollout(id) : null
    if (stored === null)
      throw new FleetError('unknown', `there is no roll-out ${JSON.stringify(id)} (any more)`)
    return this.#view(stored)
  }

  #view(stored: StoredRollout): Rollout {
    try {
      return viewOf(stored, this.#options.seal.openProposal(stored.proposal))
    } catch (error) {
      if (error instanceof Malformed) throw new FleetError('unknown', error.message)
      throw error
    }
  }

  // ---- what is asked for ----

  #wish(kind: RolloutKind, called: string, { author, reason = '' }: Told, more: Partial<Wish>): Wish {
    const name = this.#nameOf(called)
    const id = randomBytes(8).toString('hex')
    const told = { author: oneLine(author, MAX_AUTHOR) || 'unknown', reason: oneLine(reason, MAX_REASON) }
    return { id, kind, name, ...told, at: Date.now(), digest: '', share: null, ...more }
  }

  /** As this machine knows it, where it has the script. @throws FleetError */
  #nameOf(called: string): string {
    const { scripts } = this.#options.machine
    let file: string | null
    try {
      file = scripts.find(called)
    } catch (error) {
      throw new FleetError('refused', (error as Error).message)
    }
    const name = file === null ? called : scripts.nameOf(file)
    if (isScriptName(name)) return name
    throw new FleetError(
      'refused',
      `${JSON.stringify(name.slice(0, MAX_NAME))} is no name that scripts have on all machines: write the end of its path`,
    )
  }

  async #begin(asked: Wish, text: string | null, wait: 'verdict' | 'nothing'): Promise<Rollout> {
    await this.#options.present()
    const [wish, base] = await this.#base(asked)
    if (await this.#isServed(wish, base)) return unchanged(wish)
    const texts = new Map<string, string>()
    if (text !== null) texts.set(wish.digest, text)
    const own = base.record === null ? await this.#own(wish, texts) : null
    const draft = draftOf(wish, base.record, own)
    if (text === null) await this.#checkThere(draft)
    return this.#rollOut({ draft, base }, texts, wait)
  }

  /** What is recorded of the same file by another name goes on by that name. */
  async #base(asked: Wish): Promise<[Wish, Base]> {
    const { redis, machine } = this.#options
    const texts = await redis.records()
    const records = [...texts].flatMap(([name, text]) => this.#opened(name, text))
    const file = machine.scripts.only(asked.name)
    const name = (file === null ? null : new Bindings(records, machine.scripts).nameOf(file)) ?? asked.name
    const record = records.find((one) => one.name === name) ?? null
    const serial = Math.max(0, ...records.map((one) => one.serial))
    return [
      { ...asked, name },
      { text: texts.get(name) ?? '', record, serial },
    ]
  }

  #opened(name: string, text: string): FleetRecord[] {
    try {
      const record = this.#options.seal.openRecord(text)
      return record.name === name ? [record] : []
    } catch (error) {
      if (error instanceof Malformed) return []
      throw error
    }
  }

  /** The very text is what is recorded, and all that are there serve by it. */
  async #isServed({ kind, name, digest }: Wish, { record }: Base): Promise<boolean> {
    if (kind !== 'push' || record === null || record.canary !== null || record.live.digest !== digest)
      return false
    const machines = machinesOf(await this.#options.redis.overview()).filter(({ away }) => !away)
    const serves = ({ scripts, drift }: FleetMachine): boolean =>
      !Object.hasOwn(drift, name) && (!Object.hasOwn(scripts, name) || scripts[name] === digest)
    return machines.every(serves) && (await this.#servesHere(name, digest))
  }

  async #servesHere(name: string, digest: string): Promise<boolean> {
    const { scripts } = this.#options.machine
    const file = scripts.only(name)
    return (
      file === null ||
      ((await scripts.served()).of(file)?.digest === digest && heldText(file, digest) !== null)
    )
  }

  /** What served before the fleet knew the script can be gone back to. */
  async #own({ name, at }: Wish, texts: Map<string, string>): Promise<FleetVersion | null> {
    const { machine } = this.#options
    const file = machine.scripts.only(name)
    const served = file === null ? null : (await machine.scripts.served()).of(file)
    if (served === null) return null
    texts.set(served.digest, served.text)
    return { digest: served.digest, author: '', at, kind: 'before' }
  }

  async #checkThere({ kind, live }: Draft): Promise<void> {
    if (kind === 'remove' || (await this.#options.redis.text(live.digest)) !== null) return
    throw new FleetError(
      'unknown',
      `the text of version ${short(live.digest)} is not in Redis any more; push it again`,
    )
  }

  // ---- asking ----

  async #rollOut(
    ask: Ask,
    texts: ReadonlyMap<string, string>,
    wait: 'verdict' | 'nothing',
  ): Promise<Rollout> {
    const { redis, seal, log } = this.#options
    const { id, kind, name, live, canary, author, at } = ask.draft
    const digest = (canary ?? live).digest
    const share = canary === null ? null : { percent: canary.percent, key: canary.key }
    const beside = canary === null ? '' : live.digest
    const proposal = { id, kind, name, digest, beside, author, at, canary: share }
    const waiter = new Waiter()
    this.#waiters.set(id, waiter)
    const asked = redis.propose(id, seal.closeProposal(proposal), texts)
    const decided = asked.then(() => this.#decide(ask, waiter)).finally(() => this.#waiters.delete(id))
    if (wait === 'verdict') await decided
    else decided.catch((error: Error) => log('error', `fleet: roll-out ${id}: ${error.message}`))
    await asked
    return this.rollout(id)
  }

  async #decide(ask: Ask, waiter: Waiter): Promise<void> {
    const { id, kind, name, author, live, canary } = ask.draft
    const version = short((canary ?? live).digest)
    this.#options.log(
      'notice',
      `fleet: ${author} asks for ${kind} of ${name}, version ${version} (roll-out ${id})`,
    )
    const answers = await this.#answers(id, waiter)
    const reason = this.#refusal(ask.draft, answers)
    if (reason === null) await this.#record(ask, answers)
    else await this.#refuse(ask.draft, reason)
  }

  /** Once all have answered, or the time is over. */
  async #answers(id: string, waiter: Waiter): Promise<ReadonlyMap<string, Answer>> {
    const until = performance.now() + ASKED
    for (;;) {
      const stored = await this.#options.redis.rollout(id)
      const answers = stored === null ? new Map<string, Answer>() : answersOf(stored)
      const left = until - performance.now()
      const isMissing = [...answers.values()].some(({ state }) => state === 'asked')
      if (!isMissing || left <= 0) return answers
      await waiter.wait(Math.min(LOOK, left))
    }
  }

  /** @returns null: nobody has anything against it, and somebody serves it */
  #refusal({ name }: Draft, answers: ReadonlyMap<string, Answer>): string | null {
    const refused = [...answers].filter(([, { state }]) => state === 'refused')
    if (refused.length > 0)
      return refused.map(([machine, answer]) => `${machine}: ${firstLine(answer)}`).join('; ')
    const states = [...answers.values()].map(({ state }) => state)
    if (states.includes('ready')) return null
    if (!states.includes('unused')) return 'no machine has answered in time'
    const ambiguous = [...answers].filter(([, { reason }]) => reason !== '')
    if (ambiguous.length > 0)
      return ambiguous.map(([machine, answer]) => `${machine}: ${firstLine(answer)}`).join('; ')
    const names = this.#options.machine.scripts.names.slice(0, MAX_LISTED).join(', ')
    return `no machine has a script ${JSON.stringify(name)}; ${this.#options.name} has: ${names}`
  }

  async #refuse({ id, name, author }: Draft, reason: string): Promise<void> {
    this.#options.log('notice', `fleet: roll-out ${id} of ${name} by ${author} is refused: ${reason}`)
    await this.#options.redis.refuse(id, reason)
  }

  // ---- recording ----

  async #record({ draft, base }: Ask, answers: ReadonlyMap<string, Answer>): Promise<void> {
    const { redis, seal, log } = this.#options
    const { id, kind, name, author, live, canary } = draft
    const record: FleetRecord = { ...draft, serial: this.#nextSerial(base, answers) }
    // What ends a canary serves already.
    const served = canary === null ? [live.digest] : [live.digest, canary.digest]
    const needed = new Set(kind === 'remove' ? [] : served)
    const all = digestsOf(record)
    const before = base.record === null ? [] : [...digestsOf(base.record)]
    const outcome = await redis.record({
      id,
      name,
      before: base.text,
      record: seal.closeRecord(record),
      needed: [...needed],
      named: [...all].filter((digest) => !needed.has(digest)),
      dropped: before.filter((digest) => !all.has(digest)),
    })
    if (outcome === 'recorded') {
      const version = short((canary ?? live).digest)
      log(
        'notice',
        `fleet: ${name}, version ${version} by ${author}, is recorded (serial number ${record.serial})`,
      )
      return
    }
    const [code, reason] = FAILURES[outcome]
    await this.#refuse(draft, reason)
    throw new FleetError(code, `${name}: ${reason}`)
  }

  /** Above all that any machine has taken over: a Redis may have lost records. */
  #nextSerial({ serial }: Base, answers: ReadonlyMap<string, Answer>): number {
    const known = Math.max(serial, this.#options.serial())
    const told = [...answers.values()].map(({ serial }) => serial).filter((one) => one <= known + MAX_AHEAD)
    return Math.max(known, ...told) + 1
  }
}

const FAILURES = {
  conflict: ['conflict', 'somebody else has changed it at the same time; look at it, then try again'],
  full: ['refused', 'the fleet has as many scripts as it may have'],
  lost: ['unavailable', 'Redis has lost its texts meanwhile; try again'],
  over: ['conflict', 'the roll-out was ended by somebody else, or took too long'],
} as const satisfies Record<string, readonly [code: FleetError['code'], reason: string]>

/** How a push stands that changes nothing. */
function unchanged({ kind, name, digest, author, at }: Wish): Rollout {
  return { id: '', kind, name, digest, author, at, canary: null, state: 'done', reason: '', machines: [] }
}

function checkText(name: string, text: string): void {
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_SCRIPT)
    throw new FleetError('refused', `${name} has ${bytes} bytes; a script has at most ${MAX_SCRIPT}`)
  if (text.includes('\0')) throw new FleetError('refused', 'a script holds no NUL')
}

function checkShare({ percent, key }: NonNullable<Push['canary']>): void {
  if (!Number.isSafeInteger(percent) || percent < 1 || percent > 10_000)
    throw new FleetError('refused', 'the share of a canary is above 0 and up to 100 percent')
  if (key.length > MAX_KEY || cleaned(key) !== key || key.includes('\n'))
    throw new FleetError('refused', `the key of a canary is a text of at most ${MAX_KEY} characters`)
}

function oneLine(text: string, max: number): string {
  return cleaned(text).replaceAll('\n', ' ').slice(0, max)
}
