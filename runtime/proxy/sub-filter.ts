/**
 * Replaces strings in a body (ngx_http_sub_module: `sub_filter`). The leftmost match counts, of several at one place the
 * first that is configured; letters match in either case. Text that may become a match is held, and no more.
 */
import { lowerAscii } from '../lib/ascii.ts'
import type { Exchange, ResponseOutput } from './exchange.ts'
import type { Binder, Effective, Getter } from './plan.ts'
import { forgetBody, isOfType, ResponseFilter, textOf, weakenEtag } from './response-filter.ts'
import type { Step } from './step.ts'

/** The `sub_filter_*` directives of one location. */
export interface SubPlan {
  readonly pairs: readonly { readonly text: Getter; readonly replacement: Getter }[]
  readonly types: ReadonlySet<string>
  readonly once: boolean
  readonly lastModified: boolean
}

/** One string that is looked for in one response. */
interface Pair {
  /** Lower case. */
  readonly text: string
  readonly replacement: Getter
}

/** null: nothing is replaced. */
export function compileSub(settings: Effective, binder: Binder): SubPlan | null {
  if (settings.subFilters.length === 0) return null
  return {
    pairs: settings.subFilters.map(({ text, replacement }) => ({
      text: binder.bind(text),
      replacement: binder.bind(replacement),
    })),
    types: new Set(settings.subFilterTypes),
    once: settings.subFilterOnce,
    lastModified: settings.subFilterLastModified,
  }
}

/** Whether strings are replaced in this response; if so, its head says no more what does not hold afterwards. */
export function beginSub(x: Exchange, plan: SubPlan): boolean {
  if (x.headers.contentLength === 0 || !isOfType(x, plan.types)) return false
  if (x.parent !== null) return true
  forgetBody(x)
  if (plan.lastModified) weakenEtag(x)
  else {
    x.headers.lastModified = null
    x.headers.remove('etag')
  }
  return true
}

export class SubFilter extends ResponseFilter {
  readonly #once: boolean
  /** Those still looked for. */
  #pairs: Pair[]
  #pattern: RegExp
  readonly #replacements = new Map<Pair, string>()
  /** The end of the body so far that may be the beginning of a match. */
  #held = ''

  constructor(x: Exchange, next: ResponseOutput, plan: SubPlan) {
    super(x, next)
    this.#once = plan.once
    this.#pairs = plan.pairs
      .map(({ text, replacement }) => ({ text: lowerAscii(text(x)), replacement }))
      .filter(({ text }) => text !== '')
    this.#pattern = patternOf(this.#pairs)
  }

  get pendingBytes(): number {
    return this.#held.length + this.next.pendingBytes
  }

  sendHead(x: Exchange, first: Uint8Array | string | null): boolean {
    return this.next.sendHead(x, first === null ? null : this.#replaced(textOf(first), false) || null)
  }

  sendBody(x: Exchange, chunk: Uint8Array | string): boolean {
    const text = this.#replaced(textOf(chunk), false)
    return text === '' ? true : this.next.sendBody(x, text)
  }

  sendEnd(x: Exchange): Step {
    const rest = this.#replaced('', true)
    if (rest !== '') this.next.sendBody(x, rest)
    return this.next.sendEnd(x)
  }

  drained(): void {
    this.release()
  }

  dispose(): void {
    this.#held = ''
  }

  /** What of the body is decided by now. */
  #replaced(chunk: string, last: boolean): string {
    const text = this.#held + chunk
    if (this.#pairs.length === 0) {
      this.#held = ''
      return text
    }
    const lower = lowerAscii(text)
    let begun = last ? null : this.#begun(lower, 0)
    let result = ''
    let at = 0
    for (;;) {
      if (begun !== null && begun.start < at) begun = this.#begun(lower, at)
      const match = this.#next(lower, at)
      if (match === null || (begun !== null && this.#precedes(begun, match))) {
        const end = begun === null ? text.length : begun.start
        this.#held = text.slice(end)
        return result + text.slice(at, end)
      }
      const pair = this.#pairs.find((candidate) => candidate.text === match[0])!
      result += text.slice(at, match.index) + this.#replacementOf(pair)
      at = match.index + match[0].length
      if (!this.#once) continue
      this.#forget(pair)
      if (begun?.pair === pair) begun = this.#begun(lower, at)
    }
  }

  #next(lower: string, at: number): RegExpExecArray | null {
    if (this.#pairs.length === 0) return null
    this.#pattern.lastIndex = at
    return this.#pattern.exec(lower)
  }

  /** The leftmost place where a string begins whose end is still to come, and the first string that does. */
  #begun(lower: string, from: number): { start: number; pair: Pair } | null {
    let longest = 0
    for (const { text } of this.#pairs) longest = Math.max(longest, text.length)
    for (let start = Math.max(from, lower.length - longest + 1); start < lower.length; start++) {
      const left = lower.length - start
      const pair = this.#pairs.find(
        ({ text }) => text.length > left && text[0] === lower[start] && lower.endsWith(text.slice(0, left)),
      )
      if (pair !== undefined) return { start, pair }
    }
    return null
  }

  #precedes(begun: { start: number; pair: Pair }, match: RegExpExecArray): boolean {
    if (begun.start !== match.index) return begun.start < match.index
    const whole = this.#pairs.findIndex(({ text }) => text === match[0])
    return this.#pairs.indexOf(begun.pair) < whole
  }

  #replacementOf(pair: Pair): string {
    let replacement = this.#replacements.get(pair)
    if (replacement === undefined) this.#replacements.set(pair, (replacement = pair.replacement(this.x)))
    return replacement
  }

  #forget(pair: Pair): void {
    this.#pairs = this.#pairs.filter((candidate) => candidate !== pair)
    this.#pattern = patternOf(this.#pairs)
  }
}

/** Any of the strings, the first one first. */
function patternOf(pairs: readonly Pair[]): RegExp {
  return new RegExp(pairs.map(({ text }) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|'), 'g')
}
