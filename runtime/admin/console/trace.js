/** What a dry run tells: the way of the request from step to step, where it ends, and how many go where. */
import { draw, make, state } from './elements.js'
import { micros, percent, plural, printable } from './format.js'
import { placeView } from './problem-view.js'

const TONES = { answer: 'info', peer: 'ok', redirect: 'info', failed: 'bad' }

export function traceView({ method, target, listen, loadLog = [], events, end, after, spread }) {
  const steps = [
    ...loadLog.map((line) => step('log', [printable(line)])),
    ...events.map(eventView),
    endView(end),
    ...after.map(eventView),
    ...(end.kind === 'peer' ? responseViews(end) : []),
  ]
  return make(
    'div.panel.trace',
    {},
    make('h3', {}, make('code', {}, printable(`${method} ${target}`))),
    make('p.about', {}, `Comes in at ${printable(listen)}`),
    make('ol', {}, ...steps),
    spread === undefined ? null : spreadView(spread),
  )
}

/** @param {(Node | string | null)[]} content */
function step(word, content, place = '') {
  return make(
    'li',
    {},
    make('span.word', {}, word),
    make('div.what', {}, ...content),
    make('span.where', {}, place),
  )
}

function eventView(event) {
  switch (event.kind) {
    case 'server':
      return step('server', [printable(event.name) || 'without a name'], placeOf(event.where))
    case 'location':
      return step('location', [make('code', {}, locationText(event))], placeOf(event.where))
    case 'uri':
      return step(
        'rewrite',
        [make('code', {}, printable(`${event.from} → ${event.to}`))],
        placeOf(event.where),
      )
    case 'redirect':
      return step('redirect', [make('code', {}, printable(event.to)), ` by ${printable(event.by)}`])
    case 'hook':
      return hookView(event)
    default:
      return step('log', [state(event.level, 'warn'), ' ', printable(event.message)])
  }
}

function placeOf({ file, line }) {
  return printable(`${file.split('/').at(-1)}:${line}`)
}

const MATCHES = { exact: '= ', priority: '^~ ', pattern: '~ ' }

function locationText({ match, name }) {
  return match === 'root' ? 'none' : printable(`${MATCHES[match] ?? ''}${name}`)
}

function hookView({
  phase,
  file,
  outcome,
  decision,
  micros: warm,
  firstMicros,
  awaited,
  touches,
  asked,
  fault,
}) {
  const cost = warm === null ? micros(firstMicros) : `${micros(warm)}, first call ${micros(firstMicros)}`
  const notes = [
    ...touches.map(({ what, value, change }) => make('li', {}, touchText(what, value, change))),
    ...asked.map(({ what, address }) =>
      make('li', {}, printable(`asks ${what}${address === null ? '' : ` → ${address}`}`)),
    ),
  ]
  const head = make(
    'p',
    {},
    state(printable(decision), TONES[outcome] ?? 'quiet'),
    make('span.quiet', {}, `, ${awaited ? 'waited, ' : ''}${cost}`),
  )
  return step(
    phase,
    [
      head,
      notes.length === 0 ? null : make('ul.notes', {}, ...notes),
      fault === null ? null : placeView(fault),
    ],
    printable(file.split('/').at(-1)),
  )
}

function touchText(what, value, change) {
  const word = change === 'add' ? 'adds' : `${change}s`
  const is = change === 'remove' ? '' : value === null ? ' (none)' : ` = ${JSON.stringify(value)}`
  return printable(`${word} ${what}${is}`)
}

function endView(end) {
  if (end.kind === 'closed')
    return step('end', [state('closed', 'warn'), ` without an answer, in step ${end.step}`])
  if (end.kind === 'answer') {
    const by =
      end.hook === null
        ? `in step ${end.step}`
        : `by ${end.hook.phase} of ${printable(end.hook.file.split('/').at(-1))}`
    const content = [
      state(String(end.status), end.status < 400 ? 'ok' : 'warn'),
      ` ${by}`,
      headView(end.head),
      ...end.body.map(bodyView),
    ]
    return step('answer', content)
  }
  const { address, name, group, method, key, hook, asked } = end
  const named = name === address ? '' : ` (${name})`
  const by =
    hook === null
      ? `by ${method}${key === null ? '' : ` of ${JSON.stringify(key)}`}`
      : `by the balancer hook${asked === null ? '' : `, which asked ${asked}`}`
  return step('peer', [
    state(printable(address), 'ok'),
    printable(`${named} of ${group}, ${by}`),
    headView(end.head),
  ])
}

function responseViews({ response, later }) {
  const views = later.length === 0 ? [] : [step('later', [later.join(', ')])]
  if (response === null) return views
  const cut = response.cut ? [state('cut before its end', 'bad')] : []
  return [step('response', [headView(response.head), ...response.body.map(bodyView), ...cut]), ...views]
}

function headView(head) {
  return make('pre', { tabindex: '0', 'aria-label': 'Head' }, head.trimEnd())
}

function bodyView(part) {
  if (part.bytes !== undefined) return make('p.quiet', {}, plural(part.bytes, 'byte'))
  return make('pre', { tabindex: '0', 'aria-label': 'Body' }, part.text)
}

function spreadView({ vary, places, count, settled, moves }) {
  const rows = Object.entries(places)
  const most = Math.max(1, ...rows.map(([, times]) => times))
  const bars = rows.map(([place, times]) =>
    make(
      'tr',
      {},
      make('th', { scope: 'row' }, printable(place)),
      make('td.number', {}, `${times}`),
      make('td.number', {}, percent(times, count)),
      make('td.wide', {}, bar(times / most)),
    ),
  )
  const moved = moves.map(({ address, change, moved: times, group }) =>
    make(
      'li',
      {},
      `${printable(address)} ${change === 'added' ? `added to ${printable(group)}` : 'lost'}: ${percent(times, count)} would go elsewhere`,
    ),
  )
  const unsettled = `The same ${vary} does not always reach the same server: there is nothing that could move.`
  return make(
    'div.spread',
    {},
    make('h4', {}, printable(`${plural(count, 'request')}, ${vary}=1 to ${count}`)),
    make('table', {}, make('tbody', {}, ...bars)),
    settled ? make('ul', {}, ...moved) : make('p', {}, printable(unsettled)),
  )
}

/** @param share from 0 to 1 */
function bar(share) {
  const rect = draw('rect', { width: (100 * share).toFixed(1), height: '10' })
  return draw(
    'svg.share',
    { viewBox: '0 0 100 10', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    rect,
  )
}
