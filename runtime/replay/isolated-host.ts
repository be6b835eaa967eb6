/**
 * What a script is given whose requests are isolated: every question goes to the request, nothing reaches the network.
 * What the script sets stays with the request.
 */
import { parseTemplate } from '../config/template.ts'
import type {
  FetchEvents,
  FetchRequest,
  ScriptClock,
  ScriptFault,
  ScriptHost,
  VariableAccess,
} from '../phases.ts'
import { absentRedis } from '../script-redis.ts'
import type { IsolatedRequest } from './isolated-request.ts'

export interface IsolatedHostOptions {
  readonly host: Pick<ScriptHost, 'log' | 'generation' | 'worker' | 'version'>
  /** What there is of a variable: `settable`, `readonly`, or null when there is none. */
  readonly variable: (name: string) => 'settable' | 'readonly' | null
  readonly fetch: (request: FetchRequest, events: FetchEvents) => ReturnType<ScriptHost['fetch']>
  readonly failed: (fault: ScriptFault, request: IsolatedRequest | null) => void
  readonly clock?: ScriptClock
  /** Default: there are no session maps. */
  readonly map?: ScriptHost['map']
  /** Default: its calls fail. */
  readonly redis?: ScriptHost['redis']
  readonly limits?: ScriptHost['limits']
  readonly argRead?: ScriptHost['argRead']
  readonly random?: ScriptHost['random']
  readonly running?: ScriptHost['running']
}

const IN_SCRIPT = { file: 'script', line: 1, column: 1 }

export function isolatedHost(options: IsolatedHostOptions): ScriptHost {
  const { host, fetch, failed, clock, map, argRead, random, running, limits } = options
  const { redis = absentRedis('a script that is only tried has no Redis') } = options
  return {
    variable(name) {
      const kind = options.variable(name)
      return kind === null ? null : access(name.toLowerCase(), kind === 'settable')
    },
    template(text) {
      const template = parseTemplate(text, IN_SCRIPT)
      if (Array.isArray(template)) throw new Error(template[0].message)
      for (const part of template.parts) {
        if (typeof part !== 'string' && options.variable(part.variable) === null)
          throw new Error(`unknown variable "$${part.variable}" in "${text}"`)
      }
      const parts = template.parts.map((part) =>
        typeof part === 'string' ? part : part.variable.toLowerCase(),
      )
      const isText = template.parts.map((part) => typeof part === 'string')
      return (request) =>
        parts
          .map((part, i) => (isText[i] ? part : ((request as IsolatedRequest).variable(part) ?? '')))
          .join('')
    },
    fetch,
    redis,
    log: (level, message) => host.log(level, message),
    failed: (fault, request) => failed(fault, request as IsolatedRequest | null),
    generation: host.generation,
    worker: host.worker,
    version: host.version,
    ...(clock !== undefined && { clock }),
    ...(map !== undefined && { map }),
    ...(argRead !== undefined && { argRead }),
    ...(limits !== undefined && { limits }),
    ...(random !== undefined && { random }),
    ...(running !== undefined && { running }),
  }
}

function access(name: string, settable: boolean): VariableAccess {
  return {
    get: (request) => (request as IsolatedRequest).variable(name),
    set: settable ? (request, value) => (request as IsolatedRequest).setVariable(name, value) : null,
  }
}

/** A fetch that fails at once, which is to say in the next turn. */
export function refuseFetch(events: FetchEvents, message: string): ReturnType<ScriptHost['fetch']> {
  let over = false
  setImmediate(() => {
    if (!over) events.failed({ kind: 'TypeError', message })
  })
  return {
    read: () => undefined,
    write: () => true,
    finish: () => undefined,
    abort: () => {
      over = true
    },
  }
}
