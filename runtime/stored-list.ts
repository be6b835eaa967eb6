/**
 * The servers of `upstream_from_store` as text: a JSON list whose members are named as the parameters of `server`. Read
 * strictly, whoever wrote it: one mistake and none of it counts. Knows no store.
 *
 *   [{ "server": "10.0.0.1:8080", "weight": 2, "fail_timeout": "30s" }, { "server": "app.example.com", "backup": true }]
 */
import { isIP } from 'node:net'
import { parseTime } from './config/values.ts'
import type { ServerLine } from './upstream/name-source.ts'
import { SERVER_DEFAULTS, type ServerOptions } from './upstream/options.ts'
import { ipAddress, parseAddress } from './upstream/resolve.ts'

/** Servers of one list. */
export const MAX_STORED = 1000
/** Characters of one list. */
const MAX_TEXT = 1024 * 1024
/** As of numbers in the admin API. */
const MOST = 1_000_000_000

/** What is wrong with a list. */
export class StoredListError extends Error {}

/** One member: what is absent is the default. */
interface StoredServer {
  readonly server: string
  readonly weight?: number
  readonly max_conns?: number
  readonly max_fails?: number
  /** A time as in the configuration, or seconds. */
  readonly fail_timeout?: string | number
  readonly backup?: boolean
  readonly down?: boolean
  readonly drain?: boolean
  readonly route?: string
}

/** Names are followed; addresses stand as they are. @throws StoredListError */
export function readStoredList(text: string): ServerLine[] {
  if (text.length > MAX_TEXT) throw new StoredListError(`it is longer than ${MAX_TEXT} characters`)
  const list = parse(text)
  if (!Array.isArray(list)) throw new StoredListError('it is no list')
  if (list.length > MAX_STORED)
    throw new StoredListError(`it has ${list.length} servers, more than ${MAX_STORED}`)
  const lines = list.map(readServer)
  const seen = new Set<string>()
  for (const { name } of lines) {
    if (seen.has(name)) throw new StoredListError(`"${name}" is there twice`)
    seen.add(name)
  }
  return lines
}

/** @throws StoredListError for what cannot be in a list */
export function writeStoredList(servers: readonly ServerOptions[]): string {
  if (servers.length > MAX_STORED) throw new StoredListError(`there are more than ${MAX_STORED} servers`)
  const text = JSON.stringify(servers.map(writeServer))
  readStoredList(text)
  return text
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new StoredListError('it is no JSON')
  }
}

type Members = Readonly<Record<string, unknown>>

function readServer(value: unknown, index: number): ServerLine {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new StoredListError(`number ${index + 1} is no server`)
  const members = value as Members
  const { server: name } = members
  if (typeof name !== 'string') throw new StoredListError(`number ${index + 1} has no "server"`)
  for (const key of Object.keys(members))
    if (!KEYS.has(key))
      throw new StoredListError(`"${name.slice(0, 255)}" has an unknown member "${key.slice(0, 64)}"`)
  return {
    name,
    addresses: readAddresses(name),
    weight: readNumber(members, 'weight', 1, SERVER_DEFAULTS.weight),
    maxConns: readNumber(members, 'max_conns', 0, SERVER_DEFAULTS.maxConns),
    maxFails: readNumber(members, 'max_fails', 0, SERVER_DEFAULTS.maxFails),
    failTimeout: readFailTimeout(members),
    backup: readFlag(members, 'backup'),
    down: readFlag(members, 'down'),
    drain: readFlag(members, 'drain'),
    route: readRoute(members),
    resolve: true,
    service: '',
  }
}

const KEYS: ReadonlySet<string> = new Set<keyof StoredServer>([
  'server',
  'weight',
  'max_conns',
  'max_fails',
  'fail_timeout',
  'backup',
  'down',
  'drain',
  'route',
])

/** A socket is of one machine, and who may write to the store need not be let at it. */
function readAddresses(name: string): ServerOptions['addresses'] {
  try {
    const address = parseAddress(name, 80)
    if ('path' in address) throw new Error('a unix socket cannot be in a list that machines share')
    return isIP(address.host) === 0 ? [] : [ipAddress(address.host, address.port)]
  } catch (error) {
    throw new StoredListError((error as Error).message)
  }
}

function readNumber(members: Members, key: keyof StoredServer, least: number, absent: number): number {
  const value = members[key] ?? absent
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > MOST)
    throw wrong(members, key, `a whole number from ${least} to ${MOST}`)
  return value as number
}

function readFlag(members: Members, key: keyof StoredServer): boolean {
  const value = members[key] ?? false
  if (typeof value !== 'boolean') throw wrong(members, key, 'true or false')
  return value
}

function readFailTimeout(members: Members): number {
  const { fail_timeout: value } = members as { fail_timeout?: unknown }
  if (value === undefined) return SERVER_DEFAULTS.failTimeout
  const text = typeof value === 'number' ? String(value) : value
  const time = typeof text === 'string' ? parseTime(text, 's') : null
  if (time === null || time > MOST)
    throw wrong(members, 'fail_timeout', 'a time in whole seconds, such as "10s"')
  return time
}

function readRoute(members: Members): string {
  const value = members.route ?? ''
  if (typeof value !== 'string' || !/^[^\s\x00-\x1f\x7f;,"\\]{0,32}$/.test(value))
    throw wrong(members, 'route', 'at most 32 characters of a cookie')
  return value
}

function wrong({ server }: Members, key: keyof StoredServer, instead: string): StoredListError {
  return new StoredListError(`"${key}" of "${server}" is not ${instead}`)
}

/** What is the default is left out. */
function writeServer(server: ServerOptions): StoredServer {
  const { name, weight, maxConns, maxFails, failTimeout, backup, down, drain = false, route = '' } = server
  return {
    server: name,
    ...(weight === SERVER_DEFAULTS.weight ? {} : { weight }),
    ...(maxConns === SERVER_DEFAULTS.maxConns ? {} : { max_conns: maxConns }),
    ...(maxFails === SERVER_DEFAULTS.maxFails ? {} : { max_fails: maxFails }),
    ...(failTimeout === SERVER_DEFAULTS.failTimeout
      ? {}
      : { fail_timeout: `${Math.ceil(failTimeout / 1000)}s` }),
    ...(backup ? { backup } : {}),
    ...(down ? { down } : {}),
    ...(drain ? { drain } : {}),
    ...(route === '' ? {} : { route }),
  }
}
