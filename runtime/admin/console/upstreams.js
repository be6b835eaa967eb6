/** Upstream groups: how their servers do, and servers that are taken out, put back, weighed, added and removed. */
import { ask } from './dialogs.js'
import { button, byId, make, rebuild, state, write } from './elements.js'
import { count, printable } from './format.js'
import { complain, say } from './messages.js'
import { Table } from './table.js'

export class Upstreams {
  #api
  #changed
  #groups = new Map()

  /** @param {() => void} changed is called when something else is to be shown */
  constructor(api, changed) {
    this.#api = api
    this.#changed = changed
  }

  show(groups) {
    const parent = byId('groups')
    for (const group of groups) {
      let panel = this.#groups.get(group.name)
      if (panel === undefined) {
        this.#groups.set(group.name, (panel = this.#panel(group.name)))
        parent.append(panel.element)
      }
      panel.show(group)
    }
    for (const [name, { element }] of this.#groups) {
      if (groups.some((group) => group.name === name)) continue
      element.remove()
      this.#groups.delete(name)
    }
    byId('groups-empty').hidden = groups.length > 0
  }

  #panel(name) {
    const about = make('p.about')
    const add = button('Add a server', () => void this.#add(name), { class: 'small' })
    const heading = make('div.heading', {}, make('h3', {}, printable(name)), about, add)
    const table = new Table(`Servers of ${printable(name)}`, this.#columns(name), {
      key: (peer) => `${peer.name} ${peer.address}`,
      empty: 'It has no servers: requests for it are answered with 502.',
    })
    const show = ({ method, shared, peers }) => {
      const serving = peers.filter((peer) => stateOf(peer)[1] === 'ok').length
      const shares = shared ? ', failures are counted over all workers' : ''
      write(about, `${printable(method)}, ${serving} of ${peers.length} up${shares}`)
      about.dataset.tone = serving === 0 ? 'warn' : ''
      table.show(peers)
    }
    return {
      element: make('section.panel', { 'aria-label': `Upstream ${printable(name)}` }, heading, table.element),
      show,
    }
  }

  #columns(group) {
    return [
      {
        title: 'Server',
        kind: 'head',
        show: (cell, { name, address }) => rebuild(cell, `${name} ${address}`, () => [nameOf(name, address)]),
      },
      {
        title: 'State',
        show: (cell, peer) => {
          const [word, tone] = stateOf(peer)
          rebuild(cell, `${word} ${peer.backup}`, () => [
            state(word, tone),
            ...(peer.backup ? [make('span.quiet', {}, ' backup')] : []),
          ])
        },
      },
      { title: 'Weight', kind: 'number', show: (cell, { weight }) => write(cell, count(weight)) },
      {
        title: 'In flight',
        kind: 'number',
        show: (cell, { connections }) => write(cell, count(connections)),
      },
      { title: 'Failures', kind: 'number', show: (cell, { fails }) => write(cell, count(fails)) },
      {
        title: '',
        kind: 'actions',
        show: (cell, peer, row) =>
          rebuild(cell, `${peer.down} ${peer.draining}`, () => this.#actions(group, row)),
      },
    ]
  }

  #actions(group, row) {
    const { address, down, draining } = row.item
    const action = (label, work) =>
      button(label, () => void work(row.item), {
        class: 'small',
        'aria-label': `${label}: ${printable(address)}`,
      })
    const up = action('Up', (peer) => this.#up(group, peer))
    return [
      ...(down || draining ? [up] : []),
      ...(down || draining ? [] : [action('Drain', (peer) => this.#drain(group, peer))]),
      ...(down ? [] : [action('Down', (peer) => this.#down(group, peer))]),
      action('Weight', (peer) => this.#weigh(group, peer)),
      action('Remove', (peer) => this.#remove(group, peer)),
    ]
  }

  async #up(group, { address }) {
    try {
      await this.#patch(group, address, { down: false, drain: false }, 'serves again')
    } catch (error) {
      complain(error)
    }
  }

  #drain(group, { address }) {
    return ask({
      title: `Drain ${printable(address)}?`,
      text: 'It gets no new users; those who are bound to it stay.',
      verb: 'Drain',
      run: () => this.#patch(group, address, { drain: true }, 'drains'),
    })
  }

  #down(group, { address, connections }) {
    const open = connections === 0 ? '' : ` The ${count(connections)} under way may end.`
    return ask({
      title: `Take ${printable(address)} down?`,
      text: `It gets no requests any more, not even of users who are bound to it.${open}`,
      verb: 'Take down',
      danger: true,
      run: () => this.#patch(group, address, { down: true }, 'is down'),
    })
  }

  #weigh(group, { name, weight }) {
    return ask({
      title: `Weight of ${printable(name)}`,
      text: 'Its share of the requests, beside the weights of the others.',
      verb: 'Change',
      fields: [
        {
          name: 'weight',
          label: 'Weight',
          type: 'number',
          value: weight,
          more: { min: 1, step: 1, required: true },
        },
      ],
      run: (values) => this.#patch(group, name, values, `has weight ${values.weight}`),
    })
  }

  #remove(group, { name, address }) {
    const all =
      name === address ? '' : ` All addresses of the name leave with it, ${printable(address)} among them.`
    return ask({
      title: `Remove ${printable(name)}?`,
      text: `It leaves the upstream ${printable(group)}; what it is answering may end.${all}`,
      verb: 'Remove',
      danger: true,
      run: async () => {
        await this.#api.send('DELETE', serverPath(group, name))
        this.#done(`${name} is removed from ${group}`)
      },
    })
  }

  #add(group) {
    return ask({
      title: `Add a server to ${printable(group)}`,
      verb: 'Add',
      fields: ADDED,
      run: async (values) => {
        const given = Object.entries(values).filter(([, value]) => value !== false)
        await this.#api.send('POST', `${groupPath(group)}/servers`, Object.fromEntries(given))
        this.#done(`${values.server} serves in ${group}`)
      },
    })
  }

  async #patch(group, server, choices, what) {
    await this.#api.send('PATCH', serverPath(group, server), choices)
    this.#done(`${server} ${what}`)
  }

  #done(text) {
    say(printable(text))
    this.#changed()
  }
}

