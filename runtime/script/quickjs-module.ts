/**
 * The QuickJS binary: found, checked, rewritten and compiled once per process; instantiated once per sandbox.
 * Owns the minified names of its imports and exports. Knows nothing of scripts and requests.
 *
 * The JavaScript glue that Emscripten ships with the binary is replaced by what stands here: it starts synchronously,
 * hands the guest no environment and no standard output, and never enters a state of its own after an abort.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { rewriteModule } from './wasm-rewriter.ts'

/** `JSValue*`, `JSContext*` and so on: an address in linear memory. */
export type Address = number

/** What we call of the binary. Every `JSValue*` that is returned is a heap cell that the caller frees. */
export interface QuickJs {
  malloc(size: number): Address
  free(address: Address): void
  newRuntime(): Address
  newContext(runtime: Address, intrinsics: number): Address
  setMaxStackSize(runtime: Address, size: number): void
  enableInterrupts(runtime: Address): void
  enableModuleLoader(runtime: Address, customNormalize: number): void
  newString(context: Address, utf8: Address): Address
  newFunction(context: Address, name: Address, arity: number, isConstructor: number, id: number): Address
  newArrayBuffer(context: Address, data: Address, length: number): Address
  getArrayBuffer(context: Address, value: Address): Address
  getArrayBufferLength(context: Address, value: Address): number
  duplicate(context: Address, value: Address): Address
  freeValue(context: Address, value: Address): void
  throwValue(context: Address, error: Address): Address
  resolveException(context: Address, value: Address): Address
  call(context: Address, fn: Address, self: Address, argc: number, argv: Address): Address
  evaluate(
    context: Address,
    source: Address,
    length: number,
    file: Address,
    detectModule: number,
    flags: number,
  ): Address
  getProperty(context: Address, object: Address, name: Address): Address
  setProperty(context: Address, object: Address, name: Address, value: Address): void
  executePendingJob(runtime: Address, count: number, contextCell: Address): Address
  promiseState(context: Address, promise: Address): number
  promiseResult(context: Address, promise: Address): Address
  getUndefined(): Address
  readonly fuel: WebAssembly.Global
}

/** What the binary calls. None may throw, but for `exhausted` and `aborted`, which end the instance. */
export interface QuickJsHost {
  callFunction(context: Address, self: Address, argc: number, argv: Address, id: number): Address
  /** Nonzero: interrupt the script. */
  interrupt(): number
  /** ms since the epoch. */
  now(): number
  /** The fuel is at zero: refill it or throw. */
  exhausted(): void
  /** The engine gave up (an assertion, a failed exit): throw. */
  aborted(reason: string): never
  rejected(handled: boolean, cell: Address): void
  normalizeModule(base: Address, name: Address): Address
  loadModule(context: Address, name: Address): Address
  /** Linear memory has grown: views of it are detached. */
  grown(): void
  /** The guest wants more memory than it may have. May throw, which ends the instance. */
  refused(): void
}

/** The binary of `@jitl/quickjs-wasmfile-release-sync` 0.32.0, whose layout and names the sandbox relies on. */
const DIGEST = '105c3bed22d457e43e3d1c3c1c6959fda62a8fe06f0fc8a985303c3a2be72232'

const PAGE = 65536
/** Data and the C stack take 82 pages; the heap begins behind them. */
const INITIAL_PAGES = 96

/** Bytes of the smallest sandbox: the engine's data and stack, and room for a script. */
const MIN_MEMORY = 8 * 1024 * 1024
const MAX_MEMORY = 2 ** 31

const INITIALIZE = 'u'
const FUEL = 'fuel'
/** Loops until the host is asked for the first time. */
const STARTUP_FUEL = 1_000_000

export interface Compiled {
  readonly module: WebAssembly.Module
  /** Function table index to be stored as the runtime's promise rejection tracker. */
  readonly trackerIndex: number
}

let compiled: Promise<Compiled> | null = null

/** Compiles the binary at the first call. @throws Error when the installed binary is not the one this code is made for. */
export function compileQuickJs(): Promise<Compiled> {
  compiled ??= compile()
  return compiled
}

async function compile(): Promise<Compiled> {
  const require = createRequire(import.meta.url)
  const bytes = await readFile(require.resolve('@jitl/quickjs-wasmfile-release-sync/wasm'))
  if (createHash('sha256').update(bytes).digest('hex') !== DIGEST) {
    throw new Error(
      'the installed QuickJS binary is not the one of @jitl/quickjs-wasmfile-release-sync 0.32.0; run npm ci',
    )
  }
  const options = { exhausted: 'q', rejected: 't', fuelExport: FUEL, initialPages: INITIAL_PAGES }
  const rewritten = rewriteModule(bytes, options)
  const module = await WebAssembly.compile(rewritten.bytes)
  return { module, trackerIndex: rewritten.trackerIndex }
}

/** A fresh memory that may grow to `limit` bytes. */
export function newMemory(limit: number): WebAssembly.Memory {
  const maximum = Math.floor(Math.min(Math.max(limit, MIN_MEMORY), MAX_MEMORY) / PAGE)
  return new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum })
}

