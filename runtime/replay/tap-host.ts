/** What a script is given whose requests are tapped: hands the request itself on, and notes what the script asks of it. */
import type { HookRequest, ScriptClock, ScriptHost, VariableAccess } from '../phases.ts'
import { SYSTEM_CLOCK } from '../script/clock.ts'
import { tapLimits } from './tapped-limits.ts'
import { tapMap } from './tapped-map.ts'
import { TappedRequest, type ValueListener } from './tapped-request.ts'

export function tapHost(host: ScriptHost): ScriptHost {
  const { failed, argRead, limits, map, clock = SYSTEM_CLOCK, random = Math.random } = host
  const running = host.running ?? { request: null }
  const listener = (): ValueListener | null => {
    const { request } = running
    return request instanceof TappedRequest ? (request.questions?.values ?? null) : null
  }
  return {
    ...host,
    running,
    clock: tapClock(clock, listener),
    random() {
      const value = random()
      listener()?.random(value)
      return value
    },
    ...(map !== undefined && {
      map: (name) => {
        const found = map(name)
        return found === undefined ? undefined : tapMap(found, listener)
      },
    }),
    variable(name) {
      const access = host.variable(name)
      return access === null ? null : tapVariable(name, access)
    },
    template(text) {
      const get = host.template(text)
      return (request) => {
        const value = get(untapped(request))
        if (request instanceof TappedRequest) request.questions?.variable(text, value)
        return value
      }
    },
    fetch(request, events) {
      const tapped = request.request
      if (!(tapped instanceof TappedRequest)) return host.fetch(request, events)
      const { questions } = tapped
      const asked = { ...request, request: tapped.inner }
      return host.fetch(asked, questions === null ? events : questions.fetch(asked, events))
    },
    failed(fault, request) {
      if (fault.phase !== null && request instanceof TappedRequest) request.failing()
      failed?.(fault, request === null ? null : untapped(request))
    },
    ...(limits !== undefined && {
      limits: tapLimits(limits, listener, untapped),
    }),
    ...(argRead !== undefined && {
      argRead: (request, name, value) => argRead(untapped(request), name, value),
    }),
  }
}

function tapClock(clock: ScriptClock, listener: () => ValueListener | null): ScriptClock {
  return {
    now() {
      const now = clock.now()
      listener()?.time(now)
      return now
    },
    setTimeout: (callback, ms) => clock.setTimeout(callback, ms),
    clearTimeout: (timer) => clock.clearTimeout(timer),
    seed: clock.seed,
  }
}

function tapVariable(name: string, { get, set }: VariableAccess): VariableAccess {
  return {
    get(request) {
      const value = get(untapped(request))
      if (request instanceof TappedRequest) request.questions?.variable(`$${name}`, value)
      return value
    },
    set:
      set === null
        ? null
        : (request, value) => {
            set(untapped(request), value)
            if (request instanceof TappedRequest) request.note(`$${name}`, value)
          },
  }
}

/** The request that a script's object stands for. */
export function untapped(request: HookRequest): HookRequest {
  return request instanceof TappedRequest ? request.inner : request
}
