/**
 * `script_record`: writes down what the hooks of a script find, ask and decide, for `sluice replay`. Secrets are masked
 * before a line is made. Off the request's path: a line is made when a hook has ended, and dropped if the disk is slow.
 */
import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import type { RecordModel } from './config/model.ts'
import type { BodyFailure, FetchEvents, FetchRequest, HookRequest, LogLevel, Phase } from './phases.ts'
import type { Exchange, Services } from './proxy/exchange.ts'
import type { HookDecision } from './replay/hook-decision.ts'
import type { HookInput } from './replay/hook-input.ts'
import { type Asked, formatEntry, type JournalEntry, plainPeer, textOf } from './replay/journal-entry.ts'
import { JournalFile } from './replay/journal-file.ts'
import { Mask } from './replay/mask.ts'
import { FetchRecording } from './replay/recorded-fetch.ts'
import { RecordedValues } from './replay/recorded-values.ts'
import type { HookQuestions } from './replay/tapped-request.ts'
import type { CallFollower, Follower } from './script-tap.ts'

/** Bytes of a chunk, message or body; a call with a longer one is not recorded. */
const MAX_CONTENT = 64 * 1024
/** Questions of one call that are kept. */
const MAX_ASKED = 1000
const MAX_FETCHES = 64
/** Sets requests of this process apart from those of others. */
const PROCESS = randomBytes(4).toString('hex')

/** The journals of a gateway by path: they outlive generations. */
export class Journals {
  readonly #files = new Map<string, JournalFile>()
  readonly #report: (level: LogLevel, message: string) => void

  constructor(report: (level: LogLevel, message: string) => void) {
    this.#report = report
  }

  get(path: string, max: number): JournalFile {
    let file = this.#files.get(path)
    if (file === undefined) this.#files.set(path, (file = new JournalFile(path, max, this.#report)))
    file.max = max
    return file
  }

  /** USR1. */
  reopenAll(): void {
    for (const file of this.#files.values()) file.reopen()
  }

  /** Writes out what waits. */
  async close(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.close()))
  }
}

export interface RecorderOptions {
  readonly record: RecordModel
  /** The script, and its parameters. */
  readonly file: string
  readonly params: Readonly<Record<string, string>>
  readonly services: Pick<Services, 'prefix'>
  readonly journals: Journals
}

export class ScriptRecorder implements Follower {
  readonly sample: number
  readonly #options: RecorderOptions
  readonly #journal: JournalFile

  constructor(options: RecorderOptions) {
    const { record, services, journals } = options
    this.sample = record.sample
    this.#options = options
    this.#journal = journals.get(resolve(services.prefix, record.file), record.max)
  }

  begin(phase: Phase, x: HookRequest, input: HookInput): CallFollower | null {
    const content = input.chunk?.data ?? input.socket?.message?.data
    if (content !== undefined && content.length > MAX_CONTENT) {
      this.#journal.drop()
      return null
    }
    const at = Date.now()
    const request = `${PROCESS}-${(x as Exchange).serial}`
    // A peer's state goes on changing.
    const upstream = input.upstream && { ...input.upstream, peers: input.upstream.peers.map(plainPeer) }
    const questions = new Questions(at)
    return {
      questions,
      ended: (decision) => {
        this.#write({ at, request, phase, input: { ...input, upstream }, decision }, questions)
      },
    }
  }

  #write(
    call: { at: number; request: string; phase: Phase; input: HookInput; decision: HookDecision },
    questions: Questions,
  ): void {
    const { file, params, record } = this.#options
    const mask = new Mask(record)
    const { input } = call
    const isForm = input.headersIn.some(
      ([name, value]) => /^content-type$/i.test(name) && /^application\/x-www-form-urlencoded/i.test(value),
    )
    const followed = {
      input: {
        ...input,
        args: mask.query(input.args),
        headersIn: mask.pairs(input.headersIn),
        headersOut: mask.pairs(input.headersOut),
      },
      asked: questions.masked(mask, isForm),
      decision: mask.decision(call.decision),
    }
    const { at, request, phase } = call
    const script = Buffer.from(file).toString('latin1')
    this.#journal.append(formatEntry({ at, request, script, params, phase, ...deepMasked(mask, followed) }))
  }
}

/** Secrets may stand in messages, and in the keys that were hashed. */
function deepMasked<T extends Pick<JournalEntry, 'input' | 'asked' | 'decision'>>(
  mask: Mask,
  followed: T,
): T {
  const { input, asked } = followed
  const { chunk, socket } = input
  const message = socket?.message ?? null
  const masked = mask.deep({ ...followed, input: { ...input, chunk: null } })
  const content = (data: Uint8Array) => Buffer.from(mask.text(textOf(data)), 'latin1')
  const picks = Object.entries(asked.picks).map(([what, index]) => [mask.text(what), index])
  return {
    ...masked,
    input: {
      ...masked.input,
      chunk: chunk && { ...chunk, data: content(chunk.data) },
      socket: masked.input.socket && {
        ...masked.input.socket,
        message: message && { ...message, data: content(message.data) },
      },
    },
    asked: { ...masked.asked, picks: Object.fromEntries(picks) },
  }
}

/** What one call asks, each question with its first answer. */
class Questions implements HookQuestions {
  readonly #variables = new Map<string, string | null>()
  readonly #picks = new Map<string, number>()
  readonly #fetches: FetchRecording[] = []
  readonly values: RecordedValues
  #body: Asked['body'] = null

  /** @param start when the hook began, ms since the epoch */
  constructor(start: number) {
    this.values = new RecordedValues(start, MAX_CONTENT)
  }

  variable(name: string, value: string | undefined): void {
    if (!this.#variables.has(name) && this.#variables.size < MAX_ASKED)
      this.#variables.set(name, value ?? null)
  }

  pick(what: string, index: number): void {
    if (!this.#picks.has(what) && this.#picks.size < MAX_ASKED) this.#picks.set(what, index)
  }

  body(error: BodyFailure | null, body: Uint8Array): void {
    if (body.length > MAX_CONTENT) return
    this.#body = { text: textOf(body), failure: error?.message ?? null, status: error?.status ?? 0 }
  }

  fetch(request: FetchRequest, events: FetchEvents): FetchEvents {
    if (this.#fetches.length >= MAX_FETCHES) return events
    const recording = new FetchRecording(request, events, MAX_CONTENT)
    this.#fetches.push(recording)
    return recording
  }

  masked(mask: Mask, isForm: boolean): Asked {
    const body = this.#body
    return {
      variables: Object.fromEntries(
        [...this.#variables].map(([name, value]) => {
          return [name, value === null || !/^\$\w+$/.test(name) ? value : mask.variable(name.slice(1), value)]
        }),
      ),
      picks: Object.fromEntries(this.#picks),
      body: body === null || !isForm ? body : { ...body, text: mask.query(body.text) },
      fetches: this.#fetches.map(({ record }) => ({
        ...record,
        url: mask.target(record.url),
        answer: record.answer && { ...record.answer, headers: mask.pairs(record.answer.headers) },
      })),
      ...this.values.asked,
    }
  }
}
