/** Rows of the top level and of `events`: the process, its files, and the blocks everything else stands in. */
import { type Directive, invalidValue, parseFlag, readCount, readTime } from './directive.ts'
import type { Word } from './lexer.ts'
import { type Call, openScope } from './scope.ts'
import { parseCount } from './values.ts'

export const MAIN_DIRECTIVES: readonly Directive[] = [
  { name: 'events', in: ['main'], args: 'none', block: true, once: true, parse: parseEvents },
  { name: 'http', in: ['main'], args: 'none', block: true, once: true, parse: parseHttp },
  { name: 'daemon', in: ['main'], args: '1', once: true, parse: flagOf('daemon') },
  { name: 'master_process', in: ['main'], args: '1', once: true, parse: flagOf('masterProcess') },
  { name: 'pid', in: ['main'], args: '1', once: true, parse: parsePid },
  { name: 'env', in: ['main'], args: '1', parse: parseEnv },
  { name: 'worker_processes', in: ['main'], args: '1', once: true, parse: parseWorkerProcesses },
  { name: 'worker_shutdown_timeout', in: ['main'], args: '1', once: true, parse: parseShutdownTimeout },
  { name: 'worker_connections', in: ['events'], args: '1', once: true, parse: parseWorkerConnections },
  // Anywhere; with one argument the reader has put the file's statements in its place already.
  {
    name: 'include',
    in: [
      'main',
      'events',
      'http',
      'server',
      'location',
      'if in server',
      'if in location',
      'limit_except',
      'upstream',
    ],
    args: '1',
    parse: () => {},
  },
]

function parseEvents(call: Call): void {
  call.run.interpret(call.block, openScope(call.scope, { context: 'events' }))
}

function parseHttp(call: Call): void {
  const { run } = call
  run.http = {
    where: call.where,
    settings: {},
    servers: [],
    upstreams: [],
    maps: [],
    splitClients: [],
    geos: [],
    logFormats: [],
    scriptWatch: true,
    scriptGenerations: 10,
    store: { kind: 'memory', size: 64 * 1024 * 1024 },
    storeTimeout: 50,
    sessionMaps: [],
    limitZones: [],
    admin: null,
    scriptFleet: { where: call.where, on: true, name: null, state: null },
    scriptSignKey: null,
  }
  run.interpret(call.block, openScope(call.scope, { context: 'http', settings: run.http.settings }))
}

function flagOf(key: 'daemon' | 'masterProcess'): (call: Call) => void {
  return (call) => {
    const value = parseFlag(call, call.args[0]!)
    if (value !== null) call.run.main[key] = value
  }
}

function parsePid({ run, args }: Call): void {
  run.main.pid = run.prefixed(args[0]!.text)
}

function parseEnv(call: Call): void {
  const [word] = call.args as [Word]
  if (!/^[^=]+/.test(word.text)) {
    invalidValue(call, word, '"NAME" or "NAME=value"')
    return
  }
  call.run.main.env = [...(call.run.main.env ?? []), word.text]
}

function parseWorkerProcesses(call: Call): void {
  const [word] = call.args as [Word]
  const number = word.text === 'auto' ? 'auto' : parseCount(word.text)
  if (number === null || number === 0) {
    invalidValue(call, word, 'a number above 0 or "auto"')
    return
  }
  call.run.main.workerProcesses = number
}

function parseShutdownTimeout(call: Call): void {
  const value = readTime(call, call.args[0]!)
  if (value !== null) call.run.main.workerShutdownTimeout = value
}

function parseWorkerConnections(call: Call): void {
  const value = readCount(call, call.args[0]!)
  if (value !== null) call.run.main.workerConnections = value
}
