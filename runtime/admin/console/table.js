/**
 * Rows that are kept: a table is refreshed every two seconds, and only what has changed is touched, so that focus,
 * selection and scrolling stay. On a narrow screen each row stands as a card (`theme.css`); the roles keep its meaning.
 */
import { make } from './elements.js'

/**
 * @typedef {object} Column
 * @property {string} title '' where the cells tell by themselves
 * @property {'' | 'number' | 'actions' | 'head'} [kind] `head`: the cell names its row
 * @property {(cell: HTMLElement, item: any, row: { item: any }) => void} show what stands in the cell; is asked again
 *   with every refresh. `row.item` is always the latest
 */

export class Table {
  #columns
  #key
  #body
  #rows = new Map()
  #empty

  /**
   * @param {string} label for those who do not see it
   * @param {Column[]} columns
   * @param {{ key: (item: any) => string, empty: string }} options what tells two items apart; what is said instead of rows
   */
  constructor(label, columns, { key, empty }) {
    this.#columns = columns
    this.#key = key
    const heads = columns.map(({ title, kind = '' }) => {
      const name = title === '' ? make('span.unseen', {}, kind === 'actions' ? 'Actions' : 'About') : title
      return make(kind === 'number' ? 'th.number' : 'th', { scope: 'col', role: 'columnheader' }, name)
    })
    this.#body = make('tbody', { role: 'rowgroup' })
    const head = make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...heads))
    const table = make('table', { role: 'table', 'aria-label': label }, head, this.#body)
    this.#empty = make('p.empty', { hidden: true }, empty)
    this.element = make('div.table', {}, table, this.#empty)
  }

  /** @param {any[]} items in the order in which they are to stand */
  show(items) {
    const seen = new Set()
    let at = this.#body.firstElementChild
    for (const item of items) {
      // What cannot be told apart stands as often as it is there.
      let key = this.#key(item)
      while (seen.has(key)) key += '+'
      seen.add(key)
      const row = this.#row(key, item)
      if (row.element === at) at = at.nextElementSibling
      else this.#body.insertBefore(row.element, at)
    }
    for (const [key, { element }] of this.#rows) {
      if (seen.has(key)) continue
      element.remove()
      this.#rows.delete(key)
    }
    this.#empty.hidden = items.length > 0
    this.element.firstElementChild.hidden = items.length === 0
  }

  #row(key, item) {
    let row = this.#rows.get(key)
    if (row === undefined) this.#rows.set(key, (row = this.#make(item)))
    row.item = item
    for (const [i, { show }] of this.#columns.entries()) show(row.cells[i], item, row)
    return row
  }

  #make(item) {
    const cells = this.#columns.map(({ title, kind = '' }) => {
      const more = { role: kind === 'head' ? 'rowheader' : 'cell', 'data-title': title }
      if (kind === 'head') return make('th', { ...more, scope: 'row' })
      return make(kind === '' ? 'td' : `td.${kind}`, more)
    })
    return { item, cells, element: make('tr', { role: 'row' }, ...cells) }
  }
}
