/** Rows of what holds for a WebSocket whose messages hooks read: sizes, queues, pings, its end, another upstream. */
import {
  type Directive,
  flag,
  HTTP_LOCATION,
  invalidParameter,
  parseFlag,
  readOffset,
  readTime,
} from './directive.ts'
import type { Settings } from './model.ts'
import type { Call } from './scope.ts'
import { parseCount } from './values.ts'

/** Larger messages do not fit into one buffer everywhere. */
const MOST_BYTES = 1024 * 1024 * 1024
const MOST_TRIES = 1000
const DEFAULT_TRIES = 3

export const WEB_SOCKET_DIRECTIVES: readonly Directive[] = [
  flag('ws_permessage_deflate', HTTP_LOCATION, 'wsPermessageDeflate'),
  positive('ws_max_message_size', 'wsMaxMessageSize'),
  positive('ws_send_queue', 'wsSendQueue'),
  { name: 'ws_close_timeout', in: HTTP_LOCATION, args: '1', once: true, parse: parseCloseTimeout },
  { name: 'ws_ping_interval', in: HTTP_LOCATION, args: '1', once: true, parse: parsePingInterval },
  { name: 'ws_reconnect', in: HTTP_LOCATION, args: '1-2', once: true, parse: parseReconnect },
]

/** A size above 0. */
function positive(name: string, key: 'wsMaxMessageSize' | 'wsSendQueue'): Directive {
  const parse = (call: Call): void => {
    const word = call.args[0]!
    const value = readOffset(call, word)
    if (value === null) return
    if (value > 0 && value <= MOST_BYTES) call.scope.settings[key] = value
    else call.run.error(word.where, `invalid value "${word.text}" in "${name}"; write a size from 1 to 1g`)
  }
  return { name, in: HTTP_LOCATION, args: '1', once: true, parse }
}

function parseCloseTimeout(call: Call): void {
  const word = call.args[0]!
  const value = readTime(call, word)
  if (value === 0)
    call.run.error(word.where, `invalid value "${word.text}" in "${call.name}"; write a time above 0`)
  else if (value !== null) call.scope.settings.wsCloseTimeout = value
}

/** 0: no pings. */
function parsePingInterval(call: Call): void {
  const value = readTime(call, call.args[0]!)
  if (value !== null) call.scope.settings.wsPingInterval = value
}

/** `on [tries=N]`, `off` */
function parseReconnect(call: Call): void {
  const [first, second] = call.args
  const on = parseFlag(call, first!)
  if (on === null) return
  const settings: Settings = call.scope.settings
  settings.wsReconnectTries = on ? DEFAULT_TRIES : 0
  if (second === undefined) return
  const tries = on && second.text.startsWith('tries=') ? parseCount(second.text.slice(6)) : null
  if (tries === null || tries < 1 || tries > MOST_TRIES)
    invalidParameter(call, second, on ? `"tries=N" with N from 1 to ${MOST_TRIES}` : 'nothing behind "off"')
  else settings.wsReconnectTries = tries
}
