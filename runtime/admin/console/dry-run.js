/** The form of a dry run: what would become of a request, or of many. What comes of it is drawn by `trace.js`. */
import { inputOf } from './dialogs.js'
import { byId, make } from './elements.js'
import { problemView } from './problem-view.js'
import { traceView } from './trace.js'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']

export class DryRun {
  #api
  #fields

  constructor(api) {
    this.#api = api
    const method = make('select', { id: 'try-method' }, ...METHODS.map((name) => make('option', {}, name)))
    const target = inputOf({
      name: 'target',
      label: 'Target',
      value: '/',
      more: { required: true, spellcheck: 'false', placeholder: '/chat?userId=7' },
    })
    const headers = area('try-headers', 'Headers', 'Host: chat.example')
    const body = area('try-body', 'Body', '')
    const vary = inputOf({
      name: 'vary',
      label: 'Argument that varies',
      more: { placeholder: 'userId', spellcheck: 'false' },
    })
    const total = inputOf({
      name: 'count',
      label: 'Requests',
      type: 'number',
      more: { min: 1, max: 100_000, step: 1, placeholder: '1000' },
    })
    this.#fields = { method, target, headers, body, vary, total }
    this.#build()
  }

  #build() {
    const { method, target, headers, body, vary, total } = this.#fields
    const submit = make('button.primary', { type: 'submit' }, 'Try')
    const first = make('div.field', {}, make('label', { for: method.id }, 'Method'), method)
    const spread = make(
      'details',
      {},
      make('summary', {}, 'Spread over many'),
      make('div.row', {}, vary.element, total.element),
    )
    const more = make(
      'details',
      {},
      make('summary', {}, 'Headers and body'),
      make('div.row', {}, headers.element, body.element),
    )
    target.element.classList.add('wide')
    byId('try-form').append(make('div.row', {}, first, target.element, submit), more, spread)
    byId('try-form').addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#run(submit)
    })
  }

  async #run(submit) {
    const answer = byId('try-answer')
    submit.disabled = true
    submit.textContent = 'Trying…'
    try {
      const told = await this.#api.send('POST', 'try', this.#read())
      answer.replaceChildren(traceView(told))
    } catch (error) {
      answer.replaceChildren(problemView(error))
    }
    submit.textContent = 'Try'
    submit.disabled = false
  }

  /** @throws Error about a line that is no header */
  #read() {
    const { method, target, headers, body, vary, total } = this.#fields
    const request = { request: `${method.value} ${target.input.value.trim()}` }
    const fields = readHeaders(headers.input.value)
    if (Object.keys(fields).length > 0) request.headers = fields
    if (body.input.value !== '') request.body = body.input.value
    const name = vary.input.value.trim()
    if (name !== '')
      Object.assign(request, {
        vary: name,
        count: total.input.value === '' ? 1000 : total.input.valueAsNumber,
      })
    return request
  }
}

function area(id, label, placeholder) {
  const input = make('textarea', { id, rows: '3', spellcheck: 'false', autocomplete: 'off', placeholder })
  return { input, element: make('div.field.wide', {}, make('label', { for: id }, label), input) }
}

/** `Name: value` on each line; several of one name are a list. */
function readHeaders(text) {
  const headers = Object.create(null)
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue
    const [, name, value] = /^([^\s:]+):\s*(.*?)\s*$/.exec(line) ?? []
    if (name === undefined) throw new Error(`"${line.trim()}" is no header; write "Name: value"`)
    headers[name] = name in headers ? [headers[name], value].flat() : value
  }
  return headers
}
