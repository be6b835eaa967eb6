/**
 * Name lookups of scripts, bounded: the system looks names up on the few threads that files and compression need too, and
 * a lookup goes on when the fetch that asked for it has been given up.
 */
import type { NameResolver } from '../upstream/name-resolver.ts'
import type { Address } from '../upstream/options.ts'

/** Names that are being looked up at the same time. */
const MAX_NAMES = 64
const NONE: readonly Address[] = []

export class Lookups implements Pick<NameResolver, 'cached' | 'lookUp'> {
  readonly #resolver: Pick<NameResolver, 'cached' | 'lookUp'>
  readonly #names = new Set<string>()

  constructor(resolver: Pick<NameResolver, 'cached' | 'lookUp'>) {
    this.#resolver = resolver
  }

  cached(name: string): readonly Address[] | null {
    return this.#resolver.cached(name)
  }

  /** As `NameResolver.lookUp`; one name too many is not resolved. */
  lookUp(name: string, port: number, done: (addresses: readonly Address[]) => void): void {
    if (!this.#names.has(name) && this.#names.size >= MAX_NAMES) {
      setImmediate(done, NONE)
      return
    }
    this.#names.add(name)
    this.#resolver.lookUp(name, port, (addresses) => {
      this.#names.delete(name)
      done(addresses)
    })
  }
}
