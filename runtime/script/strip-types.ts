/**
 * TypeScript to JavaScript by taking the types out and leaving blanks, so that every position stays. In a thread of its
 * own, made when the first TypeScript is met and given up when none has come for a while: it takes 70 ms to
 * start and 26 MiB (measured), there are texts of a hundred characters on which the stripper never ends, and others that
 * break it. Knows texts, no files.
 */
import { Worker } from 'node:worker_threads'

/** What is wrong in a text. Line and column count from 1, in characters. */
export interface TypeFault {
  readonly message: string
  readonly line: number
  readonly column: number
}

/** What the thread says. */
export type StripAnswer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'fault'; readonly fault: TypeFault }
  /** It cannot be used any more. */
  | { readonly kind: 'broken' }

interface Job {
  readonly source: string
  readonly done: (result: string | TypeFault) => void
}

/** ms that one text may take; one of a megabyte takes 130. */
const MAX_TIME = 1000
/** ms for the thread to start, on a machine that is busy. */
const MAX_START = 10_000
/** ms without work after which the thread is given up. */
const IDLE = 10_000
/** MiB of the thread's own heap; texts are at most one. */
const HEAP = 64

const TOO_LONG = `its types cannot be taken out within ${MAX_TIME} ms; write what is nested in simpler pieces`
const TOO_DEEP = 'it is nested too deeply for its types to be taken out'

/** True for names of TypeScript modules. */
export function isTypeScript(path: string): boolean {
  return /\.m?ts$/.test(path)
}

/** The text without its types, every character that is left in its place; or what is wrong in it. */
export function stripTypes(source: string): Promise<string | TypeFault> {
  return new Promise((done) => stripper.add({ source, done }))
}

/** One text at a time, in order. */
class Stripper {
  #worker: Worker | null = null
  /** The worker has loaded what it needs. */
  #ready = false
  readonly #waiting: Job[] = []
  #job: Job | null = null
  #timer: NodeJS.Timeout | null = null

  add(job: Job): void {
    this.#waiting.push(job)
    if (this.#job === null) this.#next()
  }

  #next(): void {
    this.#job = this.#waiting.shift() ?? null
    if (this.#job === null) {
      this.#worker?.unref()
      this.#wake(IDLE, () => this.#drop())
      this.#timer!.unref()
      return
    }
    this.#worker ??= this.#start()
    this.#worker.ref()
    if (this.#ready) this.#give()
    else this.#wake(MAX_START, () => this.#lose('the thread for TypeScript does not start'))
  }

  #start(): Worker {
    const worker = new Worker(new URL('./strip-worker.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: HEAP },
    })
    worker.on('message', (answer: StripAnswer) => {
      if (worker === this.#worker) this.#onAnswer(answer)
    })
    worker.on('error', (error) => {
      if (worker === this.#worker) this.#lose(this.#ready ? TOO_DEEP : error.message)
    })
    return worker
  }

  #give(): void {
    this.#wake(MAX_TIME, () => this.#lose(TOO_LONG))
    this.#worker!.postMessage(this.#job!.source)
  }

  #onAnswer(answer: StripAnswer): void {
    if (answer.kind === 'ready') {
      this.#ready = true
      this.#give()
    } else if (answer.kind === 'broken') this.#lose(TOO_DEEP)
    else this.#end(answer.kind === 'text' ? answer.text : answer.fault)
  }

  #lose(why: string): void {
    this.#drop()
    if (this.#job !== null) this.#end({ message: `SyntaxError: ${why}`, line: 0, column: 0 })
  }

  #end(result: string | TypeFault): void {
    const { done } = this.#job!
    this.#next()
    done(result)
  }

  #wake(ms: number, action: () => void): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(action, ms)
  }

  #drop(): void {
    void this.#worker?.terminate()
    this.#worker = null
    this.#ready = false
  }
}

/** One for the process: what it keeps is a thread, not a result. */
const stripper = new Stripper()
