/**
 * Hooks on the body of a response (`bodyFilter`), piece by piece as it comes: what they give goes on in its place. The
 * filter nearest to the maker of the body. Knows hooks as `phases.ts` has them, and nothing of who runs them.
 *
 *   READY --piece--> RUNNING --hook awaits--> WAITING --settled--> RUNNING --passed on--> READY
 *                       |                                             |
 *                       +--hook failed--> FAILED                      +--the last one--> DONE --end--> OVER
 *
 * One hook runs at a time. While it waits, or the output behind has no room, pieces queue here and their maker is told
 * so. A hook that fails before the head has left makes a clean 500; after that the response is cut.
 */
import { type BodyChunk, Outcome, type PhaseHandler } from '../phases.ts'
import type { Exchange, HookOwner, ResponseOutput } from './exchange.ts'
import { bytesOf, forgetBody, ResponseFilter, weakenEtag } from './response-filter.ts'
import { Step } from './step.ts'

const State = { READY: 0, RUNNING: 1, WAITING: 2, DONE: 3, FAILED: 4, OVER: 5 } as const
type State = (typeof State)[keyof typeof State]

/** Small pieces that wait are joined up to this size: a body of single bytes is no long queue. */
const JOINED = 16 * 1024

/** Whether hooks see the body of this response; its head says no more what may not hold afterwards. */
export function beginBodyFilter(x: Exchange): boolean {
  const { status } = x
  if (status < 200 || status === 204 || x.bodyHooksFailed) return false
  forgetBody(x)
  weakenEtag(x)
  return status !== 304
}

export class BodyFilter extends ResponseFilter implements BodyChunk, HookOwner {
  /** Nothing follows the piece that the hooks have. */
  last = false
  readonly #hooks: readonly PhaseHandler[]
  #state: State = State.READY
  /** Pieces whose turn has not come. */
  #queue: (Buffer | string)[] = []
  #queued = 0
  /** The maker of the body has no more. */
  #ended = false
  #headSent = false
  /** The output behind had room after the last write. */
  #room = true
  /** The piece that the hooks have, and the same as bytes once a hook has asked. */
  #piece: Buffer | string = ''
  #bytes: Buffer | null = null
  #replacement: Buffer | null = null
  /** Whose turn it is. */
  #hook = 0

  constructor(x: Exchange, next: ResponseOutput, hooks: readonly PhaseHandler[]) {
    super(x, next)
    x.lastPiece = false
    this.#hooks = hooks
  }

  // ---- the chunk that hooks see ----

