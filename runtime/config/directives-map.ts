/** Rows whose blocks compute variables: `map`, `geo`, `split_clients`. Their lines are data, not directives. */
import { type Directive, HTTP } from './directive.ts'
import { readCidr } from './directives-access.ts'
import type { Word } from './lexer.ts'
import type { Cidr, GeoModel, MapModel, Pattern, SplitClientsModel, Template } from './model.ts'
import type { Statement } from './reader.ts'
import type { Call, Run } from './scope.ts'
import { parseHostKey } from './server-name.ts'
import { literalTemplate } from './template.ts'
import { parsePercent } from './values.ts'

export const MAP_DIRECTIVES: readonly Directive[] = [
  { name: 'map', in: HTTP, args: '2', block: true, parse: parseMap },
  { name: 'geo', in: HTTP, args: '1-2', block: true, parse: parseGeo },
  { name: 'split_clients', in: HTTP, args: '2', block: true, parse: parseSplitClients },
]

/** The words of a line of data; null, and a problem, when there is a block or there are not two words. */
function readPair({ run, name }: Call, line: Statement): [Word, Word] | null {
  if (line.block) run.error(line.end, `unexpected "{" in "${name}"; write ";" at the end of the line`)
  else if (line.args.length === 1) return [line.name, line.args[0]!]
  else run.error(line.name.where, `invalid number of words in "${name}"; write a key and a value`)
  return null
}

function isOption(line: Statement, ...names: readonly string[]): boolean {
  return line.args.length === 0 && !line.block && names.includes(line.name.text)
}

/** A map while it is read. */
class MapDraft {
  hostnames = false
  volatile = false
  default: Template | null = null
  readonly exact: { key: string; value: Template }[] = []
  readonly wildcards: { key: string; value: Template }[] = []
  readonly patterns: { pattern: Pattern; value: Template }[] = []
  readonly #taken = new Set<string>()

  /** `ngx_http_map`: one line. */
  add(run: Run, key: Word, value: Template): void {
    if (key.text === 'default') {
      if (this.default) run.error(key.where, 'duplicate "default" in "map"; remove one')
      else this.default = value
    } else if (key.text.startsWith('~')) {
      const caseless = key.text.startsWith('~*')
      const pattern = run.pattern(key, key.text.slice(caseless ? 2 : 1), caseless)
      if (pattern) this.patterns.push({ pattern, value })
    } else {
      this.#addText(run, key, key.text.startsWith('\\') ? key.text.slice(1) : key.text, value)
    }
  }

  #addText(run: Run, word: Word, text: string, value: Template): void {
    const host = this.hostnames ? parseHostKey(text) : ({ kind: 'exact', name: text.toLowerCase() } as const)
    if (!host) {
      run.error(
        word.where,
        `invalid host name or wildcard "${word.text}"; write "*.example.com" or "example.*"`,
      )
      return
    }
    const taken = host.kind === 'both' ? [host.name.slice(1), `*${host.name}`] : [text.toLowerCase()]
    if (taken.some((key) => this.#taken.has(key))) {
      run.error(word.where, `conflicting parameter "${word.text}" in "map"; the same key stands above`)
      return
    }
    for (const key of taken) this.#taken.add(key)
    if (host.kind === 'exact') this.exact.push({ key: host.name, value })
    else this.wildcards.push({ key: text.toLowerCase(), value })
  }
}

function parseMap(call: Call): void {
  const { run, where } = call
  const [from, to] = call.args as [Word, Word]
  const source = run.template(from)
  const variable = run.defineVariable(to)
  const map = new MapDraft()
  for (const line of call.block) {
    if (isOption(line, 'hostnames')) map.hostnames = true
    else if (isOption(line, 'volatile')) map.volatile = true
    else {
      const pair = readPair(call, line)
      if (pair) map.add(run, pair[0], run.template(pair[1]))
    }
  }
  if (variable === null) return
  const { hostnames, volatile, exact, wildcards, patterns } = map
  const model: MapModel = {
    where,
    source,
    variable,
    hostnames,
    volatile,
    default: map.default,
    exact,
    wildcards,
    patterns,
  }
  run.http!.maps.push(model)
}

