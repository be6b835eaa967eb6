/** What a generation offers its scripts: variables and templates of the configuration language, the log. */
import { parseTemplate } from './config/template.ts'
import type { HookRequest, ScriptHost } from './phases.ts'
import type { RequestBinder } from './proxy/binder.ts'
import type { Exchange, Services } from './proxy/exchange.ts'
import { VERSION } from './version.ts'

const IN_SCRIPT = { file: 'script', line: 1, column: 1 }

export function scriptHost(
  binder: RequestBinder,
  services: Services,
  generation: number,
  fetch: ScriptHost['fetch'],
  map: ScriptHost['map'],
): ScriptHost {
  return {
    variable: (name) => binder.variable(name),
    template(text) {
      const template = parseTemplate(text, IN_SCRIPT)
      if (Array.isArray(template)) throw new Error(template[0].message)
      for (const part of template.parts) {
        if (typeof part !== 'string' && binder.variable(part.variable) === null) {
          throw new Error(`unknown variable "$${part.variable}" in "${text}"`)
        }
      }
      const get = binder.bind(template)
      return (request: HookRequest) => get(request as Exchange)
    },
    fetch,
    map,
    log: (level, message) => services.log(level, message, null),
    generation,
    worker: services.worker ?? 0,
    version: VERSION,
  }
}
