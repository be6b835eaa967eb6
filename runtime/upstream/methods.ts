/** Every balancing method by its name. */
import { pickConsistent } from './consistent-hash.ts'
import { pickHash } from './hash.ts'
import { pickIpHash } from './ip-hash.ts'
import { pickLeastConn } from './least-conn.ts'
import type { Method } from './options.ts'
import { pickRandom, pickRandomTwo } from './random.ts'
import { pickRoundRobin } from './round-robin.ts'
import type { Picker } from './search.ts'

export const METHODS: Readonly<Record<Method, Picker>> = {
  round_robin: pickRoundRobin,
  hash: pickHash,
  'hash consistent': pickConsistent,
  ip_hash: pickIpHash,
  least_conn: pickLeastConn,
  random: pickRandom,
  'random two': pickRandomTwo,
}

/** Methods beside which nginx allows no `backup` server. */
export const WITHOUT_BACKUP: ReadonlySet<Method> = new Set([
  'hash',
  'hash consistent',
  'ip_hash',
  'random',
  'random two',
])
