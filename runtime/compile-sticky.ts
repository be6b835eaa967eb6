/** `sticky` of an upstream block to what its requests are bound by. */
import { ConfigError } from './config/config-error.ts'
import type { StickyModel } from './config/model.ts'
import type { Binder } from './proxy/plan.ts'
import type { Sticky } from './proxy/sticky.ts'
import { stickyCookie, stickyRoute } from './proxy/sticky-cookie.ts'
import { stickyLearn } from './proxy/sticky-learn.ts'
import { stickyMap } from './proxy/sticky-map.ts'
import type { SessionMap } from './store/session-map.ts'
import type { StoreSet } from './stores.ts'

/** @throws ConfigError when the map that it needs is not there */
export function compileSticky(model: StickyModel, binder: Binder, stores: StoreSet): Sticky {
  switch (model.kind) {
    case 'map':
      return stickyMap({
        map: mapOf(model, model.map, stores),
        store: stores.store,
        ttl: stores.settings.sessionMaps.find(({ name }) => name === model.map)!.ttl,
        key: binder.bind(model.key),
      })
    case 'cookie': {
      const { domain, sameSite } = model
      const options = {
        ...model,
        domain: domain === null ? null : binder.bind(domain),
        sameSite: sameSite === null ? null : binder.bind(sameSite),
      }
      const cookie = binder.getter(`cookie_${model.name}`)!
      return stickyCookie(options, (x) => cookie(x) ?? '')
    }
    case 'route':
      return stickyRoute(model.lookups.map((lookup) => binder.bind(lookup)))
    case 'learn':
      return stickyLearn({
        sessions: mapOf(model, model.map, stores),
        creates: model.creates.map((create) => binder.bind(create)),
        lookups: model.lookups.map((lookup) => binder.bind(lookup)),
        header: model.header,
      })
  }
}

function mapOf({ where }: StickyModel, name: string, stores: StoreSet): SessionMap {
  const map = stores.map(name)
  if (map === undefined)
    throw new ConfigError(where, `unknown session map "${name}"; define it with "session_map ${name};"`)
  return map
}
