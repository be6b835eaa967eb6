/**
 * Host names and their wildcards, as `server_name` and `map … hostnames` look them up: exact, then the longest
 * `*.example.com`, then the longest `www.example.*`. Knows what names mean, not what hangs on them.
 */

export class NameTable<T extends {}> {
  readonly #exact = new Map<string, T>()
  readonly #leading = new Map<string, T>()
  readonly #trailing = new Map<string, T>()
  /** Most dots in a wildcard: bounds the work for a hostile name of a thousand labels. */
  #leadingDots = 0
  #trailingDots = 0

  /** Lower case. The first value given for a name stays. */
  addExact(name: string, value: T): void {
    addNew(this.#exact, name, value)
  }

  /** `*.example.com`, without the star: `.example.com`. */
  addLeading(suffix: string, value: T): void {
    addNew(this.#leading, suffix, value)
    this.#leadingDots = Math.max(this.#leadingDots, countDots(suffix))
  }

  /** `example.*`, without the star: `example.`. */
  addTrailing(prefix: string, value: T): void {
    addNew(this.#trailing, prefix, value)
    this.#trailingDots = Math.max(this.#trailingDots, countDots(prefix))
  }

  /** @param name lower case, no trailing dot */
  find(name: string): T | undefined {
    const exact = this.#exact.get(name)
    if (exact !== undefined || name === '') return exact
    if (this.#leadingDots > 0) {
      const found = this.#findLeading(name)
      if (found !== undefined) return found
    }
    return this.#trailingDots > 0 ? this.#findTrailing(name) : undefined
  }

  #findLeading(name: string): T | undefined {
    let found: T | undefined
    let at = name.length
    for (let dots = 0; dots < this.#leadingDots && at > 0; dots++) {
      at = name.lastIndexOf('.', at - 1)
      if (at < 0) break
      found = this.#leading.get(name.slice(at)) ?? found
    }
    return found
  }

  #findTrailing(name: string): T | undefined {
    let found: T | undefined
    let at = -1
    for (let dots = 0; dots < this.#trailingDots; dots++) {
      at = name.indexOf('.', at + 1)
      if (at < 0) break
      found = this.#trailing.get(name.slice(0, at + 1)) ?? found
    }
    return found
  }
}

function addNew<T>(table: Map<string, T>, name: string, value: T): void {
  if (!table.has(name)) table.set(name, value)
}

function countDots(text: string): number {
  return text.split('.').length - 1
}
