/**
 * Watches the hooks of a dry run: what each read, changed, decided and cost. Stands between the scripts and what they
 * are given; changes nothing of it. One request at a time.
 */
import {
  type HookRequest,
  Outcome,
  type Phase,
  type PhaseHandler,
  type ScriptFault,
  type ScriptHost,
  type VariableAccess,
} from '../phases.ts'
import type { ScriptProbe } from '../script-set.ts'
import { type Notebook, WatchedRequest } from './try-watch.ts'

/** Something that a hook read or changed. Byte strings. */
export interface Touch {
  /** `$arg_userId`, `headersIn Host`, `args.userId`, `uri`, … */
  readonly what: string
  /** undefined: it has none. */
  readonly value: string | undefined
  readonly change: 'read' | 'set' | 'add' | 'remove'
}

/** One call of a hook. */
export interface HookTrace {
  readonly phase: Phase
  readonly file: string
  outcome: Outcome
  /** In words, where the outcome alone does not say it: `answers 403`. */
  decision: string | null
  /** Microseconds until it had decided, waiting included. */
  took: number
  /** It awaited something. */
  awaited: boolean
  /** In order, each once. */
  readonly touches: Touch[]
  /** What a balancer hook asked for, e.g. `hash("7", consistent)`, with the peer that it got, if any. */
  readonly asked: { readonly what: string; readonly index: number; readonly address: string | null }[]
  /** Where it failed. */
  fault: ScriptFault | null
}

/** By outcome; SUSPENDED stays only where a hook never comes to an end. */
const WORDS = [
  'passes',
  'never ends',
  'answers',
  'redirects',
  'chooses',
  'failed',
  'replaces',
  'drops',
] as const

/** What a hook decided, in words. */
export function decisionOf({ outcome, decision }: HookTrace): string {
  const isTold = outcome === Outcome.ANSWER || outcome === Outcome.REDIRECT || outcome === Outcome.PEER
  return isTold && decision !== null ? decision : WORDS[outcome]
}

/** Notes of one hook that are kept. */
const MAX_TOUCHES = 500

export class Recorder implements ScriptProbe, Notebook {
  hooks: HookTrace[] = []
  /** The hook that runs, or waits. */
  current: HookTrace | null = null
  /** Times are taken and nothing else, so that they are those of a proxy that runs. */
  quiet = false
  /** One for each request: the sandbox knows a request by its object. */
  #watched = new WeakMap<HookRequest, WatchedRequest>()
  #started = 0

  /** Forgets what was seen; returns it. */
  take(): HookTrace[] {
    const { hooks } = this
    this.hooks = []
    this.current = null
    return hooks
  }

  /** The hook under way, which waited, has decided. */
  settled(outcome: Outcome): void {
    const hook = this.current
    if (hook === null) return
    hook.outcome = outcome
    hook.awaited = true
    hook.took = (performance.now() - this.#started) * 1000
    this.current = null
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
          const value = get(unwatched(request))
          if (text.includes('$')) this.note({ what: text, value, change: 'read' })
          return value
        }
      },
      fetch: (request, events) =>
        host.fetch({ ...request, request: request.request && unwatched(request.request) }, events),
      argRead: (_request, name, value) => this.#noteArg(name, value),
      failed: (fault) => {
        if (this.current !== null && fault.phase !== null) this.current.fault = fault
      },
    }
  }

  hook(hook: PhaseHandler, phase: Phase, file: string): PhaseHandler {
    return (x) => {
      const trace: HookTrace = {
        phase,
        file,
        outcome: Outcome.PASS,
        decision: null,
        took: 0,
        awaited: false,
        touches: [],
        asked: [],
        fault: null,
      }
      this.hooks.push(trace)
      this.current = trace
      const request = this.quiet ? x : this.#watchedOf(x)
      this.#started = performance.now()
      trace.outcome = hook(request)
      trace.took = (performance.now() - this.#started) * 1000
      if (trace.outcome !== Outcome.SUSPENDED) this.current = null
      return trace.outcome
    }
  }

  #watchedOf(x: HookRequest): WatchedRequest {
    let watched = this.#watched.get(x)
    if (watched === undefined) {
      watched = new WatchedRequest(x, this)
      this.#watched.set(x, watched)
    }
    return watched
  }

  #watch(what: string, { get, set }: VariableAccess): VariableAccess {
    return {
      get: (request) => {
        const value = get(unwatched(request))
        this.note({ what, value, change: 'read' })
        return value
      },
      set:
        set === null
          ? null
          : (request, value) => {
              set(unwatched(request), value)
              this.note({ what, value, change: 'set' })
            },
    }
  }

  readonly note = (touch: Touch): void => {
    const known = this.current?.touches
    if (this.quiet || known === undefined || known.length >= MAX_TOUCHES) return
    const { what, value, change } = touch
    // That a hook reads what it has set itself is no news.
    const isKnown = (one: Touch): boolean =>
      one.what === what && one.value === value && (one.change === change || change === 'read')
    if (!known.some(isKnown)) known.push(touch)
  }

  /** `r.args` reads the query first, which is no news then. */
  #noteArg(name: string, value: string | undefined): void {
    const touches = this.current?.touches
    const last = touches?.at(-1)
    if (last?.what === 'rawArgs' && last.change === 'read') touches!.pop()
    this.note({ what: `args.${name}`, value, change: 'read' })
  }
}

function unwatched(request: HookRequest): HookRequest {
  return request instanceof WatchedRequest ? request.request : request
}
