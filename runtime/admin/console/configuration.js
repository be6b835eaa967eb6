/** The configuration that serves, to be read; and reading it again, with what is wrong with it. */

import { CodeBox } from './code-box.js'
import { byId, make, rebuild } from './elements.js'
import { plural, printable } from './format.js'
import { placeView, problemView } from './problem-view.js'

export class Configuration {
  #api
  #changed

  constructor(api, changed) {
    this.#api = api
    this.#changed = changed
    byId('reload').addEventListener('click', (event) => void this.#reload(event.currentTarget))
  }

  show(files) {
    rebuild(byId('files'), JSON.stringify(files), () => files.map(fileView))
  }

  async #reload(button) {
    const answer = byId('reload-answer')
    button.disabled = true
    button.textContent = 'Reloading…'
    try {
      const { generation, took, problems } = await this.#api.send('POST', 'config/reload')
      const done = make('p.done', {}, `Generation ${generation} serves after ${took.toFixed(1)} ms.`)
      answer.replaceChildren(done, ...problems.map((problem) => placeView(problem)))
      this.#changed()
    } catch (error) {
      answer.replaceChildren(problemView(error))
    }
    button.textContent = 'Reload'
    button.disabled = false
  }
}

function fileView({ path, text }) {
  const lines = text.split('\n').length
  const summary = make(
    'summary',
    {},
    make('code', {}, printable(path)),
    make('span.quiet', {}, ` ${plural(lines, 'line')}`),
  )
  const file = make('details.panel', { name: 'files' }, summary)
  // Long files cost nothing until somebody looks.
  file.addEventListener(
    'toggle',
    () => {
      const box = new CodeBox(`Configuration ${printable(path)}`)
      box.text = text
      file.append(box.element)
    },
    { once: true },
  )
  return file
}
