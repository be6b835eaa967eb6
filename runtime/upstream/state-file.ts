/**
 * nginx's `state FILE`: the servers of a group as `server` lines, for the next time that the configuration is read. Writes
 * them, and knows whether somebody else has since; the reader is the configuration language itself
 * (`config/directives-upstream.ts`).
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { UpstreamModel } from '../config/model.ts'
import { writeWhole } from '../lib/atomic-write.ts'
import { systemPath } from '../lib/system-path.ts'
import { SERVER_DEFAULTS, type ServerOptions } from './options.ts'

/** A group that has a state file. */
type Kept = Pick<UpstreamModel, 'state' | 'stateDigest'>

/** Digests of what was written since the configuration was read. */
const written = new WeakMap<Kept, string>()

/** Somebody else has written or removed the file since it was last read or written here. @throws Error of the system */
export function isStateForeign(model: Kept): boolean {
  const known = written.get(model) ?? model.stateDigest
  return model.state !== null && digestAt(model.state) !== known
}

/** Writes the file of a group down. @throws Error of the system, and the file is as before */
export function updateState(model: Kept, servers: readonly ServerOptions[]): void {
  if (model.state === null) return
  writeState(model.state, servers)
  written.set(model, stateDigest(stateText(servers)))
}

/** Tells one content of a file from another. @param text byte string */
export function stateDigest(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex')
}

function digestAt(path: string): string | null {
  try {
    return stateDigest(readFileSync(systemPath(path), 'latin1'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** @param path byte string @throws Error of the system, and the file is as before */
export function writeState(path: string, servers: readonly ServerOptions[]): void {
  writeWhole(Buffer.from(path, 'latin1').toString('utf8'), Buffer.from(stateText(servers), 'latin1'))
}

/** As a byte string; what is nginx's default is left out. */
export function stateText(servers: readonly ServerOptions[]): string {
  return servers.map((server) => `${words(server).map(quoted).join(' ')};\n`).join('')
}

function words(server: ServerOptions): string[] {
  const { name, weight, maxConns, maxFails, failTimeout, route = '' } = server
  const all: (string | false)[] = [
    'server',
    name,
    weight !== SERVER_DEFAULTS.weight && `weight=${weight}`,
    maxConns !== SERVER_DEFAULTS.maxConns && `max_conns=${maxConns}`,
    maxFails !== SERVER_DEFAULTS.maxFails && `max_fails=${maxFails}`,
    failTimeout !== SERVER_DEFAULTS.failTimeout && `fail_timeout=${Math.ceil(failTimeout / 1000)}s`,
    route !== '' && `route=${route}`,
    server.backup && 'backup',
    server.down && 'down',
    server.drain === true && 'drain',
    server.resolve === true && 'resolve',
  ]
  return all.filter((word) => word !== false)
}

/** Only what the language reads as one plain word stands without quotes. */
function quoted(word: string): string {
  return /^[\w.:=/[\]-]+$/.test(word) ? word : `"${word.replace(/["\\]/g, '\\$&')}"`
}
