/**
 * Watches the hooks of a dry run: what each read, set, decided and cost. Stands between the scripts and what they are
 * given; changes nothing of it. One request at a time.
 */
import {
  type BalancerView,
  Outcome,
  type Phase,
  type PhaseHandler,
  type ScriptHost,
  type VariableAccess,
} from '../phases.ts'
import type { Exchange } from '../proxy/exchange.ts'
import type { ScriptProbe } from '../script-set.ts'

/** One call of a hook. */
export interface HookTrace {
  readonly phase: Phase
  readonly file: string
  outcome: Outcome
  /** Microseconds until it had decided, waiting included. */
  took: number
  /** It awaited something. */
  awaited: boolean
  /** Variables and templates that it read and variables that it set, in order, each once. */
  readonly variables: { readonly text: string; readonly value: string | undefined; readonly set: boolean }[]
  /** What a balancer hook asked for, e.g. `hash("7", consistent)`, with the peer that it got, if any. */
  readonly asked: { readonly what: string; readonly index: number; readonly address: string | null }[]
}

export class Recorder implements ScriptProbe {
  hooks: HookTrace[] = []
  #current: HookTrace | null = null
  #started = 0

  /** Forgets what was seen; returns it. */
  take(): HookTrace[] {
    const { hooks } = this
    this.hooks = []
    this.#current = null
    return hooks
  }

  /** The hook under way, which waited, has decided. */
  settled(outcome: Outcome): void {
    const hook = this.#current
    if (hook === null) return
    hook.outcome = outcome
    hook.awaited = true
    hook.took = (performance.now() - this.#started) * 1000
    this.#current = null
  }

  host(host: ScriptHost): ScriptHost {
    return {
      ...host,
      variable: (name) => {
        const access = host.variable(name)
        return access === null ? null : this.#watch(`$${name}`, access)
      },
      template: (text) => {
        const get = host.template(text)
        return (request) => {
          const value = get(request)
          if (text.includes('$')) this.#note(text, value, false)
          return value
        }
      },
    }
  }

  hook(hook: PhaseHandler, phase: Phase, file: string): PhaseHandler {
    return (request) => {
      const trace: HookTrace = {
        phase,
        file,
        outcome: Outcome.PASS,
        took: 0,
        awaited: false,
        variables: [],
        asked: [],
      }
      this.hooks.push(trace)
      this.#current = trace
      const x = request as Exchange
      if (x.balancer !== null) x.balancer = new WatchedBalancer(x.balancer, trace)
      this.#started = performance.now()
      trace.outcome = hook(request)
      trace.took = (performance.now() - this.#started) * 1000
      if (trace.outcome !== Outcome.SUSPENDED) this.#current = null
      return trace.outcome
    }
  }

  #watch(text: string, { get, set }: VariableAccess): VariableAccess {
    return {
      get: (request) => {
        const value = get(request)
        this.#note(text, value, false)
        return value
      },
      set:
        set === null
          ? null
          : (request, value) => {
              set(request, value)
              this.#note(text, value, true)
            },
    }
  }

  #note(text: string, value: string | undefined, set: boolean): void {
    const known = this.#current?.variables
    if (known?.some((one) => one.text === text && one.value === value && one.set === set) === false) {
      known.push({ text, value, set })
    }
  }
}

/** Passes every question on, and keeps it with its answer. */
class WatchedBalancer implements BalancerView {
  readonly #view: BalancerView
  readonly #trace: HookTrace

  constructor(view: BalancerView, trace: HookTrace) {
    this.#view = view
    this.#trace = trace
  }

  get name() {
    return this.#view.name
  }

  get peers() {
    return this.#view.peers
  }

  get tries() {
    return this.#view.tries
  }

  get lastFailure() {
    return this.#view.lastFailure
  }

  hash(key: string, consistent: boolean): number {
    return this.#keep(
      `hash(${JSON.stringify(key)}${consistent ? ', consistent' : ''})`,
      this.#view.hash(key, consistent),
    )
  }

  roundRobin(): number {
    return this.#keep('roundRobin()', this.#view.roundRobin())
  }

  leastConn(): number {
    return this.#keep('leastConn()', this.#view.leastConn())
  }

  random(): number {
    return this.#keep('random()', this.#view.random())
  }

  ipHash(): number {
    return this.#keep('ipHash()', this.#view.ipHash())
  }

  setTimeouts(connect: number | undefined, send: number | undefined, read: number | undefined): void {
    this.#view.setTimeouts(connect, send, read)
  }

  setMoreTries(count: number): void {
    this.#view.setMoreTries(count)
  }

  choose(index: number): void {
    this.#view.choose(index)
  }

  #keep(what: string, index: number): number {
    this.#trace.asked.push({ what, index, address: this.#view.peers[index]?.address ?? null })
    return index
  }
}
