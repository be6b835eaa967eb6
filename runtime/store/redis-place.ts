/** Where a Redis keeps its keys, of its settings. Apart from the client, which is loaded only where there is a Redis. Pure. */
import type { RedisSettings } from './redis-connect.ts'

/** Whoever has the same one finds the same keys, by whatever name, password or certificate. */
export function placeOf({ mode, addresses, path, sentinel, database, prefix }: RedisSettings): string {
  return JSON.stringify([mode, path ?? addresses, sentinel ?? null, database, prefix])
}
