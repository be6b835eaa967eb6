/** A text with line numbers, to be read or edited; one line of it can be pointed at. Knows no scripts. */
import { make } from './elements.js'

export class CodeBox {
  #lines = make('pre.lines', { 'aria-hidden': 'true' })
  #mark = make('div.mark', { hidden: true })
  #count = 0
  #marked = 0

  /** @param label of the field */
  constructor(label, { onInput = () => undefined } = {}) {
    this.input = make('textarea.code', {
      name: 'source',
      'aria-label': label,
      wrap: 'off',
      spellcheck: 'false',
      autocapitalize: 'off',
      autocomplete: 'off',
      readonly: true,
      input: () => {
        this.#number()
        this.point(0)
        onInput()
      },
      scroll: () => this.#follow(),
    })
    this.element = make('div.code-box', {}, this.#mark, make('div.gutter', {}, this.#lines), this.input)
  }

  get text() {
    return this.input.value
  }

  set text(text) {
    this.input.value = text
    this.#number()
    this.point(0)
  }

  set readOnly(isSo) {
    this.input.readOnly = isSo
  }

  /** Shows a line by a bar, and puts the cursor there. @param line from 1; 0: none @param column from 1 */
  point(line, column = 1) {
    this.#marked = line
    this.#mark.hidden = line < 1
    if (line < 1) return
    const lines = this.text.split('\n')
    const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0)
    const at = before + Math.min(column - 1, (lines[line - 1] ?? '').length)
    this.input.focus()
    this.input.setSelectionRange(at, at)
    this.input.scrollTop = Math.max(0, (line - 1) * this.#height - this.input.clientHeight / 3)
    this.#follow()
  }

  get #height() {
    return Number.parseFloat(getComputedStyle(this.input).lineHeight)
  }

  #number() {
    const count = this.text.split('\n').length
    if (count === this.#count) return
    this.#count = count
    this.#lines.textContent = Array.from({ length: count }, (_, at) => at + 1).join('\n')
  }

  #follow() {
    const { scrollTop } = this.input
    this.#lines.style.transform = `translateY(${-scrollTop}px)`
    if (this.#marked > 0)
      this.#mark.style.transform = `translateY(${(this.#marked - 1) * this.#height - scrollTop}px)`
  }
}
