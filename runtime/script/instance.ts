/**
 * One QuickJS with a memory, a runtime and a context of its own: the only code that enters the VM. Owns its limits
 * (CPU time, memory, stack, jobs) and the rule that whatever leaves WebAssembly as an exception ends the instance:
 * such an instance is never entered again, and never disposed of but dropped. Knows values and functions, nothing of
 * scripts and requests.
 */
import type { ScriptClock } from '../phases.ts'
import { CpuClock } from './cpu-clock.ts'
import { fromBytes, GuestError, GuestValues, OutOfMemory, Tag, toBytes } from './guest-values.ts'
import { type Address, type Compiled, instantiate, newMemory, type QuickJs } from './quickjs-module.ts'
import { Rejections } from './rejections.ts'

/**
 * A function that the guest may call, with the cells of `this` and of the first of the arguments, which follow each
 * other; {@link MIN_ARGUMENTS} can always be read. It returns a cell, or 0 for undefined.
 */
export type HostFunction = (self: Address, argv: Address) => Address

/** Arguments that a host function may read; those the guest leaves out are undefined. */
const MIN_ARGUMENTS = 4

/** Where `import` finds its modules. Both throw GuestError with a message for the script. */
export interface ModuleSource {
  resolve(base: string, name: string): string
  load(id: string): string
}

export interface InstanceOptions {
  readonly compiled: Compiled
  /** Bytes. */
  readonly memory: number
  /** Bytes. */
  readonly stack: number
  /** ms of CPU time per entry. */
  readonly cpu: number
  readonly modules: ModuleSource
  readonly clock: ScriptClock
  /** A host function failed for a reason that is not the script's. */
  readonly onInternalError: (error: unknown) => void
}

/** The instance was lost in this call; the message says why. */
export class Poisoned extends Error {
  /** Where the guest was, as the prelude describes errors; '' if it is not known. */
  readonly position: string

  constructor(reason: string, position = '') {
    super(reason)
    this.position = position
  }
}

export const EvalFlag = { GLOBAL: 0, MODULE: 1 } as const

/** Metered loops between two looks at the clock: at 5 to 40 ns each, 1 to 8 ms. */
const FUEL_SLICE = 200_000
/** Jobs (continuations of promises) between two looks at the clock, and in one entry. */
const JOB_SLICE = 64
const MAX_JOBS = 65_536
const MAX_ARGUMENTS = 8
/** Calls with few arguments that may be nested before one's arguments are overwritten. */
const PADS = 16
/** Host calls between two looks at the clock, and bytes that cross in host calls; and host calls in one entry. */
const CALL_SLICE = 256
const BYTE_SLICE = 256 * 1024
const MAX_CALLS = 262_144
/** Metered loops that a lost instance may still run to say where it was. */
const LAST_FUEL = 100_000
const MAX_POSITION = 16_384

/** Offset in `JSRuntime`; `self-test.ts` proves it. */
const JOB_LIST = 168

export class Instance {
  readonly values: GuestValues
  readonly quickJs: QuickJs
  readonly context: Address
  readonly clock: CpuClock
  /** Set when the instance must not be entered again: why. */
  poison: string | null = null
  /** The running entry was interrupted; whatever the guest returns is void. */
  killed = false
  readonly #runtime: Address
  readonly #memory: WebAssembly.Memory
  readonly #options: InstanceOptions
  readonly #functions: HostFunction[] = []
  /** How many arguments each of them reads. */
  readonly #arities: number[] = []
  /** A cell of the constant undefined, never to be freed. */
  readonly undefinedCell: Address
  readonly #argv: Address
  readonly #jobContext: Address
  /** Blocks of arguments for calls that leave some out. */
  readonly #pads: Address
  #pad = 0
  /** Promises that nobody handles. */
  readonly rejections: Rejections
  /** Makes an error of the guest's: `(kind, message) => Error`. */
  #makeError: Address = 0
  /** Describes an error: `(error) => string`. */
  #describe: Address = 0
  #position = ''
  #inLastWords = false
  /** Host calls until the next look at the clock, and of this entry up to the last one. */
  #callsLeft = CALL_SLICE
  #calls = 0
  /** Which limit but that of CPU time the entry is over. */
  #excess: string | null = null
  /** QuickJS was refused memory in this entry. */
  ranOut = false

