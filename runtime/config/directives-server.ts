/** Rows of servers and locations: the blocks, their addresses and names, and what a location answers by itself. */
import { type Directive, HTTP } from './directive.ts'
import type { Word } from './lexer.ts'
import { implicitListen, parseListen } from './listen.ts'
import type { LocationContent, LocationMatch, LocationModel, Settings } from './model.ts'
import { type Call, openScope, type ServerDraft } from './scope.ts'
import { emptyName, parseServerNames } from './server-name.ts'

export const SERVER_DIRECTIVES: readonly Directive[] = [
  { name: 'server', in: HTTP, args: 'none', block: true, parse: parseServer },
  { name: 'listen', in: ['server'], args: '1+', parse: parseListen },
  { name: 'server_name', in: ['server'], args: '1+', parse: parseServerNames },
  { name: 'location', in: ['server', 'location'], args: '1-2', block: true, parse: parseLocation },
  { name: 'limit_except', in: ['location'], args: '1+', block: true, once: true, parse: parseLimitExcept },
  { name: 'internal', in: ['location'], args: 'none', once: true, parse: contentFlag('internal') },
  { name: 'stub_status', in: ['location'], args: '0-1', parse: contentFlag('stubStatus') },
  { name: 'empty_gif', in: ['location'], args: 'none', parse: contentFlag('emptyGif') },
]

function parseServer(call: Call): void {
  const { run, where } = call
  const server: ServerDraft = { where, listens: [], names: [], settings: {}, rules: [], locations: [] }
  const { settings, rules, locations } = server
  run.interpret(call.block, openScope(call.scope, { context: 'server', server, settings, rules, locations }))
  if (server.listens.length === 0 && !call.block.some((statement) => statement.name.text === 'listen')) {
    server.listens.push(implicitListen(where))
  }
  if (server.names.length === 0) server.names.push(emptyName(where))
  run.http!.servers.push(server)
}

function parseLocation(call: Call): void {
  const match = readMatch(call)
  if (!match || !fitsInside(call, match)) return
  const location: LocationModel = {
    where: call.where,
    match,
    settings: {},
    rules: [],
    locations: [],
    content: {},
  }
  call.scope.locations.push(location)
  const { settings, rules, locations, content } = location
  const inner = openScope(call.scope, { context: 'location', match, settings, rules, locations, content })
  call.run.interpret(call.block, inner)
}

const MODIFIERS: readonly (readonly [sign: string, kind: LocationMatch['kind'], caseless: boolean])[] = [
  ['=', 'exact', false],
  ['^~', 'priority', false],
  ['~*', 'pattern', true],
  ['~', 'pattern', false],
]

/** `location [=|^~|~|~*] NAME`; the modifier may also stick to the name. */
function readMatch(call: Call): LocationMatch | null {
  const [first, second] = call.args as [Word, Word?]
  const modifier = second
    ? MODIFIERS.find(([sign]) => sign === first.text)
    : MODIFIERS.find(([sign]) => first.text.startsWith(sign))
  if (second && !modifier) {
    call.run.error(first.where, `invalid location modifier "${first.text}"; write "=", "^~", "~" or "~*"`)
    return null
  }
  const name = second ?? first
  const path = second || !modifier ? name.text : name.text.slice(modifier[0].length)
  if (!modifier) return { kind: path.startsWith('@') ? 'named' : 'prefix', path, pattern: null }
  const [, kind, caseless] = modifier
  if (kind !== 'pattern') return { kind, path, pattern: null }
  const pattern = call.run.pattern(name, path, caseless)
  return pattern && { kind, path, pattern }
}

/** The rules of nested locations (`ngx_http_core_location`). */
function fitsInside({ run, scope, args }: Call, match: LocationMatch): boolean {
  const outer = scope.match
  if (scope.context !== 'location' || !outer) return true
  const { where } = args.at(-1)!
  if (outer.kind === 'exact' || outer.kind === 'named') {
    const what = outer.kind === 'exact' ? 'the exact' : 'the named'
    run.error(
      where,
      `location "${match.path}" cannot be inside ${what} location "${outer.path}"; write it beside it`,
    )
    return false
  }
  if (match.kind === 'named') {
    run.error(
      where,
      `the named location "${match.path}" can be on the server level only; write it outside "${outer.path}"`,
    )
    return false
  }
  if (match.kind === 'pattern' || match.path.startsWith(outer.path)) return true
  run.error(
    where,
    `location "${match.path}" is outside location "${outer.path}"; begin its name with "${outer.path}"`,
  )
  return false
}

const METHODS: readonly string[] =
  'GET HEAD POST PUT DELETE MKCOL COPY MOVE OPTIONS PROPFIND PROPPATCH LOCK UNLOCK PATCH'.split(' ')

function parseLimitExcept(call: Call): void {
  const methods = new Set<string>()
  for (const word of call.args) {
    const method = word.text.toUpperCase()
    if (METHODS.includes(method)) methods.add(method)
    else call.run.error(word.where, `invalid method "${word.text}"; write one of ${METHODS.join(', ')}`)
  }
  if (methods.has('GET')) methods.add('HEAD')
  const settings: Settings = {}
  const content: LocationContent = {}
  call.scope.content.limitExcept = { methods: [...methods], settings, content }
  call.run.interpret(call.block, openScope(call.scope, { context: 'limit_except', settings, content }))
}

function contentFlag(key: 'internal' | 'stubStatus' | 'emptyGif'): (call: Call) => void {
  return (call) => {
    call.scope.content[key] = true
  }
}
