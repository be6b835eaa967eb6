/** What has been done, said in a corner and to screen readers; a refusal stays until it is put away. */
import { button, byId, make } from './elements.js'
import { problemView } from './problem-view.js'

/** ms that good news stay. */
const STAY = 6_000

export function say(text) {
  const message = make('div.message', { 'data-tone': 'ok' }, make('p', {}, text))
  byId('messages').append(message)
  setTimeout(() => message.remove(), STAY)
}

export function complain(error) {
  const away = button('×', () => message.remove(), { class: 'small', 'aria-label': 'Put this message away' })
  const message = make('div.message', { 'data-tone': 'bad' }, problemView(error), away)
  byId('messages').append(message)
}