  constructor(options: InstanceOptions) {
    this.#options = options
    this.clock = new CpuClock(options.cpu)
    this.#memory = newMemory(options.memory)
    this.quickJs = instantiate(options.compiled.module, this.#memory, {
      callFunction: (_context, self, argc, argv, id) => this.#callHost(self, argc, argv, id),
      interrupt: () => this.#interrupt(),
      now: () => this.#now(),
      exhausted: () => this.#exhausted(),
      aborted: (reason) => {
        throw new Error(reason)
      },
      rejected: (handled, cells) => this.rejections.onChange(handled, cells),
      normalizeModule: (base, name) => this.#normalizeModule(base, name),
      loadModule: (_context, name) => this.#loadModule(name),
      grown: () => this.values.refresh(),
      refused: () => this.#refused(),
    })
    const { quickJs } = this
    this.#runtime = quickJs.newRuntime()
    this.context = quickJs.newContext(this.#runtime, 0)
    if (this.#runtime === 0 || this.context === 0) throw new Poisoned('QuickJS does not start')
    this.values = new GuestValues(this.#memory, quickJs, this.#runtime, this.context)
    this.undefinedCell = quickJs.getUndefined()
    this.#argv = this.values.allocate(4 * MAX_ARGUMENTS)
    this.#jobContext = this.values.allocate(4)
    this.#pads = this.values.allocate(8 * MIN_ARGUMENTS * (PADS + 1))
    for (let i = 0; i < MIN_ARGUMENTS; i++) this.values.words[(this.#pads >>> 2) + 2 * i + 1] = Tag.UNDEFINED
    quickJs.setMaxStackSize(this.#runtime, options.stack)
    quickJs.enableInterrupts(this.#runtime)
    quickJs.enableModuleLoader(this.#runtime, 1)
    this.rejections = new Rejections(this.values, quickJs, this.context)
    this.rejections.track(this.#runtime, options.compiled.trackerIndex)
  }

  /** Bytes of linear memory in use. */
  get memoryUsed(): number {
    return this.#memory.buffer.byteLength
  }

  /** Begins an entry: the limits count from here. */
  enter(): void {
    this.killed = false
    this.#calls = 0
    this.#callsLeft = CALL_SLICE
    this.#excess = null
    this.ranOut = false
    this.#position = ''
    this.clock.reset()
  }

  /** For what is not on the script's account: a few ms of an entry, even if its time is up. */
  inGrace<T>(action: () => T): T {
    const { killed } = this
    this.clock.beginGrace()
    try {
      return action()
    } finally {
      this.clock.endGrace()
      this.killed = killed
    }
  }

  /**
   * Calls a guest function with cells that stay the caller's. The result is the caller's to free.
   * @throws Poisoned
   */
  call(fn: Address, ...args: readonly Address[]): Address {
    const words = this.values.words
    for (let i = 0; i < args.length; i++) words[(this.#argv >>> 2) + i] = args[i]
    return this.#enterVm(fn, args.length)
  }

  /** `call` with one argument, without an array. */
  call1(fn: Address, argument: Address): Address {
    this.values.words[this.#argv >>> 2] = argument
    return this.#enterVm(fn, 1)
  }

  /** `call` with two arguments, without an array. */
  call2(fn: Address, first: Address, second: Address): Address {
    const at = this.#argv >>> 2
    this.values.words[at] = first
    this.values.words[at + 1] = second
    return this.#enterVm(fn, 2)
  }

  /** `call` with three arguments, without an array. */
  call3(fn: Address, first: Address, second: Address, third: Address): Address {
    const at = this.#argv >>> 2
    this.values.words[at] = first
    this.values.words[at + 1] = second
    this.values.words[at + 2] = third
    return this.#enterVm(fn, 3)
  }

  #enterVm(fn: Address, argc: number): Address {
    if (this.poison !== null && !this.#inLastWords) throw new Poisoned(this.poison)
    let result: Address
    try {
      result = this.quickJs.call(this.context, fn, this.undefinedCell, argc, this.#argv)
    } catch (error) {
      throw this.#poisonedBy(error)
    }
    if (result === 0) throw this.doom('the sandbox is out of memory')
    return result
  }

  /** Marks the instance as lost. The error is the caller's to throw, or not. */
  doom(reason: string): Poisoned {
    this.poison ??= reason
    this.clock.expire()
    return new Poisoned(this.poison, this.#position)
  }

  #poisonedBy(error: unknown): Poisoned {
    if (error instanceof RangeError) return this.doom('the call stack of the process was exhausted')
    if (error instanceof OutOfMemory) return this.doom(error.message)
    if (error instanceof Poisoned) return this.doom(error.message)
    return this.doom(`the sandbox broke down: ${error instanceof Error ? error.message : String(error)}`)
  }

  /** Which limit the entry is over. */
  get cpuMessage(): string {
    return this.#excess ?? `more than ${this.clock.limit} ms of CPU time in one call`
  }

  /** The pending exception that an EXCEPTION cell stands for. Frees that cell. */
  takeException(cell: Address): Address {
    const error = this.quickJs.resolveException(this.context, cell)
    this.quickJs.free(cell)
    if (error === 0) throw this.doom('the sandbox is out of memory')
    return error
  }

  free(cell: Address): void {
    if (this.values.tag(cell) >= 0) {
      this.values.recycle(cell)
      return
    }
    try {
      this.quickJs.freeValue(this.context, cell)
    } catch (error) {
      throw this.#poisonedBy(error)
    }
  }

  /** One more reference to the value. */
  duplicate(cell: Address): Address {
    return this.quickJs.duplicate(this.context, cell)
  }

  /** Runs source text: a script gives its last value, a module its namespace (or a promise of it). @throws Poisoned */
  evaluate(source: string, file: string, flag: number): Address {
    if (this.poison !== null) throw new Poisoned(this.poison)
    const { values, quickJs } = this
    const name = values.cString(file)
    const text = values.cString(source)
    const length = Buffer.byteLength(source)
    let result: Address
    try {
      result = quickJs.evaluate(this.context, text, length, name, 0, flag)
    } catch (error) {
      throw this.#poisonedBy(error)
    }
    quickJs.free(text)
    quickJs.free(name)
    if (result === 0) throw this.doom('the sandbox is out of memory')
    return result
  }

  /** Runs guest getters. The caller frees the result, which may be an EXCEPTION. */
  property(object: Address, name: string): Address {
    const key = this.values.string(name)
    try {
      return this.quickJs.getProperty(this.context, object, key)
    } finally {
      this.free(key)
    }
  }

  /** Neither cell is taken over. */
  setProperty(object: Address, name: string, value: Address): void {
    const key = this.values.string(name)
    this.quickJs.setProperty(this.context, object, key, value)
    this.free(key)
  }

  /** -1: no promise; else 0 pending, 1 fulfilled, 2 rejected. */
  promiseState(cell: Address): number {
    return this.quickJs.promiseState(this.context, cell)
  }

  /** What a promise settled to; whoever takes a rejection this way handles it. */
  promiseResult(cell: Address): Address {
    this.rejections.forget(this.values.low(cell))
    return this.quickJs.promiseResult(this.context, cell)
  }

  /** Makes a guest function of a host function. @param arity arguments that it reads, if fewer than {@link MIN_ARGUMENTS} */
  newFunction(name: string, fn: HostFunction, arity = MIN_ARGUMENTS): Address {
    const text = this.values.cString(name)
    this.#functions.push(fn)
    this.#arities.push(arity)
    const cell = this.quickJs.newFunction(this.context, text, 0, 0, this.#functions.length - 1)
    this.quickJs.free(text)
    return cell
  }

  /** How many there are. */
  get functionCount(): number {
    return this.#functions.length
  }

  setErrorTools(make: Address, describe: Address): void {
    this.#makeError = make
    this.#describe = describe
  }

  // ---- jobs ----

  get hasJobs(): boolean {
    const list = this.#runtime + JOB_LIST
    return this.values.words[list >>> 2] !== list
  }

  /**
   * Runs pending jobs until none is left.
   * @param onError gets the cell of what a job threw, to free
   * @throws Poisoned when they overrun the limits: there is no way to drop single jobs
   */
  drain(onError: (error: Address) => void): void {
    for (let count = 0; this.hasJobs; count += JOB_SLICE) {
      if (this.killed || this.clock.isOver()) throw this.doom(this.cpuMessage)
      if (count > MAX_JOBS) throw this.doom(`more than ${MAX_JOBS} promise jobs in one call`)
      const result = this.#runJobs()
      if (this.values.isNumber(result)) this.quickJs.free(result)
      else onError(result)
    }
  }

  #runJobs(): Address {
    if (this.poison !== null) throw new Poisoned(this.poison)
    let result: Address
    try {
      result = this.quickJs.executePendingJob(this.#runtime, JOB_SLICE, this.#jobContext)
    } catch (error) {
      throw this.#poisonedBy(error)
    }
    if (result === 0) throw this.doom('the sandbox is out of memory')
    return result
  }

  // ---- what the engine calls ----

  /** A context seeds its `Math.random` with the microseconds of the time at which it is made. */
  #now(): number {
    const { clock } = this.#options
    return this.context === undefined && clock.seed !== null ? clock.seed / 1000 : clock.now()
  }

  #interrupt(): number {
    if (!this.clock.isOver()) return 0
    // The error that QuickJS makes of it tells no more than the function.
    if (!this.killed && !this.#inLastWords) this.#askForPosition()
    this.killed = true
    return 1
  }

  #exhausted(): void {
    if (this.#inLastWords || this.clock.isOver()) throw this.#trap()
    this.quickJs.fuel.value = FUEL_SLICE
  }

  /** Ends the instance in the middle of a builtin. @returns what to throw out of it */
  #trap(): Poisoned {
    if (this.poison === null && this.#describe !== 0 && !this.#inLastWords) this.#askForPosition()
    return this.doom(this.cpuMessage)
  }

  /** Where the guest was when its time was up, as the prelude describes errors; '' if it is not known. */
  get position(): string {
    return this.#position
  }

  /** Enters the guest while it runs. In the middle of a builtin that may break everything, but then it is lost anyway. */
  #askForPosition(): void {
    this.#inLastWords = true
    this.quickJs.fuel.value = LAST_FUEL
    try {
      this.inGrace(() => {
        const error = this.call2(this.#makeError, this.undefinedCell, this.undefinedCell)
        const described = this.call1(this.#describe, error)
        if (this.values.isString(described)) this.#position = this.values.text(described, '', MAX_POSITION)
      })
    } catch {
      // It was in no state to say so.
    }
    this.#inLastWords = false
    this.poison = null
    this.quickJs.fuel.value = FUEL_SLICE
  }

  /** A script can catch `out of memory` again and again, ten thousand times between two interrupt ticks. */
  #refused(): void {
    this.ranOut = true
    if (this.clock.isOver()) throw this.#trap()
  }

  /** No exception may cross WebAssembly, unless the instance is lost anyway. */
  #callHost(self: Address, argc: number, argv: Address, id: number): Address {
    try {
      if (--this.#callsLeft <= 0 || this.values.crossed > BYTE_SLICE) this.#checkCalls()
      return this.#functions[id](self, argc < this.#arities[id] ? this.#padded(argv, argc) : argv)
    } catch (error) {
      return this.#throwIntoGuest(error)
    }
  }

  /** @throws GuestError when the entry is over one of its limits: the script's own stack says where */
  #checkCalls(): void {
    this.#calls += CALL_SLICE - this.#callsLeft
    this.#callsLeft = CALL_SLICE
    this.values.crossed = 0
    if (this.#calls > MAX_CALLS && this.#excess === null) {
      this.#excess = `more than ${MAX_CALLS} calls of host functions in one call`
      this.clock.expire()
    }
    this.#callsLeft = CALL_SLICE
    if (this.#inLastWords || !this.clock.isOver()) return
    this.killed = true
    this.#callsLeft = 0
    throw new GuestError('RangeError', this.cpuMessage)
  }

  /** The arguments with undefined behind them. The first block of pads is never written to. */
  #padded(argv: Address, argc: number): Address {
    if (argc === 0) return this.#pads
    const { words } = this.values
    this.#pad = this.#pad === PADS ? 1 : this.#pad + 1
    const pad = this.#pads + 8 * MIN_ARGUMENTS * this.#pad
    const to = pad >>> 2
    const from = argv >>> 2
    for (let i = 0; i < 2 * argc; i++) words[to + i] = words[from + i]
    for (let i = 2 * argc + 1; i < 2 * MIN_ARGUMENTS; i += 2) words[to + i] = Tag.UNDEFINED
    return pad
  }

  #throwIntoGuest(error: unknown): Address {
    if (this.poison !== null) throw error
    if (error instanceof OutOfMemory) {
      this.doom(error.message)
      return 0
    }
    if (error instanceof GuestError) return this.#raise(error.kind, error.message, error.status)
    // RangeErrors are how HeaderAccess, BalancerView and HookRequest refuse what a script wants; their text is for it.
    if (error instanceof RangeError) return this.#raise('RangeError', error.message)
    this.#options.onInternalError(error)
    return this.#raise('Error', 'an internal error of the proxy; see the error log')
  }

  #raise(kind: string, message: string, status = 0): Address {
    const { values, quickJs } = this
    const kindCell = values.string(kind)
    const messageCell = values.string(message)
    const statusCell = values.int(status)
    const error = this.call3(this.#makeError, kindCell, messageCell, statusCell)
    this.free(kindCell)
    this.free(messageCell)
    this.free(statusCell)
    if (values.tag(error) === Tag.EXCEPTION) return error
    const exception = quickJs.throwValue(this.context, error)
    this.free(error)
    return exception
  }

  /** QuickJS cannot be told of a failure here: a name that cannot be resolved becomes one that cannot be loaded. */
  #normalizeModule(base: Address, name: Address): Address {
    const { values } = this
    let id: string
    try {
      id = this.#options.modules.resolve(values.readCString(base, 4096), values.readCString(name, 4096))
    } catch (error) {
      id = `${UNRESOLVED}${error instanceof Error ? fromBytes(error.message) : ''}`
    }
    return values.cString(id)
  }

  #loadModule(name: Address): Address {
    try {
      const id = this.values.readCString(name, 8192)
      if (id.startsWith(UNRESOLVED)) throw new GuestError('Error', toBytes(id.slice(UNRESOLVED.length)))
      return this.values.cString(this.#options.modules.load(id))
    } catch (error) {
      // The cell says EXCEPTION, as the pending exception does; only a null pointer is expected here.
      const exception = this.#throwIntoGuest(error)
      if (exception !== 0) this.quickJs.free(exception)
      return 0
    }
  }
}

const UNRESOLVED = '\u0001'
