/** Something beside the workers that changes with the configuration, or not at all: the admin API's address and token. */
import type { Model } from './config/model.ts'

export interface Companion {
  /** Makes ready what this configuration asks for. @throws ConfigError: the configuration does not go into service */
  prepare(model: Model): Promise<CompanionChange>
}

/** Several that change as one. */
export function companions(...all: readonly Companion[]): Companion {
  return {
    async prepare(model) {
      const changes: CompanionChange[] = []
      try {
        for (const companion of all) changes.push(await companion.prepare(model))
      } catch (error) {
        for (const change of changes) change.discard()
        throw error
      }
      return {
        commit: () => {
          for (const change of changes) change.commit()
        },
        discard: () => {
          for (const change of changes) change.discard()
        },
      }
    },
  }
}

/** One of the two functions ends it. */
export interface CompanionChange {
  commit(): void
  discard(): void
}

/** The swap that puts `model` into service, and the companion's change with it; neither, when one fails. */
export async function swapTogether<T>(
  companion: Companion | null,
  model: Model,
  swap: () => Promise<T>,
): Promise<T> {
  const change = companion === null ? null : await companion.prepare(model)
  try {
    const result = await swap()
    change?.commit()
    return result
  } catch (error) {
    change?.discard()
    throw error
  }
}
