/**
 * A request, its fields and its upstream group as a hook of a dry run sees them: passes every question and every change
 * on, and notes it. Knows the contract of hooks (`phases.ts`), nothing of the proxy.
 */
import type {
  BalancerView,
  BodyChunk,
  HeaderAccess,
  HookRequest,
  LogLevel,
  Outcome,
  Phase,
} from '../phases.ts'
import type { HookTrace, Touch } from './try-recorder.ts'

/** Takes a note for the hook that runs; each note once. */
export type Note = (touch: Touch) => void

/** Longest part of a body that is kept. */
const MAX_BODY = 400

/** The hook that a request's decisions belong to. */
export interface Notebook {
  readonly current: HookTrace | null
  readonly note: Note
  /** The hook that waited has decided. */
  settled(outcome: Outcome): void
}

export class WatchedRequest implements HookRequest {
  readonly requestHeaders: HeaderAccess
  readonly responseHeaders: HeaderAccess
  readonly #x: HookRequest
  readonly #book: Notebook
  #balancer: WatchedBalancer | null = null

  constructor(x: HookRequest, book: Notebook) {
    this.#x = x
    this.#book = book
    this.requestHeaders = new WatchedFields(x.requestHeaders, 'headersIn', book.note)
    this.responseHeaders = new WatchedFields(x.responseHeaders, 'headersOut', book.note)
  }

  /** What stands behind it. */
  get request(): HookRequest {
    return this.#x
  }

  get scriptState(): unknown {
    return this.#x.scriptState
  }

  set scriptState(value: unknown) {
    this.#x.scriptState = value
  }

  get method(): string {
    return this.#read('method', this.#x.method)
  }

  get httpVersion(): string {
    return this.#read('httpVersion', this.#x.httpVersion)
  }

  get remoteAddress(): string {
    return this.#read('remoteAddress', this.#x.remoteAddress)
  }

  get uri(): string {
    return this.#read('uri', this.#x.uri)
  }

  set uri(value: string) {
    this.#x.uri = value
    this.#book.note({ what: 'uri', value, change: 'set' })
  }

  get rawArgs(): string {
    return this.#read('rawArgs', this.#x.rawArgs)
  }

  set rawArgs(value: string) {
    this.#x.rawArgs = value
    this.#book.note({ what: 'rawArgs', value, change: 'set' })
  }

  get status(): number {
    const { status } = this.#x
    this.#read('status', String(status))
    return status
  }

  set status(value: number) {
    this.#x.status = value
    this.#book.note({ what: 'status', value: String(value), change: 'set' })
  }

  get balancer(): BalancerView | null {
    const view = this.#x.balancer
    if (view === null) return null
    if (this.#balancer?.view !== view) this.#balancer = new WatchedBalancer(view, this.#book)
    return this.#balancer
  }

  get bodyChunk(): BodyChunk | null {
    const chunk = this.#x.bodyChunk
    return chunk === null ? null : new WatchedChunk(chunk, this.#book)
  }

  get webSocket(): HookRequest['webSocket'] {
    return this.#x.webSocket
  }

  get closed(): boolean {
    return this.#x.closed
  }

  answer(
    status: number,
    headers: readonly (readonly [string, string])[],
    body: string | Uint8Array | null,
  ): void {
    this.#x.answer(status, headers, body)
    this.#decide(`answers ${status}`)
  }

  redirect(uri: string): void {
    this.#x.redirect(uri)
    this.#decide(`redirects to ${uri}`)
  }

  fail(phase: Phase, message: string): void {
    this.#x.fail(phase, message)
  }

  hookSettled(outcome: Outcome): void {
    this.#book.settled(outcome)
    this.#x.hookSettled(outcome)
  }

  readBody(done: (error: Error | null, body: Uint8Array) => void): void {
    this.#x.readBody((error, body) => {
      if (error === null) {
        this.#book.note({ what: `body (${body.length} bytes)`, value: cutText(body), change: 'read' })
      }
      done(error, body)
    })
  }

  log(level: LogLevel, message: string): void {
    this.#x.log(level, message)
  }

  #read(what: string, value: string): string {
    this.#book.note({ what, value, change: 'read' })
    return value
  }

  #decide(decision: string): void {
    const { current } = this.#book
    if (current !== null) current.decision = decision
  }
}

