/** The row of the admin API: where it listens (`admin`), and what whoever talks to it has to know. */
import { isLoopback } from '../lib/loopback.ts'
import { type Directive, HTTP, invalidParameter } from './directive.ts'
import type { Word } from './lexer.ts'
import type { AdminModel } from './model.ts'
import { decodeBytes } from './problems.ts'
import type { Call, Draft } from './scope.ts'
import { parseEndpoint } from './values.ts'

export const ADMIN_DIRECTIVES: readonly Directive[] = [
  { name: 'admin', in: HTTP, args: '1+', once: true, parse: parseAdmin },
]

const ADDRESS = '"127.0.0.1:PORT", "[::1]:PORT", "PORT" (of 127.0.0.1) or "unix:PATH"'
const PARAMETERS = '"token_file=FILE" or "host=NAME"'

/** `admin ADDRESS [token_file=FILE] [host=NAME]…;` */
function parseAdmin(call: Call): void {
  const { run, where } = call
  const [word, ...parameters] = call.args as [Word, ...Word[]]
  const address = readAddress(word.text)
  if (address === null) {
    run.error(word.where, `invalid address "${word.text}" in "admin"; write ${ADDRESS}`)
    return
  }
  const admin: Draft<AdminModel> = { where, address, tokenFile: null, hosts: [] }
  for (const parameter of parameters) readParameter(call, parameter, admin)
  if ('host' in address && !isLoopback(address.host) && admin.tokenFile === null) {
    run.error(
      word.where,
      `"admin ${word.text}" can be reached from other machines; add "token_file=FILE", or listen on 127.0.0.1`,
    )
    return
  }
  run.http!.admin = admin
}

function readAddress(text: string): AdminModel['address'] | null {
  const endpoint = parseEndpoint(text, { listen: true })
  if (typeof endpoint === 'string') return null
  if (endpoint.kind === 'unix') return { path: decodeBytes(endpoint.path) }
  const { host, port, lastPort } = endpoint
  if (port === null || lastPort !== null) return null
  // A port alone is every address for `listen`; here it is what is safe.
  if (/^\d+$/.test(text)) return { host: '127.0.0.1', port }
  if (/^localhost$/i.test(host)) return { host: '127.0.0.1', port }
  return /^[\d.]+$|:/.test(host) ? { host, port } : null
}

function readParameter(call: Call, word: Word, admin: Draft<AdminModel>): void {
  const [, name, value = ''] = /^([a-z_]+)=(.+)$/s.exec(word.text) ?? []
  if (name === 'token_file') {
    admin.tokenFile = decodeBytes(call.run.besideConfig(value))
  } else if (name === 'host' && /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(value)) {
    admin.hosts = [...admin.hosts, value.toLowerCase()]
  } else invalidParameter(call, word, PARAMETERS)
}
