/**
 * nginx's `state FILE`: the servers of a group as `server` lines, for the next time that the configuration is read. Writes
 * them; the reader is the configuration language itself (`config/directives-upstream.ts`).
 */
import { writeWhole } from '../lib/atomic-write.ts'
import { SERVER_DEFAULTS, type ServerOptions } from './options.ts'

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
