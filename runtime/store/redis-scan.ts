/** Keys by a pattern, over all masters of a Redis, in pages. */
import type { Redis } from 'ioredis'

/** SCAN over all masters; its cursor is `NODE:CURSOR`. */
export class Scan {
  readonly #nodes: readonly Redis[]
  #node: number
  #at: string
  done = false

  constructor(nodes: readonly Redis[], cursor: string | null) {
    this.#nodes = nodes
    const [, node, at] = /^(\d{1,4}):(\d{1,20})$/.exec(cursor ?? '0:0') ?? ['', '0', '0']
    this.#node = Number(node)
    this.#at = at
    this.done = this.#node >= nodes.length
  }

  get cursor(): string | null {
    return this.done ? null : `${this.#node}:${this.#at}`
  }

  async next(pattern: string, count: number): Promise<Buffer[]> {
    const node = this.#nodes[this.#node]
    const [at, keys] = await node.scanBuffer(this.#at, 'MATCH', pattern, 'COUNT', count)
    this.#at = at.toString()
    if (this.#at === '0') this.done = ++this.#node >= this.#nodes.length
    return keys
  }
}

export function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^]/g, '\\$&')
}
