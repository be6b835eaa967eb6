/**
 * Finds the longest of many prefixes of a text: a tree whose edges are pieces of text.
 *
 *   /            one comparison and one table look-up per level, however many prefixes there are
 *   ├─ api/ ─ v2
 *   └─ img
 */
import { octetAt } from './octet-at.ts'

interface Node<T> {
  /** Text between the parent and here. */
  label: string
  value: T | null
  /** By the first character of the child's label; null: none. */
  children: Map<number, Node<T>> | null
}

export class PrefixTree<T> {
  readonly #root: Node<T> = { label: '', value: null, children: null }

  /** Adds a prefix; the first value given for it stays. */
  add(prefix: string, value: T): void {
    let node = this.#root
    let rest = prefix
    while (rest !== '') {
      const child = node.children?.get(octetAt(rest, 0))
      if (child === undefined) {
        const leaf: Node<T> = { label: rest, value, children: null }
        addChild(node, leaf)
        return
      }
      const shared = sharedLength(child.label, rest)
      if (shared < child.label.length) split(child, shared)
      node = child
      rest = rest.slice(shared)
    }
    node.value ??= value
  }

  /** The value of the longest prefix of `text`, or null. */
  longest(text: string): T | null {
    let node = this.#root
    let found = node.value
    let at = 0
    for (;;) {
      if (node.children === null || at === text.length) return found
      const child = node.children.get(octetAt(text, at))
      if (child === undefined || !text.startsWith(child.label, at)) return found
      at += child.label.length
      node = child
      if (node.value !== null) found = node.value
    }
  }
}

function addChild<T>(node: Node<T>, child: Node<T>): void {
  node.children ??= new Map()
  node.children.set(octetAt(child.label, 0), child)
}

/** Cuts a node's label in two; what it held moves to the lower half. */
function split<T>(node: Node<T>, at: number): void {
  const lower: Node<T> = { label: node.label.slice(at), value: node.value, children: node.children }
  node.label = node.label.slice(0, at)
  node.value = null
  node.children = null
  addChild(node, lower)
}

function sharedLength(a: string, b: string): number {
  const end = Math.min(a.length, b.length)
  let i = 0
  while (i < end && octetAt(a, i) === octetAt(b, i)) i++
  return i
}
