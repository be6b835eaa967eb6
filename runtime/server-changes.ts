/**
 * Changes of an upstream group's servers while they serve, as its operator asks for them: what the list of its servers is
 * to be afterwards, or why it cannot be that. Whoever asks puts the list into service, in one process or in many.
 */
import type { UpstreamModel } from './config/model.ts'
import type { ServerChange, ServerChoices } from './control.ts'
import type { LiveGroup } from './upstream/live-group.ts'
import { type Address, SERVER_DEFAULTS, type ServerOptions } from './upstream/options.ts'
import { resolveServer } from './upstream/resolve.ts'
import { isStateForeign, updateState } from './upstream/state-file.ts'
import type { Upstreams } from './upstreams.ts'

/**
 * `absent`: there is no such group or server. `conflict`: it cannot be done to the servers that there are. `invalid`: it
 * could be done to none. `storage`: it cannot be kept.
 */
export type ServerChangeCode = 'absent' | 'conflict' | 'invalid' | 'storage'

/** Why servers cannot be changed as asked, and what to do instead; nothing has changed. */
export class ServerChangeError extends Error {
  readonly code: ServerChangeCode

  constructor(code: ServerChangeCode, message: string) {
    super(message)
    this.code = code
  }
}

/** Servers of one group: more are no list that anybody keeps by hand. */
export const MAX_SERVERS = 10_000

/** The addresses of a server that is to be added; of another change: none. @throws ServerChangeError */
export async function addressesFor(change: ServerChange): Promise<readonly Address[]> {
  if (change.kind !== 'add') return []
  try {
    return await resolveServer(change.server, 80)
  } catch (error) {
    throw new ServerChangeError('invalid', (error as Error).message)
  }
}

/** The group of an `upstream` block, by its name in any case. @throws ServerChangeError */
export function groupNamed(upstreams: Upstreams, name: string): LiveGroup {
  const live = upstreams.named(name)?.live
  if (live === undefined) throw new ServerChangeError('absent', `there is no upstream "${name}"`)
  return live
}

/** The `upstream` block itself. @throws ServerChangeError */
export function modelNamed(models: readonly UpstreamModel[], group: string): UpstreamModel {
  const model = models.find(({ name }) => name.toLowerCase() === group.toLowerCase())
  if (model === undefined) throw new ServerChangeError('absent', `there is no upstream "${group}"`)
  return model
}

/** Writes the servers down where the group has a `state` file. To be done before they go into service. @throws ServerChangeError */
export function keepServers(model: UpstreamModel, servers: readonly ServerOptions[]): void {
  const { name, state } = model
  if (state === null) return
  const apart = servers.find((server) => server.apart !== undefined)
  if (apart !== undefined)
    throw new ServerChangeError(
      'conflict',
      `upstream "${name}" keeps its servers by name; change "${apart.name}", which is all its addresses`,
    )
  let isForeign: boolean
  try {
    isForeign = isStateForeign(model)
    if (!isForeign) updateState(model, servers)
  } catch (error) {
    throw new ServerChangeError(
      'storage',
      `the state of upstream "${name}" cannot be written: ${(error as Error).message}`,
    )
  }
  // Neither the hand's edit nor this change would be whole.
  if (isForeign)
    throw new ServerChangeError(
      'conflict',
      `the state file of upstream "${name}" was changed by hand or removed; reload first`,
    )
}

/** What was done, for the error log. */
export function describeChange(change: ServerChange): string {
  const { kind, group, server } = change
  const done = { add: 'added', patch: 'changed', remove: 'removed' } as const
  const options = kind === 'remove' ? [] : Object.entries(change.options)
  const choices = options.map(([name, value]) => `${name}=${value}`).join(' ')
  return `admin API: upstream "${group}": server "${server}" ${done[kind]}${choices && `: ${choices}`}`
}

/**
 * The servers of a group after a change.
 * @param addresses of a server that is added
 * @throws ServerChangeError
 */
