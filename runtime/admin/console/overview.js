/** The head of the page: what the proxy is doing as a whole, and each of its processes. */
import { byId, make, rebuild, state, write } from './elements.js'
import { bytes, count, duration, plural, printable, rate } from './format.js'
import { Rates } from './rates.js'
import { Sparkline } from './sparkline.js'
import { Table } from './table.js'

export class Overview {
  #rates = new Rates()
  #curve = new Sparkline()
  #tiles
  #workers

  constructor() {
    const traffic = tile('Requests / s')
    traffic.element.classList.add('wide')
    traffic.element.append(this.#curve.element)
    this.#tiles = {
      traffic,
      connections: tile('Connections'),
      generation: tile('Generation'),
      uptime: tile('Uptime'),
      memory: tile('Memory'),
      store: tile('Store'),
    }
    byId('tiles').append(...Object.values(this.#tiles).map(({ element }) => element))
    this.#workers = new Table('Workers', this.#columns(), {
      key: ({ pid }) => String(pid),
      empty: 'No worker serves.',
    })
    byId('workers').append(this.#workers.element)
  }

  #columns() {
    const text = (title, of, kind = 'number') => ({ title, kind, show: (cell, one) => write(cell, of(one)) })
    return [
      text('Worker', ({ worker }) => `#${worker}`, 'head'),
      text('Process', ({ pid }) => String(pid)),
      { title: 'State', show: (cell, one) => rebuild(cell, one.state, () => [workerState(one)]) },
      text('Generation', ({ generation }) => String(generation)),
      text('Requests / s', ({ pid }) => rate(this.#rates.of(pid))),
      text('Connections', ({ connections }) => count(connections)),
      text('Memory', ({ memory }) => bytes(memory)),
      text('Uptime', ({ uptime }) => duration(uptime)),
    ]
  }

  show(status) {
    const { version, generation, uptime, pid, addresses, workers, restarts } = status
    this.#rates.look(workers, performance.now())
    this.#curve.show(this.#rates.curve)
    write(byId('release'), printable(version))
    const sum = (of) => workers.reduce((all, worker) => all + of(worker), 0)
    const { traffic, connections, generation: current, uptime: since, memory, store } = this.#tiles
    traffic.show(rate(this.#rates.all), `${count(sum((one) => one.requests))} in all`)
    const doing = ['reading', 'writing', 'waiting'].map((what) => `${count(sum((one) => one[what]))} ${what}`)
    connections.show(count(sum((one) => one.connections)), doing.join(', '))
    const live = Math.max(1, ...workers.map(({ liveGenerations }) => liveGenerations))
    current.show(
      String(generation),
      live === 1 ? 'alone in service' : `${plural(live - 1, 'earlier one')} still in use`,
    )
    const replaced = restarts === 0 ? '' : `, ${plural(restarts, 'worker')} replaced`
    since.show(duration(uptime), `process ${pid}${replaced}`)
    memory.show(bytes(sum((one) => one.memory)), plural(workers.length, 'worker'))
    store.show(...storeTexts(workers))
    this.#showAddresses(addresses)
    this.#workers.show(workers)
  }

  #showAddresses(addresses) {
    rebuild(byId('addresses'), addresses.join(' '), () => [
      addresses.length === 0 ? 'Listens nowhere' : 'Listens on ',
      ...addresses.flatMap((address, at) => [at === 0 ? '' : ', ', make('code', {}, printable(address))]),
    ])
  }
}

function tile(title) {
  const figure = make('p.figure', {}, '–')
  const about = make('p.about')
  const element = make('div.tile', {}, make('h3', {}, title), figure, about)
  return {
    element,
    show(text, more, tone = '') {
      write(figure, text)
      write(about, more)
      about.dataset.tone = tone
    },
  }
}

function workerState({ state: word }) {
  return state(word, word === 'serving' ? 'ok' : 'warn')
}

/** @returns figure, what stands below, tone */
function storeTexts(workers) {
  if (workers.length === 0) return ['–', '']
  const sum = (name) => workers.reduce((all, { store }) => all + store[name], 0)
  const [calls, errors, timeouts] = [sum('calls'), sum('errors'), sum('timeouts')]
  const shut = workers.filter(({ store }) => store.breaker !== 'closed').length
  const faults = errors + timeouts === 0 ? '' : `, ${count(errors)} errors, ${count(timeouts)} timeouts`
  const about = `${plural(calls, 'call')}${faults}`
  const { kind } = workers[0].store
  // A worker asks the memory of the supervisor.
  const name = kind === 'worker' ? 'memory' : kind
  if (shut === 0) return [name, about]
  return [name, `not asked for now by ${plural(shut, 'worker')}; ${about}`, 'warn']
}
