/** `split_clients`: one of several values by a hash of a text, in given shares. */
import type { SplitClientsModel } from '../config/model.ts'
import { murmur2 } from '../lib/murmur2.ts'
import type { RequestBinder } from './binder.ts'
import type { VariableGetter } from './plan.ts'

export function compileSplitClients(model: SplitClientsModel, binder: RequestBinder): VariableGetter {
  const source = binder.bind(model.source)
  const parts = model.parts.map(({ percent, value }) => ({
    bound: percent ?? Number.POSITIVE_INFINITY,
    value: binder.bind(value),
  }))
  return (x) => {
    const hash = murmur2(source(x))
    for (const { bound, value } of parts) if (hash < bound) return value(x)
    return ''
  }
}