  get data(): Uint8Array {
    return (this.#bytes ??= bytesOf(this.#piece))
  }

  /** Takes effect if the hook's outcome is `REPLACED`. The bytes are copied. */
  replace(data: Uint8Array): void {
    this.#replacement = Buffer.from(data)
  }

  // ---- the body ----

  get pendingBytes(): number {
    return this.#piece.length + this.#queued + this.next.pendingBytes
  }

  /** The head waits for the hooks' word on the first piece, unless that may be long in coming. */
  sendHead(x: Exchange, first: Uint8Array | string | null): boolean {
    if (first !== null) return this.sendBody(x, first)
    if (x.call?.bodyMayFollow) this.#room = this.#send(null)
    return this.#room
  }

  sendBody(x: Exchange, chunk: Uint8Array | string): boolean {
    if (chunk.length === 0) return true
    if (this.#state === State.READY && this.#room) this.#run(pieceOf(chunk), x.lastPiece)
    else if (this.#state < State.DONE) this.#enqueue(pieceOf(chunk))
    return this.#state === State.DONE || this.#isFree
  }

  sendEnd(_x: Exchange): Step {
    this.#ended = true
    return this.#advance()
  }

  drained(): void {
    this.#room = true
    if (this.#state === State.READY) this.#goOn()
  }

  hookSettled(outcome: Outcome): void {
    if (this.#state !== State.WAITING) return
    this.x.hookOwner = null
    this.#state = State.RUNNING
    this.#follow(outcome)
    this.#goOn()
  }

  dispose(): void {
    const { x } = this
    if (x.hookOwner === this) {
      x.hookOwner = null
      x.generation.services.abandonHook(x)
    }
    this.#drop()
    this.#state = State.OVER
  }

  /** Another piece may be run at once. */
  get #isFree(): boolean {
    return this.#state === State.READY && this.#room
  }

  #enqueue(piece: Buffer | string): void {
    const { length } = this.#queue
    const before = length === 0 ? '' : this.#queue[length - 1]
    if (length > 0 && typeof before === 'string' && typeof piece === 'string' && before.length < JOINED)
      this.#queue[length - 1] = before + piece
    else this.#queue.push(piece)
    this.#queued += piece.length
  }

  /** Goes on outside of a step. */
  #goOn(): void {
    const { x } = this
    const step = this.#advance()
    if (step !== Step.SUSPENDED) x.generation.services.resume(x, step)
    else if (this.#isFree) this.release()
  }

  /** Pieces that wait, as far as there is room, then the end. */
  #advance(): Step {
    while (this.#isFree && this.#queue.length > 0) {
      const piece = this.#queue.shift()!
      this.#queued -= piece.length
      this.#run(piece, this.#ended && this.#queue.length === 0)
    }
    if (!this.#ended || this.#queue.length > 0) return Step.SUSPENDED
    if (this.#state === State.READY) this.#run('', true)
    if ((this.#state as State) !== State.DONE) return Step.SUSPENDED
    this.#state = State.OVER
    return this.next.sendEnd(this.x)
  }

  // ---- one piece ----

  #run(piece: Buffer | string, last: boolean): void {
    const { x } = this
    this.#state = State.RUNNING
    this.#piece = piece
    this.#bytes = null
    this.last = last
    this.#hook = 0
    x.bodyChunk = this
    this.#follow(this.#hooks[0](x))
  }

  /** What comes after a hook: waiting for it, the next one, the output, or the end of it all. */
  #follow(first: Outcome): void {
    const { x } = this
    let outcome = first
    for (;;) {
      if (outcome === Outcome.SUSPENDED) {
        this.#state = State.WAITING
        x.hookOwner = this
        return
      }
      if (outcome === Outcome.REPLACED) this.#piece = this.#bytes = this.#replacement!
      else if (outcome !== Outcome.PASS) {
        this.#fail()
        return
      }
      const dropped = this.#piece.length === 0 && !this.last
      if (dropped || ++this.#hook === this.#hooks.length) break
      outcome = this.#hooks[this.#hook](x)
    }
    this.#pass()
  }

  #pass(): void {
    const piece = this.#piece
    this.#forgetPiece()
    if (!this.#headSent) this.#room = this.#send(piece.length === 0 ? null : piece)
    else if (piece.length > 0) this.#room = this.next.sendBody(this.x, piece)
    this.#state = this.last ? State.DONE : State.READY
  }

  /** Sends the head. */
  #send(first: Buffer | string | null): boolean {
    this.#headSent = true
    return this.next.sendHead(this.x, first)
  }

  #forgetPiece(): void {
    this.x.bodyChunk = null
    this.#piece = ''
    this.#bytes = null
    this.#replacement = null
  }

  #drop(): void {
    this.#forgetPiece()
    this.#queue = []
    this.#queued = 0
  }

  // ---- failing ----

  /** The maker of the body is in the middle of handing it over: whatever follows has to wait until it has done so. */
  #fail(): void {
    this.#drop()
    this.#state = State.FAILED
    process.nextTick(() => {
      if (this.#state === State.FAILED && !this.x.closed) this.#end()
    })
  }

  #end(): void {
    const { x } = this
    x.bodyHooksFailed = true
    stopMaking(x)
    let step: Step = Step.ERROR
    if (x.headSent) {
      // A part of a response would pass for all of it: the client's own is cut too.
      if (x.parent !== null) x.client.abort(x)
      x.keepAlive = false
      step = Step.LOG
    } else x.status = 500
    x.generation.services.resume(x, step)
  }
}

/** Lets go of what the body came from: the upstream, or a file that waits for room. */
function stopMaking(x: Exchange): void {
  x.call?.abandon()
  const wake = x.onDrained
  if (wake === null) return
  x.onDrained = null
  // A file ends being sent when there is nobody to send it to.
  x.closed = true
  wake(x)
  x.closed = false
}

function pieceOf(chunk: Uint8Array | string): Buffer | string {
  return typeof chunk === 'string' ? chunk : bytesOf(chunk)
}
