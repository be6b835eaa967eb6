/** What has served, and why; and going back by one. */
import { ask } from './dialogs.js'
import { byId, make, rebuild, state, write } from './elements.js'
import { printable, short, time } from './format.js'
import { say } from './messages.js'
import { Table } from './table.js'

export class Generations {
  #current = 0
  #table = new Table('Generations', this.#columns(), {
    key: ({ generation }) => String(generation),
    empty: 'Nothing has served yet.',
  })

  constructor(api, changed) {
    byId('history').append(this.#table.element)
    const back = async () => {
      const { generation } = await api.send('POST', 'generations/rollback')
      say(`generation ${generation} serves with the scripts as they were before`)
      changed()
    }
    byId('rollback-all').addEventListener('click', () => {
      void ask({
        title: 'Roll all scripts back?',
        text: 'All scripts become what they were in the generation before, in one swap. The configuration stays as it is.',
        verb: 'Roll back',
        danger: true,
        run: back,
      })
    })
  }

  /** @param generations oldest first @param current the one that serves */
  show(generations, current) {
    this.#current = current
    byId('rollback-all').disabled = generations.length < 2
    this.#table.show(generations.toReversed())
  }

  #columns() {
    return [
      { title: 'Generation', kind: 'head', show: (cell, { generation }) => write(cell, String(generation)) },
      {
        title: 'State',
        show: (cell, { generation }) => {
          const serves = generation === this.#current
          rebuild(cell, String(serves), () => [serves ? state('serves', 'ok') : state('earlier', 'quiet')])
        },
      },
      { title: 'Since', show: (cell, { at }) => write(cell, time(at)) },
      { title: 'Because of', show: (cell, { reason }) => write(cell, printable(reason)) },
      {
        title: 'Scripts',
        show: (cell, { scripts }) => rebuild(cell, JSON.stringify(scripts), () => scriptsView(scripts)),
      },
    ]
  }
}

function scriptsView(scripts) {
  if (scripts.length === 0) return ['none']
  const items = scripts.map(({ file, role, digest }) => {
    const name = printable(file.split('/').at(-1))
    const kind = role === 'live' ? '' : ` ${role}`
    return make(
      'li',
      { title: printable(file) },
      `${name}${kind} `,
      make('code', { title: digest }, short(digest)),
    )
  })
  return [make('ul.inline', {}, ...items)]
}
