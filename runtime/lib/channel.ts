/**
 * Questions and answers between two processes over a wire that carries structured values in order. Knows no question
 * by name; owns ids, deadlines, and what becomes of open questions when the wire is cut.
 */

export interface Wire {
  /** Never throws; what is sent on a cut wire is lost. */
  send(message: unknown): void
  onMessage(listener: (message: unknown) => void): void
  onClose(listener: () => void): void
}

/** The other side could not, or there is no other side any more. `code` and `message` are the other side's. */
export class ChannelError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

type Message =
  | { readonly kind: 'ask'; readonly id: number; readonly topic: string; readonly args: readonly unknown[] }
  | { readonly kind: 'tell'; readonly topic: string; readonly args: readonly unknown[] }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'refusal'; readonly id: number; readonly code: string; readonly message: string }

interface Question {
  readonly done: (value: unknown) => void
  readonly failed: (error: ChannelError) => void
  readonly timer: NodeJS.Timeout | null
}

/** Answers a question; what it throws is told to the asker, with its `code` if it has one. */
export type Answerer = (...args: never[]) => unknown

export class Channel {
  readonly #wire: Wire
  readonly #open = new Map<number, Question>()
  readonly #answerers = new Map<string, Answerer>()
  #lastId = 0
  #cut = false

  constructor(wire: Wire) {
    this.#wire = wire
    wire.onMessage((message) => this.#onMessage(message as Message))
    wire.onClose(() => this.#onClose())
  }

  get cut(): boolean {
    return this.#cut
  }

  /** Says who answers what is asked, or hears what is told, on this topic. */
  answer(topic: string, answerer: Answerer): void {
    this.#answerers.set(topic, answerer)
  }

  /**
   * @param timeout ms; Infinity: as long as it takes
   * @throws ChannelError: `timeout`, `closed`, or what the other side said
   */
  ask<T>(topic: string, timeout: number, ...args: readonly unknown[]): Promise<T> {
    if (this.#cut) return Promise.reject(new ChannelError('closed', `"${topic}": the other process has gone`))
    const id = ++this.#lastId
    return new Promise<T>((done, failed) => {
      const late = () =>
        this.#settle(id)?.failed(new ChannelError('timeout', `"${topic}" took over ${timeout} ms`))
      const timer = timeout === Infinity ? null : setTimeout(late, timeout)
      this.#open.set(id, { done: done as (value: unknown) => void, failed, timer })
      this.#wire.send({ kind: 'ask', id, topic, args } satisfies Message)
    })
  }

  /** Says something that needs no answer. */
  tell(topic: string, ...args: readonly unknown[]): void {
    if (!this.#cut) this.#wire.send({ kind: 'tell', topic, args } satisfies Message)
  }

  #onMessage(message: Message): void {
    switch (message.kind) {
      case 'ask':
        void this.#reply(message.id, message.topic, message.args)
        break
      case 'tell':
        this.#answerers.get(message.topic)?.(...(message.args as never[]))
        break
      case 'answer':
        this.#settle(message.id)?.done(message.value)
        break
      case 'refusal':
        this.#settle(message.id)?.failed(new ChannelError(message.code, message.message))
        break
    }
  }

  async #reply(id: number, topic: string, args: readonly unknown[]): Promise<void> {
    try {
      const answerer = this.#answerers.get(topic)
      if (answerer === undefined) throw new ChannelError('unknown', `nobody answers "${topic}"`)
      const value = await answerer(...(args as never[]))
      this.#wire.send({ kind: 'answer', id, value } satisfies Message)
    } catch (error) {
      const { code = 'failed', message = String(error) } = error as { code?: string; message?: string }
      this.#wire.send({ kind: 'refusal', id, code, message } satisfies Message)
    }
  }

  /** Takes the question off the list. */
  #settle(id: number): Question | undefined {
    const question = this.#open.get(id)
    this.#open.delete(id)
    if (question?.timer) clearTimeout(question.timer)
    return question
  }

  #onClose(): void {
    this.#cut = true
    for (const id of [...this.#open.keys()])
      this.#settle(id)?.failed(new ChannelError('closed', 'the other process has gone'))
  }
}
