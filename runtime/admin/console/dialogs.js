/**
 * What is asked before something is done. A dialog stays open until what it is for has been done: a refusal is shown where
 * it was asked for. Knows nothing of what is asked.
 */
import { button, make } from './elements.js'
import { complain } from './messages.js'
import { problemView } from './problem-view.js'

let ids = 0

/** An id that no other element has. */
export function freshId() {
  return `d${++ids}`
}

/**
 * Opens a dialog; Escape asks `leave`, which is how the dialog may refuse to be closed.
 * @param {HTMLElement} heading names it
 */
export function openDialog(kind, heading, children, leave) {
  heading.id = freshId()
  const dialog = make(`dialog.${kind}`, { 'aria-labelledby': heading.id }, heading, ...children)
  const onKey = (event) => {
    if (event.key !== 'Escape' || event.isComposing) return
    event.preventDefault()
    event.stopPropagation()
    leave()
  }
  dialog.addEventListener('keydown', onKey)
  dialog.addEventListener('cancel', (event) => {
    event.preventDefault()
    leave()
  })
  dialog.addEventListener('close', () => dialog.remove())
  document.body.append(dialog)
  dialog.showModal()
  return dialog
}

/**
 * Asks, does it, and closes. Whoever does not wait for it is told of a refusal in the corner.
 * @param {object} what
 * @param {string} what.title
 * @param {string} [what.text] what will happen
 * @param {string} what.verb on the button
 * @param {boolean} [what.danger] it takes something away
 * @param {Field[]} [what.fields]
 * @param {(values: Record<string, any>) => Promise<void>} what.run
 * @returns {Promise<boolean>} whether it was done
 *
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {'text' | 'number' | 'checkbox'} [type]
 * @property {string | number | boolean} [value]
 * @property {string} [hint]
 * @property {Record<string, unknown>} [more] attributes
 */
export function ask({ title, text = '', verb, danger = false, fields = [], run }) {
  return new Promise((done) => {
    const inputs = fields.map((field) => inputOf(field))
    const answer = make('div', { 'aria-live': 'assertive' })
    const submit = make(danger ? 'button.danger' : 'button.primary', { type: 'submit' }, verb)
    const end = (isDone) => {
      dialog.close()
      done(isDone)
    }
    const cancel = button('Cancel', () => end(false))
    const work = async (event) => {
      event.preventDefault()
      submit.disabled = true
      answer.replaceChildren()
      try {
        await run(Object.fromEntries(inputs.flatMap(({ read }) => read())))
        end(true)
      } catch (error) {
        if (!dialog.open) return complain(error)
        answer.replaceChildren(problemView(error))
        submit.disabled = false
        submit.focus()
      }
    }
    const form = make(
      'form',
      { submit: (event) => void work(event) },
      text === '' ? null : make('p', {}, text),
      ...inputs.map(({ element }) => element),
      answer,
      make('div.foot', {}, cancel, submit),
    )
    const dialog = openDialog('ask', make('h2', {}, title), [form], () => end(false))
    const first = form.querySelector('input')
    if (first === null) (danger ? cancel : submit).focus()
    else {
      first.focus()
      if (first.type !== 'checkbox') first.select()
    }
  })
}

/** A field with its label; what is left empty is not among the values. */
export function inputOf({ name, label, type = 'text', value = '', hint = '', more = {} }) {
  const id = freshId()
  const described = hint === '' ? {} : { 'aria-describedby': `${id}-hint` }
  const isBox = type === 'checkbox'
  const initial = isBox ? { checked: value === true } : { value }
  const input = make('input', { id, name, type, ...initial, autocomplete: 'off', ...described, ...more })
  const caption = make('label', { for: id }, label)
  const below = hint === '' ? null : make('p.hint', { id: `${id}-hint` }, hint)
  const element = make(
    isBox ? 'div.field.box' : 'div.field',
    {},
    ...(isBox ? [input, caption] : [caption, input]),
    below,
  )
  const read = () => {
    if (isBox) return [[name, input.checked]]
    if (input.value.trim() === '') return []
    return [[name, type === 'number' ? input.valueAsNumber : input.value.trim()]]
  }
  return { element, input, read }
}

/** The token of the API. There is no way round it: nothing can be shown without. @param {boolean} wasWrong */
export function askToken(wasWrong) {
  return new Promise((done) => {
    const more = { required: true, spellcheck: 'false', pattern: '[!-~]+', 'aria-invalid': wasWrong }
    const hint = 'The first line of token_file. It is kept for this tab alone, until the tab is closed.'
    const { element, input } = inputOf({ name: 'token', label: 'Token', type: 'password', hint, more })
    const wrong = make(
      'p.problem',
      { role: 'alert', 'data-tone': 'bad' },
      'That is not the token of this proxy.',
    )
    const work = (event) => {
      event.preventDefault()
      dialog.close()
      done(input.value.trim())
    }
    const foot = make('div.foot', {}, make('button.primary', { type: 'submit' }, 'Enter'))
    const form = make('form', { submit: work }, wasWrong ? wrong : null, element, foot)
    const dialog = openDialog('ask', make('h2', {}, 'This proxy wants a token'), [form], () => input.focus())
    input.focus()
  })
}
