/**
 * Machines that share a Redis: what each serves, what the fleet has recorded, and the roll-outs that this page began. Also
 * what a change says beside itself where there is a fleet: who makes it, and whether this machine alone is meant.
 */
import { Problem } from './api.js'
import { inputOf } from './dialogs.js'
import { byId, make, rebuild, state, write } from './elements.js'
import { duration, plural, printable, share, short, time } from './format.js'
import { Table } from './table.js'

const AUTHOR = 'sluice-author'
/** Roll-outs that are shown. */
const MOST = 5

const TONES = {
  asked: 'quiet',
  ready: 'info',
  serving: 'ok',
  unused: 'quiet',
  refused: 'bad',
  failed: 'bad',
  away: 'warn',
  asking: 'info',
  recorded: 'info',
  done: 'ok',
}

export class Fleet {
  #api
  #on = false
  #rollouts = []
  #machines = new Table('Machines', MACHINES, {
    key: ({ machine, name }) => `${machine} ${name}`,
    empty: 'No machine is known yet.',
  })
  #recorded = new Table('Recorded versions', VERSIONS, {
    key: ({ name, at, kind, digest }) => `${name} ${at} ${kind} ${digest}`,
    empty: 'No versions are recorded yet.',
  })

  constructor(api) {
    this.#api = api
    byId('machines').append(this.#machines.element)
    byId('recorded').append(this.#recorded.element)
  }

  /** @returns what `show` takes; a program without fleets has none */
  async load() {
    try {
      const status = await this.#api.get('fleet')
      if (status.on) await this.#follow()
      return status
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      return error.status === 404 ? { on: false } : { on: true, error }
    }
  }

  show(status) {
    this.#on = status.on === true
    byId('fleet').hidden = !this.#on
    byId('fleet-link').hidden = !this.#on
    if (!this.#on) return
    const line = byId('fleet-line')
    const [text, tone] =
      status.error === undefined ? fleetText(status) : [printable(status.error.message), 'bad']
    rebuild(line, `${text} ${tone}`, () => [state(text, tone)])
    this.#showRollouts()
    if (status.error !== undefined) return
    this.#machines.show(status.machines.flatMap((one) => machineRows(one, status.machine)))
    this.#recorded.show(status.scripts.flatMap(versionRows))
  }

  /** Shows how a change goes on. @param rollout undefined: it is none of the fleet's */
  begin(rollout) {
    if (rollout === undefined) return
    this.#rollouts = [rollout, ...this.#rollouts.filter(({ id }) => id !== rollout.id)].slice(0, MOST)
    this.#showRollouts()
  }

  async #follow() {
    const isOver = ({ state: word, isForgotten }) => word === 'done' || word === 'refused' || isForgotten
    const next = async (one) => {
      try {
        return isOver(one) ? one : await this.#api.get(`rollouts/${encodeURIComponent(one.id)}`)
      } catch (error) {
        // What was seen last stands.
        return { ...one, isForgotten: error.status === 404 }
      }
    }
    this.#rollouts = await Promise.all(this.#rollouts.map(next))
  }

  #showRollouts() {
    rebuild(byId('rollouts'), JSON.stringify(this.#rollouts), () => this.#rollouts.map(rolloutView))
  }

  // ---- what a change says ----

  /** Fields of a dialog. */
  fields() {
    if (!this.#on) return []
    const more = { maxlength: 100 }
    return [
      { name: 'author', label: 'Your name', value: sessionStorage.getItem(AUTHOR) ?? '', more },
      { name: 'local', label: 'This machine only', type: 'checkbox' },
    ]
  }

  /** The same of a push, with a canary's share. */
  inputs() {
    const canary = [
      {
        name: 'canary',
        label: 'Canary, in %',
        type: 'number',
        more: { min: 0.01, max: 100, step: 0.01, placeholder: 'everybody' },
      },
      { name: 'key', label: 'by', more: { placeholder: 'address', spellcheck: 'false' } },
    ]
    const inputs = (this.#on ? [...this.fields(), ...canary] : []).map((field) => inputOf(field))
    return {
      element: make('div.inputs', {}, ...inputs.map(({ element }) => element)),
      read: () => Object.fromEntries(inputs.flatMap(({ read }) => read())),
    }
  }

  /** @param values of those fields @returns query and headers of the request */
  options({ author = '', local = false, canary, key }) {
    if (!this.#on) return { query: '', headers: {} }
    sessionStorage.setItem(AUTHOR, author)
    const query = new URLSearchParams()
    if (local) query.set('local', '1')
    if (canary !== undefined) query.set('canary', `${canary}%`)
    if (canary !== undefined && key !== undefined) query.set('key', key)
    const headers = author === '' ? {} : { 'X-Sluice-Author': utf8(author) }
    return { query: query.size === 0 ? '' : `?${query}`, headers }
  }
}

/** A header's value is bytes. */
function utf8(text) {
  return String.fromCharCode(...new TextEncoder().encode(text))
}

function fleetText({ machine, connected, signed, machines }) {
  if (!connected) return [`Redis cannot be reached; ${printable(machine)} serves what it has`, 'bad']
  const away = machines.filter((one) => one.away).length
  const drifting = machines.filter(({ drift }) => Object.keys(drift).length > 0).length
  const parts = [
    `${printable(machine)} is one of ${plural(machines.length, 'machine')}`,
    ...(away > 0 ? [`${away} away`] : []),
    drifting > 0 ? `${drifting} with another version than recorded` : 'all serve what is recorded',
    ...(signed ? ['versions are signed'] : []),
  ]
  return [parts.join(', '), away + drifting > 0 ? 'warn' : 'ok']
}

const text = (title, of, kind = '') => ({ title, kind, show: (cell, one) => write(cell, of(one)) })

const MACHINES = [
  {
    title: 'Machine',
    kind: 'head',
    show: (cell, { machine, own }) =>
      rebuild(cell, `${machine} ${own}`, () => [
        printable(machine),
        ...(own ? [make('span.quiet', {}, ' this one')] : []),
      ]),
  },
  {
    title: 'State',
    show: (cell, { away }) =>
      rebuild(cell, String(away), () => [away ? state('away', 'warn') : state('there', 'ok')]),
  },
  text('Seen', ({ seen }) => `${duration(Date.now() - seen)} ago`),
  text('Program', ({ version, pid }) => `${printable(version)}, process ${pid}`),
  text('Script', ({ name }) => printable(name)),
  {
    title: 'Version',
    show: (cell, { digest }) =>
      rebuild(cell, digest, () => [digest === '' ? '–' : make('code', { title: digest }, short(digest))]),
  },
  {
    title: 'Drift',
    show: (cell, { drift }) => rebuild(cell, drift, () => driftView(drift)),
  },
]

function driftView(why) {
  if (why === '') return ['none']
  return [state('another version', 'warn'), make('span.below', {}, printable(why))]
}

/** One for each script of a machine. */
function machineRows(one, self) {
  const { machine, scripts, drift } = one
  const names = [...new Set([...Object.keys(scripts), ...Object.keys(drift)])].sort()
  const row = (name) => ({
    ...one,
    own: machine === self,
    name,
    digest: Object.hasOwn(scripts, name) ? scripts[name] : '',
    drift: Object.hasOwn(drift, name) ? drift[name] : '',
  })
  return (names.length === 0 ? [''] : names).map(row)
}

const VERSIONS = [
  text('Script', ({ name }) => printable(name), 'head'),
  {
    title: 'Version',
    show: (cell, { digest }) => rebuild(cell, digest, () => [make('code', { title: digest }, short(digest))]),
  },
  { title: 'State', show: (cell, { word, tone }) => rebuild(cell, word, () => [state(word, tone)]) },
  text('By', ({ kind }) => kind),
  text('At', ({ at }) => time(at)),
  text('Author', ({ author }) => printable(author)),
]

function versionRows({ name, live, canary, earlier }) {
  return [
    { name, ...live, word: 'live', tone: 'ok' },
    ...(canary === null ? [] : [{ name, ...canary, word: `canary ${share(canary)}`, tone: 'info' }]),
    ...earlier.map((version) => ({ name, ...version, word: 'earlier', tone: 'quiet' })),
  ]
}

function rolloutView({ kind, name, digest, author, state: word, reason, machines }) {
  const title = `${kind} of ${printable(name)} ${short(digest)} by ${printable(author)}`
  const why = reason === '' ? null : make('p', {}, printable(reason))
  const items = machines.map((machine) =>
    make(
      'li',
      {},
      make('strong', {}, printable(machine.machine)),
      ' ',
      state(machine.state, TONES[machine.state] ?? 'quiet'),
      ' ',
      machineText(machine),
    ),
  )
  return make(
    'div.panel.rollout',
    {},
    make('p.title', {}, title, ' ', state(word, TONES[word] ?? (word === 'refused' ? 'bad' : 'quiet'))),
    why,
    make('ul', {}, ...items),
  )
}

function machineText({ state: word, reason, generation, took }) {
  if (word === 'serving') return `generation ${generation} after ${took.toFixed(1)} ms`
  if (word === 'away') return 'catches up when it is back'
  if (word === 'unused') return 'has no such script'
  return printable(reason)
}