export function plannedServers(
  live: LiveGroup,
  change: ServerChange,
  addresses: readonly Address[],
): readonly ServerOptions[] {
  const servers = listAfter(live, change, addresses)
  if (!live.allowsEmpty && !servers.some(({ backup }) => !backup))
    throw new ServerChangeError(
      'conflict',
      `"${change.server}" is the last server of upstream "${live.name}"`,
    )
  try {
    live.check(servers)
  } catch (error) {
    throw new ServerChangeError('invalid', (error as Error).message)
  }
  return servers
}

function listAfter(live: LiveGroup, change: ServerChange, addresses: readonly Address[]): ServerOptions[] {
  switch (change.kind) {
    case 'add':
      return withServer(live, { ...SERVER_DEFAULTS, ...change.options, name: change.server, addresses })
    case 'remove': {
      const found = find(live, change.server)
      if (found.single !== null)
        throw partOf(live, found, 'remove that, or take this address out of it with "down"')
      return live.servers.filter((server) => !found.servers.includes(server))
    }
    case 'patch':
      return patched(live, change.server, change.options)
  }
}

function withServer({ name, servers }: LiveGroup, server: ServerOptions): ServerOptions[] {
  if (servers.length >= MAX_SERVERS)
    throw new ServerChangeError('conflict', `upstream "${name}" has ${MAX_SERVERS} servers already`)
  for (const other of servers) {
    const isThere = other.addresses.some(({ text }) => server.addresses.some((one) => one.text === text))
    if (other.name !== server.name && !isThere) continue
    const as = other.name === server.name ? '' : `, as "${other.name}"`
    throw new ServerChangeError('conflict', `upstream "${name}" has the server "${server.name}" already${as}`)
  }
  return [...servers, server]
}

function patched(live: LiveGroup, server: string, options: ServerChoices): ServerOptions[] {
  const found = find(live, server)
  if (found.single === null)
    return live.servers.map((one) => (found.servers.includes(one) ? changed(one, options) : one))
  const { down, drain, ...others } = options
  const [other] = Object.keys(others)
  if (other !== undefined)
    throw partOf(live, found, `change "${other}" there; an address has "down" and "drain"`)
  const address = found.single
  return live.servers.map((one) => {
    if (!found.servers.includes(one)) return one
    return {
      ...one,
      apart: { ...one.apart, [address]: { ...one.apart?.[address], ...given({ down, drain }) } },
    }
  })
}

/** What is said of the name holds for all its addresses. */
function changed(server: ServerOptions, options: ServerChoices): ServerOptions {
  const { apart = {}, ...rest } = server
  const kept = Object.entries(apart).flatMap(([address, own]) => {
    const down = options.down === undefined ? own.down : undefined
    const drain = options.drain === undefined ? own.drain : undefined
    return down === undefined && drain === undefined ? [] : [[address, given({ down, drain })] as const]
  })
  const next = { ...rest, ...given(options) }
  return kept.length === 0 ? next : { ...next, apart: Object.fromEntries(kept) }
}

type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> }

/** Without what is undefined. */
function given<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>
}

interface Found {
  readonly servers: readonly ServerOptions[]
  /** The address that was named, where it is one of several; null: the servers themselves are meant. */
  readonly single: string | null
}

/** By name, or by address. */
function find({ name, servers }: LiveGroup, server: string): Found {
  const named = servers.filter((one) => one.name === server)
  if (named.length > 0) return { servers: named, single: null }
  const found = servers.filter(({ addresses }) => addresses.some(({ text }) => text === server))
  if (found.length === 0)
    throw new ServerChangeError('absent', `upstream "${name}" has no server "${server}"`)
  return { servers: found, single: found.every(({ addresses }) => addresses.length === 1) ? null : server }
}

function partOf(live: LiveGroup, { servers, single }: Found, instead: string): ServerChangeError {
  const names = servers.map(({ name }) => `"${name}"`).join(' and ')
  return new ServerChangeError(
    'conflict',
    `"${single}" is one of the addresses of ${names} in upstream "${live.name}"; ${instead}`,
  )
}
