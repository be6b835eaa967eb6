/** A refusal of the API, shown with its places: file, line and column, and the line itself with a caret. */
import { make } from './elements.js'
import { printable } from './format.js'

/**
 * @param {Error} error a Problem, or why there was no answer
 * @param {{ onPlace?: ((problem: any) => void) | null }} options is offered each place; default: places are text alone
 */
export function problemView(error, { onPlace = null } = {}) {
  const { title = '', problems = [] } = error
  const told = problems.map((problem) => placeView(problem, onPlace))
  const isTold = problems.some(({ message }) => message !== '' && error.message.endsWith(message))
  const detail = isTold ? null : make('p', {}, printable(error.message))
  const heading = title === '' ? null : make('p.title', {}, `${sentence(title)}.`)
  return make('div.problem', { 'data-tone': 'bad' }, heading, detail, ...told)
}

/** One place and what is wrong there. */
export function placeView(problem, onPlace = null) {
  const { file, line, column, message, excerpt = '', severity = 'error', machine } = problem
  const text = line > 0 ? `${printable(file)}:${line}:${column}` : printable(file)
  const place = make('code.place', {}, text)
  const at =
    onPlace === null || line < 1
      ? place
      : make(
          'button.link',
          { type: 'button', click: () => onPlace(problem), title: 'Go to this line' },
          place,
        )
  const who = machine === undefined ? null : make('strong', {}, `${printable(machine)}: `)
  const kind = severity === 'error' ? null : make('em', {}, `${severity}: `)
  return make(
    'div.located',
    {},
    make('p', {}, who, at, ' ', kind, printable(message)),
    excerpt === '' ? null : make('pre.excerpt', { tabindex: '0', 'aria-label': 'The line' }, excerpt),
  )
}

export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
