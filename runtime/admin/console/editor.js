/**
 * The text of a script: read, edited and pushed. Whoever has changed it meanwhile loses nothing: the push says by its tag
 * which version it was made from, and both texts are there when another one serves by now.
 */

import { Problem } from './api.js'
import { CodeBox } from './code-box.js'
import { ask, openDialog } from './dialogs.js'
import { button, make, write } from './elements.js'
import { printable, short } from './format.js'
import { complain, say } from './messages.js'
import { problemView } from './problem-view.js'

export class Editor {
  #api
  #fleet
  #changed
  #name = ''
  /** As it was opened, or pushed last; with the ends of lines that a text field has. */
  #seen = { source: '', tag: null, file: '' }
  /** Its lines end as in a file of Windows, and stay so. */
  #hasReturns = false
  #edits = false
  #isPushing = false
  #box
  #dialog
  #parts

  /** Opens the text of a script. @param {{ fleet: import('./fleet.js').Fleet, changed: (rollout?: object) => void }} others */
  static async open(api, name, others) {
    try {
      const seen = await api.script(name)
      return new Editor(api, name, seen, others)
    } catch (error) {
      complain(error)
      return null
    }
  }

  constructor(api, name, seen, { fleet, changed }) {
    this.#api = api
    this.#name = name
    this.#fleet = fleet
    this.#changed = changed
    this.#box = new CodeBox(`Source of ${printable(name)}`, { onInput: () => this.#tell() })
    this.#box.input.addEventListener('keydown', (event) => this.#key(event))
    this.#parts = {
      about: make('p.about'),
      answer: make('div.answer', { 'aria-live': 'assertive' }),
      edit: button('Edit', () => this.#begin(), { class: 'primary' }),
      push: button('Push', () => void this.#push(), { class: 'primary', hidden: true }),
      fleet: fleet.inputs(),
    }
    const { about, answer, edit, push } = this.#parts
    this.#parts.fleet.element.hidden = true
    const close = button('Close', () => void this.#leave())
    const foot = make('div.foot', {}, this.#parts.fleet.element, close, edit, push)
    const heading = make('h2', {}, printable(name))
    this.#dialog = openDialog(
      'editor',
      heading,
      [about, this.#box.element, answer, foot],
      () => void this.#leave(),
    )
    window.addEventListener('beforeunload', this.#hold)
    this.#dialog.addEventListener('close', () => window.removeEventListener('beforeunload', this.#hold))
    this.#show(seen)
    this.#box.input.focus()
    this.#box.input.setSelectionRange(0, 0)
  }

  /** What serves by now, of all scripts. */
  look(scripts) {
    const { about } = this.#parts
    const { tag, file } = this.#seen
    const own = scripts.filter((one) => one.file === file && one.state !== 'quarantined')
    const isOther = tag !== null && own.length > 0 && !own.some(({ digest }) => `"${digest}"` === tag)
    about.dataset.tone = isOther ? 'warn' : ''
    if (isOther) write(about, `${printable(file)}: another version, ${short(own[0].digest)}, serves by now`)
    else this.#tell()
  }

  get isOpen() {
    return this.#dialog.open
  }

  get #isDirty() {
    return this.#edits && this.#box.text !== this.#seen.source
  }

  #hold = (event) => {
    if (this.#isDirty) event.preventDefault()
  }

  #show(seen) {
    this.#seen = { ...seen, source: normal(seen.source ?? '') }
    this.#hasReturns = /\r\n/.test(seen.source ?? '')
    this.#box.text = this.#seen.source
    this.#tell()
    if (seen.source === null) this.#say('p', 'Nothing of this script serves; there is no text to show.')
  }

  #tell() {
    const { file, tag } = this.#seen
    const version = tag === null ? '' : `, version ${short(tag.replaceAll('"', ''))}`
    write(
      this.#parts.about,
      `${printable(file)}${version}${this.#isDirty ? ', with changes that are not pushed' : ''}`,
    )
    this.#parts.push.disabled = this.#isPushing || !this.#isDirty
  }

  #begin() {
    this.#edits = true
    this.#box.readOnly = false
    const { edit, push, fleet } = this.#parts
    edit.hidden = true
    push.hidden = false
    fleet.element.hidden = false
    this.#box.input.focus()
    this.#tell()
  }

