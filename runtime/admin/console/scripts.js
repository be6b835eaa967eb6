/** Scripts and their versions: how each does, its text, and what can be done about it. */

import { scriptPath } from './api.js'
import { ask } from './dialogs.js'
import { button, byId, make, rebuild, state, write } from './elements.js'
import { bytes, count, percent, printable, short } from './format.js'
import { say } from './messages.js'
import { Table } from './table.js'

/** What a machine calls the file of a canary that the fleet has recorded. */
const CANARY_FILE = /^(.*\/)\.([^/]+)\.fleet-canary-[0-9a-f]{16}(\.[^./]*)?$/

const TONES = { live: 'ok', canary: 'info', shadow: 'info', 'left out': 'warn', quarantined: 'bad' }

export class Scripts {
  #api
  #changed
  #edit
  #fleet
  #table

  /**
   * @param {{ changed: (rollout?: object) => void, edit: (name: string) => void, fleet: import('./fleet.js').Fleet }} others
   */
  constructor(api, { changed, edit, fleet }) {
    this.#api = api
    this.#changed = changed
    this.#edit = edit
    this.#fleet = fleet
    this.#table = new Table('Scripts', this.#columns(), {
      key: ({ file, role, state: word = 'module' }) => `${role} ${word === 'quarantined'} ${file}`,
      empty: 'The configuration names no script.',
    })
    byId('versions').append(this.#table.element)
  }

  show({ scripts, modules }) {
    const target = ({ name, file }) => besideOf(file, scripts)?.name ?? name
    const rows = scripts.map((one) => ({ ...one, target: target(one) }))
    this.#table.show([...rows, ...modules.map((one) => ({ ...one, role: 'module', target: one.name }))])
  }

  #columns() {
    const number = (title, name, text) => ({
      title,
      kind: 'number',
      show: (cell, one) => write(cell, one[name] === undefined ? '–' : text(one)),
    })
    return [
      {
        title: 'Script',
        kind: 'head',
        show: (cell, { target, file }) =>
          rebuild(cell, `${target} ${file}`, () => [
            make('span', {}, printable(target)),
            make('span.below', {}, printable(file)),
          ]),
      },
      {
        title: 'State',
        show: (cell, one) =>
          rebuild(cell, JSON.stringify([one.state, one.role, one.reason, one.shadow]), () => about(one)),
      },
      {
        title: 'Version',
        show: (cell, { digest }) =>
          rebuild(cell, digest ?? '', () =>
            digest === undefined ? ['–'] : [make('code', { title: digest }, short(digest))],
          ),
      },
      number('Since', 'generation', ({ generation }) => String(generation)),
      number('Calls', 'calls', ({ calls }) => count(calls)),
      number('Errors', 'errors', ({ errors, overruns }) =>
        overruns > 0 ? `${count(errors)} (${count(overruns)} overran)` : count(errors),
      ),
      number('Memory', 'memory', ({ memory }) => bytes(memory)),
      {
        title: '',
        kind: 'actions',
        show: (cell, one, row) =>
          rebuild(cell, `${one.target} ${one.role} ${one.state}`, () => this.#actions(row)),
      },
    ]
  }

  #actions(row) {
    const { target, role, state: word } = row.item
    const action = (label, work) =>
      button(label, () => void work(row.item), {
        class: 'small',
        'aria-label': `${label}: ${printable(target)}`,
      })
    const open = action('Source', (one) => this.#edit(one.name))
    if (role === 'module' || word === 'quarantined') return [open]
    if (role === 'live') return [open, action('Roll back', (one) => this.#rollback(one))]
    return [
      open,
      ...(role === 'canary' ? [action('Promote', (one) => this.#promote(one))] : []),
      action('Remove', (one) => this.#remove(one)),
    ]
  }

  #rollback({ target, digest }) {
    return this.#ask({
      title: `Roll ${printable(target)} back?`,
      text: `Version ${short(digest)} gives way to the one before it.`,
      verb: 'Roll back',
      change: ['POST', `${scriptPath(target)}/rollback`],
      done: ({ digest: to, generation }) =>
        `${target} is version ${short(to ?? '')} again, in generation ${generation}`,
    })
  }

  #promote({ target, digest }) {
    return this.#ask({
      title: `Promote the canary ${printable(target)}?`,
      text: `Version ${short(digest)} serves everybody.`,
      verb: 'Promote',
      change: ['POST', `${scriptPath(target)}/promote`],
      done: ({ generation }) => `${target} serves everybody, in generation ${generation}`,
    })
  }

  #remove({ target, role, digest }) {
    return this.#ask({
      title: `End the ${role} ${printable(target)}?`,
      text: `Version ${short(digest)} is taken out of service.`,
      verb: 'Remove',
      change: ['DELETE', scriptPath(target)],
      done: () => `the ${role} ${target} is out of service`,
    })
  }

  #ask({ title, text, verb, change: [method, path], done }) {
    return ask({
      title,
      text,
      verb,
      danger: true,
      fields: this.#fleet.fields(),
      run: async (values) => {
        const { query, headers } = this.#fleet.options(values)
        const answer = await this.#api.send(method, `${path}${query}`, {}, headers)
        say(printable(done(answer)))
        this.#changed(answer.rollout)
      },
    })
  }
}

/** The script that a canary of the fleet stands beside, which it goes by there; undefined: it is none. */
function besideOf(file, scripts) {
  const [, folder, name, extension = ''] = CANARY_FILE.exec(file) ?? []
  return folder === undefined ? undefined : scripts.find((one) => one.file === `${folder}${name}${extension}`)
}

/** The state of a version, and why it is so. */
function about({ state: word, role, reason = '', shadow }) {
  if (word === undefined) return [make('span.quiet', {}, 'imported module')]
  const kind = word !== role && role !== 'live' ? [make('span.quiet', {}, ` ${role}`)] : []
  const why = reason === '' ? [] : [make('span.below', {}, printable(reason))]
  const results = Object.entries(shadow ?? {}).map(([phase, tally]) =>
    make('span.below', {}, shadowText(phase, tally)),
  )
  return [state(word, TONES[word] ?? 'quiet'), ...kind, ...why, ...results]
}

function shadowText(phase, { calls, different, errors }) {
  return `${phase}: ${percent(different, calls)} of ${count(calls)} decide otherwise, ${count(errors)} errors`
}