/** The chunk that the hook under way has; the one behind it may be the same object for the next. */
class WatchedChunk implements BodyChunk {
  readonly #chunk: BodyChunk
  readonly #book: Notebook

  constructor(chunk: BodyChunk, book: Notebook) {
    this.#chunk = chunk
    this.#book = book
  }

  get data(): Uint8Array {
    const { data } = this.#chunk
    const what = `chunk (${data.length} bytes${this.last ? ', the last' : ''})`
    this.#book.note({ what, value: cutText(data), change: 'read' })
    return data
  }

  get last(): boolean {
    return this.#chunk.last
  }

  replace(data: Uint8Array): void {
    this.#chunk.replace(data)
    this.#book.note({ what: `chunk (${data.length} bytes)`, value: cutText(data), change: 'set' })
  }
}

/** As much of a body as is shown, as a byte string. */
function cutText(data: Uint8Array): string {
  const text = Buffer.from(data.subarray(0, MAX_BODY)).toString('latin1')
  return data.length > MAX_BODY ? `${text}...` : text
}

class WatchedFields implements HeaderAccess {
  readonly #fields: HeaderAccess
  readonly #name: string
  readonly #note: Note

  constructor(fields: HeaderAccess, name: string, note: Note) {
    this.#fields = fields
    this.#name = name
    this.#note = note
  }

  get(name: string): string | undefined {
    const value = this.#fields.get(name)
    this.#take(name, value, 'read')
    return value
  }

  getAll(name: string): string[] {
    const values = this.#fields.getAll(name)
    this.#take(name, values.length === 0 ? undefined : values.join(', '), 'read')
    return values
  }

  has(name: string): boolean {
    const has = this.#fields.has(name)
    this.#take(name, has ? this.#fields.get(name) : undefined, 'read')
    return has
  }

  set(name: string, value: string): void {
    this.#fields.set(name, value)
    this.#take(name, value, 'set')
  }

  append(name: string, value: string): void {
    this.#fields.append(name, value)
    this.#take(name, value, 'add')
  }

  delete(name: string): void {
    this.#fields.delete(name)
    this.#take(name, undefined, 'remove')
  }

  /** Fields that a hook goes through are read one by one; an answer of the hook's own takes along what it has set. */
  entries(): [string, string][] {
    const entries = this.#fields.entries()
    for (const [name, value] of entries) this.#take(name, value, 'read')
    return entries
  }

  #take(name: string, value: string | undefined, change: Touch['change']): void {
    this.#note({ what: `${this.#name} ${name}`, value, change })
  }
}

class WatchedBalancer implements BalancerView {
  readonly view: BalancerView
  readonly #book: Notebook

  constructor(view: BalancerView, book: Notebook) {
    this.view = view
    this.#book = book
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
    const what = `hash(${JSON.stringify(key)}${consistent ? ', consistent' : ''})`
    return this.#keep(what, this.view.hash(key, consistent))
  }

  roundRobin(): number {
    return this.#keep('roundRobin()', this.view.roundRobin())
  }

  leastConn(): number {
    return this.#keep('leastConn()', this.view.leastConn())
  }

  random(): number {
    return this.#keep('random()', this.view.random())
  }

  ipHash(): number {
    return this.#keep('ipHash()', this.view.ipHash())
  }

  setTimeouts(connect: number | undefined, send: number | undefined, read: number | undefined): void {
    this.view.setTimeouts(connect, send, read)
    const given = Object.entries({ connect, send, read }).filter(([, ms]) => ms !== undefined)
    const value = given.map(([name, ms]) => `${name} ${ms} ms`).join(', ')
    this.#book.note({ what: 'timeouts', value, change: 'set' })
  }

  setMoreTries(count: number): void {
    this.view.setMoreTries(count)
    this.#book.note({ what: 'further tries', value: String(count), change: 'set' })
  }

  choose(index: number): void {
    this.view.choose(index)
    const { current } = this.#book
    if (current !== null) current.decision = `chooses ${this.view.peers[index].address}`
  }

  #keep(what: string, index: number): number {
    this.#book.current?.asked.push({ what, index, address: this.view.peers[index]?.address ?? null })
    return index
  }
}
