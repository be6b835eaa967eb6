/**
 * Follows one name while anybody wants it: asks again when an answer's time is over, keeps the last good one while nobody
 * knows better, and says so once. One question at a time. Knows neither how is asked nor what the answer is for.
 */
import type { LogLevel } from '../phases.ts'
import type { NameAnswer } from './name-lookup.ts'

export interface NameWatchOptions<T> {
  /** In messages: `app.example.com`, `service http of example.com`. */
  readonly name: string
  readonly ask: () => Promise<NameAnswer<T>>
  readonly log: (level: LogLevel, message: string) => void
  /** From 0 to below 1. */
  readonly random?: () => number
}

type Listener<T> = (records: readonly T[]) => void

/** ms between tries while nobody knows; doubled each time. */
const FIRST_RETRY = 1_000
const LONGEST_RETRY = 30_000
/** So that many workers and machines do not ask in the same moment: at most so much later, as a share and in ms. */
const JITTER = 0.1
const MOST_JITTER = 5_000

export class NameWatch<T> {
  readonly #options: NameWatchOptions<T>
  readonly #listeners = new Set<Listener<T>>()
  readonly #onStop: () => void
  #known: readonly T[] | null = null
  /** What was said last: what is wrong; '': nothing. */
  #trouble = ''
  #retry = FIRST_RETRY
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #answered: () => void = () => undefined
  /** The first answer has come, a good one or not; or nobody waits for it any more. */
  readonly ready: Promise<void> = new Promise((done) => {
    this.#answered = done
  })

  /** @param onStop the last who wanted it has left */
  constructor(options: NameWatchOptions<T>, onStop: () => void = () => undefined) {
    this.#options = options
    this.#onStop = onStop
    void this.#ask()
  }

  get name(): string {
    return this.#options.name
  }

  /** What the name has; null: nobody has known so far. */
  get known(): readonly T[] | null {
    return this.#known
  }

  /**
   * @param listener is called with every good answer, be it the same as the one before
   * @returns a function that ends it; nothing is asked when all have ended it
   */
  follow(listener: Listener<T>): () => void {
    this.#listeners.add(listener)
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#stop()
    }
  }

  #stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#answered()
    this.#onStop()
  }

  async #ask(): Promise<void> {
    let wait: number
    try {
      const answer = await this.#options.ask()
      if (this.#stopped) return
      wait = this.#onAnswer(answer)
    } catch (error) {
      if (this.#stopped) return
      wait = this.#onFailure((error as Error).message)
    }
    this.#answered()
    const { random = Math.random } = this.#options
    const later = Math.min(MOST_JITTER, wait * JITTER) * random()
    this.#timer = setTimeout(() => void this.#ask(), wait + later)
  }

  #onAnswer({ records, valid }: NameAnswer<T>): number {
    const { name } = this.#options
    this.#retry = FIRST_RETRY
    if (records.length === 0)
      this.#say('error', `${name} could not be resolved (3: Host not found); it has no servers until it is`)
    else if (this.#trouble !== '') this.#say('notice', '', `${name} is resolved again`)
    this.#known = records
    for (const listener of this.#listeners) listener(records)
    return valid
  }

  #onFailure(reason: string): number {
    const stays = this.#known?.length ? 'what it had last stays' : 'it has no servers until it is'
    this.#say('error', `${this.#options.name} could not be resolved (${reason}); ${stays}`)
    const wait = this.#retry
    this.#retry = Math.min(LONGEST_RETRY, wait * 2)
    return wait
  }

  /** @param trouble that is not said again as long as it lasts */
  #say(level: LogLevel, trouble: string, message = trouble): void {
    if (trouble !== '' && trouble === this.#trouble) return
    this.#trouble = trouble
    this.#options.log(level, message)
  }
}