type Network = GeoModel['ranges'][number]

function parseGeo(call: Call): void {
  const { run, where } = call
  const variable = run.defineVariable(call.args.at(-1)!)
  const geo = {
    source: call.args.length === 2 ? readSource(call, call.args[0]!) : null,
    default: '',
    ranges: new Map<string, Network>(),
    proxies: [] as Cidr[],
    proxyRecursive: false,
  }
  for (const line of call.block) {
    if (isOption(line, 'proxy_recursive')) geo.proxyRecursive = true
    else if (isOption(line, 'ranges')) {
      run.error(line.name.where, '"ranges" is not built yet; write blocks such as "192.0.2.0/24"')
      return
    } else if (!isOption(line, 'volatile')) addGeoLine(call, line, geo)
  }
  if (variable !== null) run.http!.geos.push({ ...geo, where, variable, ranges: [...geo.ranges.values()] })
}

function readSource({ run }: Call, word: Word): string | null {
  if (!/^\$[A-Za-z0-9_]+$/.test(word.text)) {
    run.error(word.where, `invalid variable name "${word.text}"; write a variable, such as "$remote_addr"`)
    return null
  }
  const name = word.text.slice(1).toLowerCase()
  run.useVariable({ text: name, where: word.where })
  return name
}

interface GeoDraft {
  default: string
  readonly ranges: Map<string, Network>
  readonly proxies: Cidr[]
}

function addGeoLine(call: Call, line: Statement, geo: GeoDraft): void {
  const { run } = call
  const pair = readPair(call, line)
  if (!pair) return
  const [key, value] = pair
  if (key.text === 'default') {
    geo.default = value.text
    return
  }
  const isAction = key.text === 'proxy' || key.text === 'delete'
  const network = isAction ? value : key
  const cidr = readCidr(run, network, '')
  if (cidr?.kind !== 'ip') {
    if (cidr)
      run.error(network.where, `"${network.text}" is no network; write a block such as "192.0.2.0/24"`)
    return
  }
  if (key.text === 'proxy') return void geo.proxies.push(cidr)
  const id = `${cidr.bytes.join('.')}/${cidr.bits}`
  const before = geo.ranges.get(id)
  if (key.text === 'delete') {
    if (!geo.ranges.delete(id))
      run.notice(network.where, `no network "${network.text}" to delete; remove the line`)
    return
  }
  if (before)
    run.notice(
      key.where,
      `duplicate network "${key.text}": "${value.text}" replaces "${before.value}"; remove one`,
    )
  geo.ranges.set(id, { cidr, value: value.text })
}

/** All the parts together, in hundredths of a percent. */
const WHOLE = 10_000

/** Percentages become bounds in the space of a 32-bit hash, rounded as nginx rounds them. */
function parseSplitClients(call: Call): void {
  const { run, where } = call
  const [from, to] = call.args as [Word, Word]
  const source = run.template(from)
  const variable = run.defineVariable(to)
  const parts: SplitClientsModel['parts'][number][] = []
  let sum = 0
  let last = 0
  for (const line of call.block) {
    const pair = readPair(call, line)
    if (!pair) continue
    const [key, value] = pair
    const share = key.text === '*' ? WHOLE - sum : parsePercent(key.text)
    if (share === null || (share === 0 && key.text !== '*')) {
      run.error(key.where, `invalid percentage "${key.text}"; write one such as "0.5%", or "*" for the rest`)
      continue
    }
    sum += share
    if (sum > WHOLE) {
      run.error(key.where, 'the percentages add up to more than 100%')
      return
    }
    last += Math.floor((share * 0xffffffff) / WHOLE)
    const percent = key.text === '*' || sum === WHOLE ? null : last
    parts.push({ percent, value: literalTemplate(value.text, value.where) })
  }
  if (variable !== null) run.http!.splitClients.push({ where, source, variable, parts })
}