  #key(event) {
    if (event.key !== 's' || !(event.ctrlKey || event.metaKey)) return
    event.preventDefault()
    if (this.#isDirty && !this.#isPushing) void this.#push()
  }

  /** @param tag of the version that it takes the place of */
  async #push(tag = this.#seen.tag) {
    const { push, answer, fleet } = this.#parts
    const text = this.#box.text
    this.#isPushing = true
    push.textContent = 'Pushing…'
    this.#tell()
    answer.replaceChildren()
    try {
      if (tag === null) await this.#checkSource()
      const written = this.#hasReturns ? text.replaceAll('\n', '\r\n') : text
      const done = await this.#api.pushScript(this.#name, written, {
        tag,
        ...this.#fleet.options(fleet.read()),
      })
      this.#done(text, done)
    } catch (error) {
      this.#refused(error)
    }
    this.#isPushing = false
    push.textContent = 'Push'
    this.#tell()
  }

  /** A module has no version of its own: what is replaced is compared by its text. @throws Problem */
  async #checkSource() {
    const { source } = await this.#api.script(this.#name)
    if (normal(source ?? '') !== this.#seen.source)
      throw new Problem(412, { title: 'precondition failed', detail: 'another version serves by now' })
  }

  #done(text, { generation, took, digest, rollout }) {
    const isCanary = rollout?.canary != null
    // A canary stands beside what was opened, and takes the place of nothing.
    if (!isCanary) {
      const tag = digest === null || this.#seen.tag === null ? this.#seen.tag : `"${digest}"`
      this.#seen = { ...this.#seen, source: text, tag }
    }
    const what = isCanary ? 'with the canary ' : ''
    const serves = `Generation ${generation} serves ${what}after ${took.toFixed(1)} ms.`
    this.#say('p.done', generation > 0 ? serves : 'It is recorded for the other machines.')
    say(`${printable(this.#name)} is pushed`)
    this.#box.point(0)
    this.#changed(rollout)
  }

  #refused(error) {
    if (!this.isOpen) return complain(error)
    const view = problemView(error, { onPlace: ({ line, column }) => this.#box.point(line, column) })
    this.#parts.answer.replaceChildren(view)
    const [first] = error.problems ?? []
    if (error.status === 412) view.append(this.#choice())
    else if (first !== undefined && first.line > 0 && first.file === this.#seen.file)
      this.#box.point(first.line, first.column)
  }

  /** Somebody else was faster. */
  #choice() {
    const theirs = button('Show what serves now', () => void this.#compare())
    return make('p.choices', {}, 'Your text is still here. ', theirs)
  }

  async #compare() {
    const { answer } = this.#parts
    try {
      const seen = await this.#api.script(this.#name)
      const box = new CodeBox('What serves now')
      box.text = seen.source ?? ''
      const take = button('Take this one instead of mine', () => {
        answer.replaceChildren()
        this.#show(seen)
      })
      const keep = button(
        'Push mine in its place',
        () => {
          this.#seen = { ...this.#seen, tag: seen.tag, source: normal(seen.source ?? '') }
          void this.#push(seen.tag)
        },
        { class: 'danger' },
      )
      const version = seen.tag === null ? '' : `: version ${short(seen.tag.replaceAll('"', ''))}`
      answer.replaceChildren(
        make('p.title', {}, `What serves now${version}`),
        box.element,
        make('p.choices', {}, take, keep),
      )
      take.focus()
    } catch (error) {
      this.#refused(error)
    }
  }

  #say(kind, text) {
    this.#parts.answer.replaceChildren(make(kind, {}, text))
  }

  async #leave() {
    if (this.#isDirty && !(await this.#mayDiscard())) return
    this.#dialog.close()
  }

  #mayDiscard() {
    return ask({
      title: 'Discard your changes?',
      text: `What you have changed in ${printable(this.#name)} has not been pushed.`,
      verb: 'Discard',
      danger: true,
      run: async () => undefined,
    })
  }
}

/** As a text field has it. */
function normal(text) {
  return text.replace(/\r\n?/g, '\n')
}
