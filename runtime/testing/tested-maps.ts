/**
 * Session maps of a tested script: the proxy's own, in a memory of this script alone that goes by the test's clock. What is
 * in them is described and shown as the values that scripts have.
 */

import type { HttpModel, SessionMapModel } from '../config/model.ts'
import { parseConfig } from '../config/parse.ts'
import type { ScriptMap } from '../phases.ts'
import { MemoryStore } from '../store/memory-store.ts'
import { SessionMap } from '../store/session-map.ts'
import type { StoreValue } from '../store/store.ts'
import { DescriptionError } from './description.ts'

/** Values by key, by name of the map: JSON values and bytes. */
export type DescribedMaps = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** Bytes: no test fills it by accident. */
const SIZE = 64 * 1024 * 1024

export class TestedMaps {
  readonly #store: MemoryStore
  readonly #maps = new Map<string, SessionMap>()
  /** In the order in which they were first set. */
  readonly #keys = new Map<string, Set<string>>()

  /**
   * @param configured by `session_map` of the described configuration; maps that are described alone have its defaults
   * @throws DescriptionError
   */
  static async make(
    configured: HttpModel['sessionMaps'],
    described: DescribedMaps,
    now: () => number,
  ): Promise<TestedMaps> {
    const names = new Set(configured.map(({ name }) => name))
    const others = Object.keys(described).filter((name) => !names.has(name))
    const maps = new TestedMaps([...configured, ...others.map(defaultMap)], now)
    for (const [name, entries] of Object.entries(described)) await maps.#fill(name, entries)
    return maps
  }

  private constructor(models: HttpModel['sessionMaps'], now: () => number) {
    this.#store = new MemoryStore({ size: SIZE, now })
    this.#store.onInvalidation((map, key) => key !== null && this.#keysOf(map).add(key))
    for (const model of models) this.#maps.set(model.name, new SessionMap(this.#store, model))
  }

  /** As `ScriptHost.map`. */
  named(name: string): ScriptMap | undefined {
    return this.#maps.get(name)
  }

  /** Everything that has not ended by now. */
  get content(): Record<string, Record<string, unknown>> {
    return Object.fromEntries([...this.#maps.keys()].map((name) => [name, this.#entries(name)]))
  }

  close(): void {
    for (const map of this.#maps.values()) map.close()
    void this.#store.close()
  }

  async #fill(name: string, entries: Readonly<Record<string, unknown>>): Promise<void> {
    if (typeof entries !== 'object' || entries === null)
      throw new DescriptionError(`maps: ${name} is an object of values by key`)
    for (const [key, value] of Object.entries(entries)) {
      const stored = storedValue(name, key, value)
      await this.#maps
        .get(name)!
        .set(key, stored)
        .catch((error: Error) => {
          throw new DescriptionError(`maps: ${name}: ${error.message}`)
        })
    }
  }

  #entries(map: string): Record<string, unknown> {
    const found: [string, unknown][] = []
    for (const key of this.#keysOf(map)) {
      const entry = this.#store.peek(map, key)
      if (entry !== null) found.push([key, shownValue(entry.value)])
    }
    return Object.fromEntries(found)
  }

  #keysOf(map: string): Set<string> {
    let keys = this.#keys.get(map)
    if (keys === undefined) this.#keys.set(map, (keys = new Set()))
    return keys
  }
}

/** As `session_map NAME;` makes it. @throws DescriptionError */
function defaultMap(name: string): SessionMapModel {
  const text = /^[\w-]+$/.test(name) ? `http { session_map ${name}; }` : ''
  const { model } = parseConfig({ file: 'described.conf', prefix: '/', text })
  const map = model?.http?.sessionMaps[0]
  if (map === undefined)
    throw new DescriptionError(`maps: ${JSON.stringify(name)} is no name of a session_map`)
  return map
}

/** @throws DescriptionError */
function storedValue(map: string, key: string, value: unknown): StoreValue {
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  const text = JSON.stringify(value) as string | undefined
  if (text !== undefined) return text
  throw new DescriptionError(`maps: ${map}: the value of ${JSON.stringify(key)} is neither JSON nor bytes`)
}

function shownValue(value: StoreValue): unknown {
  return typeof value === 'string' ? JSON.parse(value) : Uint8Array.from(value)
}
