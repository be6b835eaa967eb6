/** Rows that limit how often and how many at a time may come (limit_req and limit_conn modules). */
import {
  append,
  choice,
  type Directive,
  flag,
  HTTP,
  HTTP_LOCATION,
  invalidParameter,
  invalidValue,
} from './directive.ts'
import type { Word } from './lexer.ts'
import { LIMIT_LOG_LEVELS, type LimitReqModel, type LimitZoneModel } from './model.ts'
import type { Call } from './scope.ts'
import { parseCount, parseSize } from './values.ts'

export const LIMIT_DIRECTIVES: readonly Directive[] = [
  { name: 'limit_req_zone', in: HTTP, args: '3-4', parse: parseReqZone },
  { name: 'limit_req', in: HTTP_LOCATION, args: '1-4', parse: parseReq },
  statusOf('limit_req_status', 'limitReqStatus'),
  choice('limit_req_log_level', HTTP_LOCATION, 'limitReqLogLevel', LIMIT_LOG_LEVELS),
  flag('limit_req_dry_run', HTTP_LOCATION, 'limitReqDryRun'),
  { name: 'limit_conn_zone', in: HTTP, args: '2', parse: parseConnZone },
  { name: 'limit_conn', in: HTTP_LOCATION, args: '2', parse: parseConn },
  statusOf('limit_conn_status', 'limitConnStatus'),
  choice('limit_conn_log_level', HTTP_LOCATION, 'limitConnLogLevel', LIMIT_LOG_LEVELS),
  flag('limit_conn_dry_run', HTTP_LOCATION, 'limitConnDryRun'),
]

/** nginx: eight pages. */
const LEAST_SIZE = 32 * 1024
/** Beyond it, thousandths are no longer counted exactly. */
const MAX_RATE = 1_000_000_000
const MAX_CONNECTIONS = 65_535

type ZoneDraft = { -readonly [K in keyof LimitZoneModel]: LimitZoneModel[K] }

function parseReqZone(call: Call): void {
  const zone = newZone(call, 'req')
  for (const word of call.args.slice(1)) {
    if (word.text.startsWith('zone=')) readZone(call, word, zone)
    else if (word.text.startsWith('rate=')) readRate(call, word, zone)
    else if (word.text === 'sync') zone.sync = true
    else invalidParameter(call, word, '"zone=NAME:SIZE", "rate=NUMBERr/s" or "sync"')
  }
  addZone(call, zone)
}

function parseConnZone(call: Call): void {
  const zone = newZone(call, 'conn')
  const [, word] = call.args as [Word, Word]
  if (!word.text.startsWith('zone=')) {
    invalidParameter(call, word, '"zone=NAME:SIZE"')
    return
  }
  readZone(call, word, zone)
  addZone(call, zone)
}

function newZone(call: Call, kind: LimitZoneModel['kind']): ZoneDraft {
  const key = call.run.template(call.args[0]!)
  // Without a rate: one per second, as in nginx.
  return { where: call.where, kind, name: '', key, size: 0, rate: kind === 'req' ? 1000 : 0, sync: false }
}

function readZone(call: Call, word: Word, zone: ZoneDraft): void {
  const [, name = '', bytes = ''] = /^zone=([^:]+):(.*)$/s.exec(word.text) ?? []
  const size = parseSize(bytes)
  if (size === null) invalidParameter(call, word, 'a name and a size, such as "zone=one:10m"')
  else if (size < LEAST_SIZE)
    call.run.error(word.where, `zone "${name}" is too small; write a size from 32k on, such as "10m"`)
  zone.name = name
  zone.size = size ?? 0
}

/** As nginx: `r/s` may be left out, and thousandths of a request per second are cut off. */
function readRate(call: Call, word: Word, zone: ZoneDraft): void {
  const [, number = '', unit] = /^rate=([0-9]+)(r\/[sm])?$/.exec(word.text) ?? []
  const rate = parseCount(number)
  if (rate === null || rate === 0 || rate > MAX_RATE)
    invalidParameter(call, word, 'a number of requests, such as "rate=10r/s" or "rate=30r/m"')
  else zone.rate = Math.floor((rate * 1000) / (unit === 'r/m' ? 60 : 1))
}

function addZone(call: Call, zone: ZoneDraft): void {
  const http = call.run.http!
  const same = http.limitZones.find(({ name }) => name === zone.name)
  if (zone.name === '') {
    if (!call.args.some(({ text }) => text.startsWith('zone=')))
      call.run.error(call.where, `"${call.name}" needs a zone; write "zone=NAME:SIZE"`)
  } else if (same !== undefined) {
    const { name, key, where } = same
    call.run.error(
      call.where,
      `the zone "${name}" is bound to the key "${key.text}" already, in line ${where.line}; choose another name`,
    )
  } else http.limitZones = [...http.limitZones, zone]
}

function parseReq(call: Call): void {
  const limit: { -readonly [K in keyof LimitReqModel]: LimitReqModel[K] } = {
    where: call.where,
    zone: '',
    burst: 0,
    delay: 0,
    store: false,
  }
  for (const word of call.args) {
    const [, name = word.text, value = ''] = /^(zone|burst|delay)=(.+)$/s.exec(word.text) ?? []
    if (name === 'zone') limit.zone = value
    else if (name === 'burst') limit.burst = readRequests(call, word, value)
    else if (name === 'delay') limit.delay = readRequests(call, word, value)
    else if (name === 'nodelay') limit.delay = Number.POSITIVE_INFINITY
    else if (name === 'store') limit.store = true
    else invalidParameter(call, word, '"zone=NAME", "burst=N", "delay=N", "nodelay" or "store"')
  }
  if (limit.zone === '') call.run.error(call.where, '"limit_req" needs a zone; write "zone=NAME"')
  else if (isNew(call, call.scope.settings.limitReqs, limit.zone))
    append(call.scope.settings, 'limitReqs', limit)
}

function readRequests(call: Call, word: Word, text: string): number {
  const value = parseCount(text)
  if (value !== null && value > 0 && value <= MAX_RATE) return value
  invalidParameter(call, word, `a number of requests from 1 to ${MAX_RATE}`)
  return 0
}

function parseConn(call: Call): void {
  const [zone, number] = call.args as [Word, Word]
  const max = parseCount(number.text)
  if (max === null || max === 0 || max > MAX_CONNECTIONS)
    invalidValue(call, number, `a number of connections from 1 to ${MAX_CONNECTIONS}`)
  else if (isNew(call, call.scope.settings.limitConns, zone.text))
    append(call.scope.settings, 'limitConns', { where: call.where, zone: zone.text, max })
}

/** One zone, one limit of a block. */
function isNew(call: Call, limits: readonly { readonly zone: string }[] | undefined, zone: string): boolean {
  if (limits === undefined || limits.every((limit) => limit.zone !== zone)) return true
  call.run.error(call.where, `"${call.name}" of the zone "${zone}" is duplicate; remove one`)
  return false
}

function statusOf(name: string, key: 'limitReqStatus' | 'limitConnStatus'): Directive {
  return {
    name,
    in: HTTP_LOCATION,
    args: '1',
    once: true,
    parse: (call) => {
      const [word] = call.args as [Word]
      const status = parseCount(word.text)
      if (status === null || status < 400 || status > 599)
        invalidValue(call, word, 'a status from 400 to 599')
      else call.scope.settings[key] = status
    },
  }
}
