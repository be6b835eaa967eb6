/** What scripts send to the Redis of their configuration (`sluice:redis`). */
import type { ScriptRedis } from './phases.ts'
import type { RedisStore } from './store/redis-store.ts'
import { StoreError } from './store/store.ts'
import type { StoreSet } from './stores.ts'

/** @returns undefined where the store is no Redis */
export function scriptRedis({ store, settings }: StoreSet): ScriptRedis | undefined {
  if (settings.store.kind !== 'redis') return undefined
  const { prefix, allowEval } = settings.store
  return {
    prefix,
    allowsEval: allowEval,
    send: (commands, atomic) =>
      store.kind === 'redis'
        ? (store as RedisStore).raw(commands, atomic)
        : noRedis('a dry run sends nothing to Redis'),
  }
}

/** Where scripts that use Redis are only tried out: they load, and their calls fail. */
export function absentRedis(reason: string): ScriptRedis {
  return { prefix: 'sluice:', allowsEval: true, send: () => noRedis(reason) }
}

async function noRedis(reason: string): Promise<never> {
  throw new StoreError('unavailable', reason)
}