/** One more QuickJS on this memory: about a millisecond. */
export function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  host: QuickJsHost,
): QuickJs {
  const fuel: { counter: WebAssembly.Global | null } = { counter: null }
  const imports = {
    a: { ...engineImports(host, fuel), ...systemImports(memory, host), a: memory },
  }
  const exports = new WebAssembly.Instance(module, imports).exports as Record<string, never>
  const counter: WebAssembly.Global = exports[FUEL]
  counter.value = STARTUP_FUEL
  fuel.counter = counter
  ;(exports[INITIALIZE] as () => void)()
  return named(exports, counter)
}

/**
 * Written out: an object that is filled by computed names becomes a dictionary, and every call of the engine a search in
 * it (`test/bench/micro-hooks.ts`).
 */
function named(exports: Record<string, never>, fuel: WebAssembly.Global): QuickJs {
  return {
    malloc: exports.v,
    free: exports.M,
    newRuntime: exports.K,
    newContext: exports.N,
    setMaxStackSize: exports.D,
    enableInterrupts: exports.Fa,
    enableModuleLoader: exports.Ha,
    newString: exports._,
    newFunction: exports.Da,
    newArrayBuffer: exports.X,
    getArrayBuffer: exports.aa,
    getArrayBufferLength: exports.ba,
    duplicate: exports.T,
    freeValue: exports.P,
    throwValue: exports.w,
    resolveException: exports.na,
    call: exports.ma,
    evaluate: exports.pa,
    getProperty: exports.ha,
    setProperty: exports.ja,
    executePendingJob: exports.ga,
    promiseState: exports.wa,
    promiseResult: exports.xa,
    getUndefined: exports.E,
    fuel,
  }
}

type Imports = Record<string, (...args: never[]) => unknown>

function engineImports(host: QuickJsHost, fuel: { counter: WebAssembly.Global | null }): Imports {
  return {
    s: host.callFunction,
    i: host.interrupt,
    g: (_runtime: Address, _context: Address, base: Address, name: Address) =>
      host.normalizeModule(base, name),
    h: (_runtime: Address, context: Address, name: Address) => host.loadModule(context, name),
    // Told of two things: a host function that is freed (a runtime's address) or a promise rejected (0) or handled (1).
    t: (runtimeOrHandled: number, cell: Address) => {
      if (runtimeOrHandled <= 1) host.rejected(runtimeOrHandled === 1, cell)
    },
    // Called by the metered loops, copies and fills, and by abort().
    q: () => {
      // The binary's own start comes before anything is metered.
      if (fuel.counter === null) return
      if (fuel.counter.value === 0) host.exhausted()
      else host.aborted('abort')
    },
    b: () => host.aborted('an assertion of QuickJS failed'),
    r: () => host.aborted('exit'),
    l: () => host.aborted('exit'),
  }
}

/** What the C library wants of its system: nothing but clock, time zone and memory. */
function systemImports(memory: WebAssembly.Memory, host: QuickJsHost): Imports {
  const words = (): Int32Array => new Int32Array(memory.buffer)
  return {
    p: () => host.now(),
    k: (wanted: number) => {
      if (grow(memory, wanted >>> 0)) {
        host.grown()
        return 1
      }
      host.refused()
      return 0
    },
    m: (seconds: bigint, at: Address) => writeLocalTime(words(), at >>> 2, new Date(Number(seconds) * 1000)),
    n: (offset: Address, hasDst: Address, standard: Address, summer: Address) => {
      const view = words()
      view[offset >>> 2] = 0
      view[hasDst >>> 2] = 0
      new Uint8Array(memory.buffer).set([0x55, 0x54, 0x43, 0], standard)
      new Uint8Array(memory.buffer).set([0x55, 0x54, 0x43, 0], summer)
    },
    c: (_file: number, vectors: Address, count: number, written: Address) => {
      const view = words()
      let total = 0
      for (let i = 0; i < count; i++) total += view[(vectors >>> 2) + 2 * i + 1]
      view[written >>> 2] = total
      return 0
    },
    d: () => 52,
    o: () => 70,
    e: () => 0,
    f: (count: Address, size: Address) => {
      const view = words()
      view[count >>> 2] = 0
      view[size >>> 2] = 0
      return 0
    },
    j: () => 0,
  }
}

/** Grows by a fifth at least, so that a script that fills its memory does not grow it page by page. */
function grow(memory: WebAssembly.Memory, wanted: number): boolean {
  const size = memory.buffer.byteLength
  for (const target of [Math.max(wanted, size * 1.2), wanted]) {
    try {
      memory.grow(Math.ceil((target - size) / PAGE))
      return true
    } catch {
      // Above the maximum: the guest sees `out of memory`.
    }
  }
  return false
}

/** `struct tm` of musl. */
function writeLocalTime(words: Int32Array, at: number, date: Date): void {
  const year = date.getFullYear()
  const start = new Date(year, 0, 1)
  const offset = -date.getTimezoneOffset() * 60
  const standard = -Math.max(start.getTimezoneOffset(), new Date(year, 6, 1).getTimezoneOffset()) * 60
  words[at] = date.getSeconds()
  words[at + 1] = date.getMinutes()
  words[at + 2] = date.getHours()
  words[at + 3] = date.getDate()
  words[at + 4] = date.getMonth()
  words[at + 5] = year - 1900
  words[at + 6] = date.getDay()
  words[at + 7] = Math.round(
    (Date.UTC(year, date.getMonth(), date.getDate()) - Date.UTC(year, 0, 1)) / 86400000,
  )
  words[at + 8] = offset === standard ? 0 : 1
  words[at + 9] = offset
}
