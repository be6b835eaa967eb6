/**
 * Finds the location of a path as nginx does: `=`, else the longest prefix, unless a regular expression matches
 * (first in order; those nested inside the longest prefix come before those beside it; none after `^~`).
 */
import type { LocationMatch } from '../config/model.ts'
import { PrefixTree } from '../lib/prefix-tree.ts'
import type { RequestBinder } from './binder.ts'
import type { Exchange } from './exchange.ts'
import type { Matcher } from './matcher.ts'
import type { LocationPlan, LocationSearch } from './plan.ts'

/** A compiled location with its place in the configuration; `nested` in order. */
export interface LocationEntry {
  readonly match: LocationMatch
  readonly plan: LocationPlan
  readonly nested: readonly LocationEntry[]
}

interface Node {
  readonly plan: LocationPlan
  readonly nested: Level | null
  /** `^~`: no regular expression beside it is tried. */
  readonly final: boolean
  /** Length of the path; tells whether the whole of a request's path matched. */
  readonly length: number
}

/** The locations of one block. null where there are none of a kind. */
interface Level {
  readonly exact: ReadonlyMap<string, Node> | null
  readonly prefixes: PrefixTree<Node>
  /** Names with a final slash that are redirected to, by the name without it. */
  readonly redirects: ReadonlyMap<string, Node> | null
  readonly patterns: readonly { readonly matcher: Matcher; readonly node: Node }[] | null
}

/** @param entries the locations of one server, in the order of the configuration */
export function buildLocations(entries: readonly LocationEntry[], binder: RequestBinder): LocationSearch {
  return new Locations(entries, binder)
}

class Locations implements LocationSearch {
  readonly #top: Level
  readonly #named = new Map<string, LocationPlan>()
  /** The last search ended with a match that nothing outside it may replace. */
  #final = false

  constructor(entries: readonly LocationEntry[], binder: RequestBinder) {
    this.#top = buildLevel(entries, binder)
    for (const { match, plan } of entries) if (match.kind === 'named') this.#named.set(match.path, plan)
  }

  find(x: Exchange): LocationPlan | null {
    return this.#search(this.#top, x)
  }

  named(name: string): LocationPlan | null {
    return this.#named.get(name) ?? null
  }

  #search(level: Level, x: Exchange): LocationPlan | null {
    const node = this.#searchText(level, x.path)
    let found: LocationPlan | null = null
    if (node !== null) {
      found = node.plan
      if (this.#final) return found
      if (node.nested !== null) {
        found = this.#search(node.nested, x) ?? found
        if (this.#final) return found
      }
      if (node.final) return found
    }
    return level.patterns === null ? found : this.#searchPatterns(level.patterns, x, found)
  }

  /** Sets `#final` for an exact match, and for a name that the path lacks only the final slash of. */
  #searchText(level: Level, path: string): Node | null {
    const exact = level.exact?.get(path)
    this.#final = true
    if (exact !== undefined) return exact
    const prefix = level.prefixes.longest(path)
    if (level.redirects !== null && (prefix === null || prefix.length < path.length)) {
      const redirect = level.redirects.get(path)
      if (redirect !== undefined) return redirect
    }
    this.#final = false
    return prefix
  }

  #searchPatterns(
    patterns: NonNullable<Level['patterns']>,
    x: Exchange,
    otherwise: LocationPlan | null,
  ): LocationPlan | null {
    for (const { matcher, node } of patterns) {
      if (!matcher.exec(x, x.path)) continue
      const inner = node.nested === null ? null : this.#search(node.nested, x)
      this.#final = true
      return inner ?? node.plan
    }
    return otherwise
  }
}

function buildLevel(entries: readonly LocationEntry[], binder: RequestBinder): Level {
  const exact = new Map<string, Node>()
  const redirects = new Map<string, Node>()
  const prefixes = new PrefixTree<Node>()
  const patterns: { matcher: Matcher; node: Node }[] = []
  for (const entry of entries) {
    const { kind, path, pattern } = entry.match
    if (kind === 'named') continue
    const nested = entry.nested.length === 0 ? null : buildLevel(entry.nested, binder)
    const node: Node = { plan: entry.plan, nested, final: kind === 'priority', length: path.length }
    if (kind === 'pattern') {
      patterns.push({ matcher: binder.matcher(pattern!), node })
      continue
    }
    if (kind === 'exact') exact.set(path, node)
    else prefixes.add(path, node)
    if (entry.plan.autoRedirect) {
      const bare = path.slice(0, -1)
      if (kind === 'exact' || !redirects.has(bare)) redirects.set(bare, node)
    }
  }
  return {
    exact: exact.size === 0 ? null : exact,
    prefixes,
    redirects: redirects.size === 0 ? null : redirects,
    patterns: patterns.length === 0 ? null : patterns,
  }
}
