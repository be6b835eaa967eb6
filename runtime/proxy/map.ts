/** `map`: a value by the text of another: exact (any case), host name wildcards, regular expressions, the default. */
import type { MapModel } from '../config/model.ts'
import { lowerAscii } from '../lib/ascii.ts'
import type { RequestBinder } from './binder.ts'
import type { Exchange } from './exchange.ts'
import type { Matcher } from './matcher.ts'
import { NameTable } from './name-table.ts'
import type { Getter, VariableGetter } from './plan.ts'

export function compileMap(model: MapModel, binder: RequestBinder): VariableGetter {
  const source = binder.bind(model.source)
  const names = compileNames(model, binder)
  const patterns = model.patterns.map(({ pattern, value }) => ({
    matcher: binder.matcher(pattern),
    value: binder.bind(value),
  }))
  const otherwise: Getter = model.default === null ? () => '' : binder.bind(model.default)
  return (x) => {
    let key = source(x)
    if (model.hostnames && key.endsWith('.')) key = key.slice(0, -1)
    const value = names.find(lowerAscii(key)) ?? findPattern(patterns, x, key) ?? otherwise
    return value(x)
  }
}

function findPattern(
  patterns: readonly { readonly matcher: Matcher; readonly value: Getter }[],
  x: Exchange,
  key: string,
): Getter | undefined {
  if (key === '') return undefined
  for (const { matcher, value } of patterns) if (matcher.exec(x, key)) return value
  return undefined
}

function compileNames(model: MapModel, binder: RequestBinder): NameTable<Getter> {
  const names = new NameTable<Getter>()
  for (const { key, value } of model.exact) names.addExact(lowerAscii(key), binder.bind(value))
  for (const { key, value } of model.wildcards) {
    const name = lowerAscii(key)
    const getter = binder.bind(value)
    if (name.endsWith('.*')) names.addTrailing(name.slice(0, -1), getter)
    else if (name.startsWith('*.')) names.addLeading(name.slice(1), getter)
    else {
      names.addExact(name.slice(1), getter)
      names.addLeading(name, getter)
    }
  }
  return names
}
