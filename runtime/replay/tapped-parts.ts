/**
 * What belongs to a tapped request: its fields, its upstream group, its chunk and its WebSocket. Each passes everything on
 * and notes what a hook decides by it.
 */
import type {
  BalancerView,
  BodyChunk,
  HeaderAccess,
  WebSocketMessage,
  WebSocketSide,
  WebSocketView,
} from '../phases.ts'
import { REMOVED } from './hook-decision.ts'

/** Who takes the notes of the hook under way. */
export interface CallNotes {
  readonly questions: { pick(what: string, index: number): void } | null
  note(facet: string, value: string): void
  /** @param address of the peer */
  choosing(address: string): void
  /** @param isSame the content is of the kind that it was before */
  replacing(data: Uint8Array, old: Uint8Array | undefined, isSame: boolean): void
  sending(to: WebSocketSide, data: Uint8Array): void
}

export class TappedFields implements HeaderAccess {
  readonly #fields: HeaderAccess
  readonly #name: string
  /** Fields that the hook has changed, as they were before, by name in lower case. */
  #before: Map<string, string> | null = null

  constructor(fields: HeaderAccess, name: string) {
    this.#fields = fields
    this.#name = name
  }

  begin(): void {
    this.#before = null
  }

  /** Fields that are not what they were. */
  changes(): Record<string, string> {
    const changes: Record<string, string> = {}
    if (this.#before === null) return changes
    for (const [name, before] of this.#before) {
      const now = this.#joined(name)
      if (now !== before) changes[`${this.#name} ${name}`] = now
    }
    return changes
  }

  #joined(name: string): string {
    const all = this.#fields.getAll(name)
    return all.length === 0 ? REMOVED : all.join(', ')
  }

  #touch(name: string): void {
    const lower = name.toLowerCase()
    this.#before ??= new Map()
    if (!this.#before.has(lower)) this.#before.set(lower, this.#joined(lower))
  }

  get(name: string): string | undefined {
    return this.#fields.get(name)
  }

  getAll(name: string): string[] {
    return this.#fields.getAll(name)
  }

  has(name: string): boolean {
    return this.#fields.has(name)
  }

  entries(): [string, string][] {
    return this.#fields.entries()
  }

  set(name: string, value: string): void {
    this.#touch(name)
    this.#fields.set(name, value)
  }

  append(name: string, value: string): void {
    this.#touch(name)
    this.#fields.append(name, value)
  }

  delete(name: string): void {
    this.#touch(name)
    this.#fields.delete(name)
  }
}

export class TappedBalancer implements BalancerView {
  readonly view: BalancerView
  readonly #request: CallNotes

  constructor(view: BalancerView, request: CallNotes) {
    this.view = view
    this.#request = request
  }

  get name(): string {
    return this.view.name
  }

  get peers(): BalancerView['peers'] {
    return this.view.peers
  }

  get tries(): number {
    return this.view.tries
  }

  get lastFailure(): string | null {
    return this.view.lastFailure
  }

  hash(key: string, consistent: boolean): number {
    return this.#picked(hashQuestion(key, consistent), this.view.hash(key, consistent))
  }

  roundRobin(): number {
    return this.#picked('roundRobin()', this.view.roundRobin())
  }

  leastConn(): number {
    return this.#picked('leastConn()', this.view.leastConn())
  }

  random(): number {
    return this.#picked('random()', this.view.random())
  }

  ipHash(): number {
    return this.#picked('ipHash()', this.view.ipHash())
  }

  setTimeouts(connect: number | undefined, send: number | undefined, read: number | undefined): void {
    this.view.setTimeouts(connect, send, read)
    for (const [name, ms] of Object.entries({ connect, send, read })) {
      if (ms !== undefined) this.#request.note(`${name} timeout`, `${ms} ms`)
    }
  }

  setMoreTries(count: number): void {
    this.view.setMoreTries(count)
    this.#request.note('more tries', String(count))
  }

  choose(index: number): void {
    this.view.choose(index)
    this.#request.choosing(this.view.peers[index].address)
  }

  #picked(what: string, index: number): number {
    this.#request.questions?.pick(what, index)
    return index
  }
}

/** How a question for a hash is written down. */
export function hashQuestion(key: string, consistent: boolean): string {
  return `hash(${JSON.stringify(key)}${consistent ? ', consistent' : ''})`
}

export class TappedChunk implements BodyChunk {
  readonly #chunk: BodyChunk
  readonly #request: CallNotes

  constructor(chunk: BodyChunk, request: CallNotes) {
    this.#chunk = chunk
    this.#request = request
  }

  get data(): Uint8Array {
    return this.#chunk.data
  }

  get last(): boolean {
    return this.#chunk.last
  }

  replace(data: Uint8Array): void {
    this.#request.replacing(data, this.#chunk.data, true)
    this.#chunk.replace(data)
  }
}

export class TappedSocket implements WebSocketView {
  readonly view: WebSocketView
  readonly #request: CallNotes

  constructor(view: WebSocketView, request: CallNotes) {
    this.view = view
    this.#request = request
  }

  get protocol(): string {
    return this.view.protocol
  }

  get reconnects(): number {
    return this.view.reconnects
  }

  get message(): WebSocketMessage | null {
    return this.view.message
  }

  get end(): WebSocketView['end'] {
    return this.view.end
  }

  get states(): WebSocketView['states'] {
    return this.view.states
  }

  replace(data: Uint8Array, binary: boolean): void {
    const { message } = this.view
    this.#request.replacing(data, message?.data, message?.binary === binary)
    this.view.replace(data, binary)
  }

  send(to: WebSocketSide, data: Uint8Array, binary: boolean): void {
    this.view.send(to, data, binary)
    this.#request.sending(to, data)
  }

  close(code: number, reason: string): void {
    this.view.close(code, reason)
    this.#request.note('closes', `${code} ${reason}`)
  }
}
