/**
 * Sends raw commands over a client that others use as well. Replies come as Redis gives them, bytes as bytes. What may
 * be sent is for `redis-commands.ts` to say, deadline and breaker are the store's.
 */
import { Cluster, Command, type Redis, ReplyError } from 'ioredis'
import type { RedisCommand, RedisReply } from '../phases.ts'

/** Such a server answers, but cannot do its work now: it is as good as away. */
const UNWELL = /^(LOADING|MASTERDOWN|CLUSTERDOWN|READONLY|BUSY|TRYAGAIN|MOVED|ASK|NOAUTH|NOREPLICAS)\b/

/**
 * @param atomic nothing comes between the commands (MULTI … EXEC); if one cannot even be queued, none is done
 * @returns one reply for each
 * @throws Error when the server does not answer, or is not well
 */
export async function sendRaw(
  redis: Redis | Cluster,
  commands: readonly RedisCommand[],
  atomic: boolean,
): Promise<RedisReply[]> {
  const made = commands.map(([name, ...words]) => commandOf(name, words))
  if (!atomic) return Promise.all(made.map((command) => replyTo(redis, command)))
  const server = redis instanceof Cluster ? masterOf(redis, made) : redis
  if ('refusal' in server) return made.map(() => server)
  // In one go: what others send comes before or after, on one connection.
  const all = [commandOf('MULTI', []), ...made, commandOf('EXEC', [])]
  const replies = await Promise.all(all.map((command) => replyTo(server, command))).catch((error) => {
    // Another node may have the slot now. Other commands are redirected by the client itself.
    if (redis instanceof Cluster) redis.refreshSlotsCache()
    throw error
  })
  const done = replies.at(-1)!
  if (Array.isArray(done)) return done
  return made.map((_, i) => (isRefusal(replies[i + 1]) ? replies[i + 1] : done))
}

/** In capitals, it is no command that the client rewrites arguments or replies of. */
function commandOf(name: string, words: readonly (string | Uint8Array)[]): Command {
  const args = words.map((word) => (typeof word === 'string' ? word : bufferOf(word)))
  return new Command(name, args, { replyEncoding: null })
}

async function replyTo(redis: Redis | Cluster, command: Command): Promise<RedisReply> {
  try {
    return replyOf(await redis.sendCommand(command))
  } catch (error) {
    const { message } = error as Error
    if (error instanceof ReplyError && !UNWELL.test(message)) return { refusal: message }
    throw error
  }
}

/** Errors stand among the replies of EXEC. */
function replyOf(reply: unknown): RedisReply {
  if (Array.isArray(reply)) return reply.map(replyOf)
  if (reply instanceof Error) return { refusal: reply.message }
  if (reply === null || typeof reply === 'number' || reply instanceof Uint8Array) return reply
  return bufferOf(String(reply))
}

export function isRefusal(reply: RedisReply): reply is { readonly refusal: string } {
  return reply !== null && typeof reply === 'object' && 'refusal' in reply
}

/** The one node that has the keys of all these commands. */
function masterOf(cluster: Cluster, commands: readonly Command[]): Redis | { readonly refusal: string } {
  const slots = new Set(
    commands.filter((command) => command.getKeys().length > 0).map((one) => one.getSlot()),
  )
  if (slots.size !== 1)
    return { refusal: 'CROSSSLOT all keys of a transaction belong to one slot of the cluster: use {tags}' }
  const [slot] = slots
  const address = cluster.slots[slot!]?.[0]
  const master = cluster.nodes('master').find(({ options }) => `${options.host}:${options.port}` === address)
  if (master === undefined) throw new Error('no node of the cluster has this slot')
  return master
}

function bufferOf(data: string | Uint8Array): Buffer {
  if (typeof data === 'string') return Buffer.from(data)
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength)
}