/** As `server` of the configuration has them; what is empty is left to its default. */
const ADDED = [
  {
    name: 'server',
    label: 'Address',
    hint: 'As in the configuration: 10.0.0.7:8080, a name, or unix:/run/app.sock',
    more: { required: true, spellcheck: 'false' },
  },
  { name: 'weight', label: 'Weight', type: 'number', value: 1, more: { min: 1, step: 1 } },
  {
    name: 'maxConns',
    label: 'Most in flight',
    type: 'number',
    hint: '0: no bound',
    more: { min: 0, step: 1 },
  },
  {
    name: 'maxFails',
    label: 'Failures until it rests',
    type: 'number',
    more: { min: 0, step: 1, placeholder: '1' },
  },
  {
    name: 'failTimeout',
    label: 'Rest, in ms',
    type: 'number',
    more: { min: 0, step: 1, placeholder: '10000' },
  },
  { name: 'backup', label: 'Backup: only when no other one can be asked', type: 'checkbox' },
  { name: 'down', label: 'Down until it is put up', type: 'checkbox' },
]

function groupPath(group) {
  return `upstreams/${encodeURIComponent(group)}`
}

function serverPath(group, server) {
  return `${groupPath(group)}/servers/${encodeURIComponent(server)}`
}

/** @returns word and tone */
function stateOf({ down, draining, resting }) {
  if (down) return ['down', 'bad']
  if (draining) return ['draining', 'warn']
  return resting ? ['resting', 'warn'] : ['up', 'ok']
}

function nameOf(name, address) {
  const code = make('code', {}, printable(address))
  return name === address ? code : make('span', {}, code, make('span.below', {}, printable(name)))
}
