/**
 * A change of an upstream group's servers in all workers. All have the same servers, so one of them says what the change
 * comes to, or why it cannot be; then all are told the servers. Knows workers as handles alone.
 */
import type { UpstreamModel } from '../config/model.ts'
import type { ServerChange } from '../control.ts'
import type { ChannelError } from '../lib/channel.ts'
import { keepServers, type ServerChangeCode, ServerChangeError } from '../server-changes.ts'
import type { Address, ServerOptions } from '../upstream/options.ts'
import type { SharedMemory } from './shared-memory.ts'
import type { WorkerHandle } from './worker-handle.ts'

type Handle = Pick<WorkerHandle, 'channel' | 'expel'>

const CODES: ReadonlySet<string> = new Set<ServerChangeCode>(['absent', 'conflict', 'invalid', 'storage'])

/** One change of one group. */
export interface ServerAct {
  readonly model: UpstreamModel
  readonly change: ServerChange
  /** Of a server that is added. */
  readonly addresses: readonly Address[]
  /** Tells workers that join later. */
  readonly memory: Pick<SharedMemory, 'noteServers'>
}

/** Makes the change in all workers, or in none. @throws ServerChangeError, or Error when no worker lives */
export async function changeServers(crew: readonly Handle[], act: ServerAct): Promise<void> {
  const { model, change, addresses, memory } = act
  if (model.fromStore !== null) {
    await changeStored(crew, change, addresses)
    return
  }
  const servers = await planServers(crew, change, addresses)
  keepServers(model, servers)
  memory.noteServers(model.name, servers)
  await setServers(crew, model.name, servers)
}

/**
 * The servers of the group after the change.
 * @throws ServerChangeError, or Error when no worker lives to say
 */
export async function planServers(
  crew: readonly Handle[],
  change: ServerChange,
  addresses: readonly Address[],
): Promise<readonly ServerOptions[]> {
  return askOne(crew, 'plan servers', change, addresses)
}

/**
 * Changes servers that are kept in the store; one worker does so for all.
 * @throws ServerChangeError, or Error when no worker lives to do it
 */
export async function changeStored(
  crew: readonly Handle[],
  change: ServerChange,
  addresses: readonly Address[],
): Promise<void> {
  await askOne(crew, 'change stored', change, addresses)
  // The store tells them as well; whoever asks for the change may rely on it afterwards.
  await Promise.all(
    crew.map(({ channel }) =>
      channel.ask('look at stored', LOOK_TIMEOUT, change.group).catch(() => undefined),
    ),
  )
}

/** ms */
const LOOK_TIMEOUT = 1000

async function askOne<T>(crew: readonly Handle[], topic: string, ...args: readonly unknown[]): Promise<T> {
  for (const { channel } of crew) {
    try {
      return await channel.ask<T>(topic, Infinity, ...args)
    } catch (error) {
      const { code, message } = error as ChannelError
      if (CODES.has(code)) throw new ServerChangeError(code as ServerChangeCode, message)
      if (code !== 'closed') throw error
    }
  }
  throw new Error('no worker serves')
}

/** A worker that cannot is replaced by one that begins with these servers. */
export async function setServers(
  crew: readonly Handle[],
  group: string,
  servers: readonly ServerOptions[],
): Promise<void> {
  const told = crew.map((handle) =>
    handle.channel.ask('set servers', Infinity, group, servers).catch(() => handle.expel()),
  )
  await Promise.all(told)
}
