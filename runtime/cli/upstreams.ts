/** `sluice upstreams`: the servers of a running proxy, and changes of them. */

import { parseCount, parseTime } from '../config/values.ts'
import type { PeerStatus, ServerChoices, UpstreamStatus } from '../control.ts'
import { CLIENT_HELP, type ClientCommand, parseClientCommand, runClient, toJson } from './admin-client.ts'
import { ArgumentError } from './arguments.ts'
import type { Style } from './style.ts'
import { table } from './table.ts'

const HELP = `Usage: sluice upstreams list [UPSTREAM]
       sluice upstreams add UPSTREAM SERVER [weight=N] [backup] [down] [max_conns=N] [max_fails=N] [fail_timeout=TIME]
       sluice upstreams remove UPSTREAM SERVER
       sluice upstreams drain UPSTREAM SERVER
       sluice upstreams down UPSTREAM SERVER
       sluice upstreams up UPSTREAM SERVER
       sluice upstreams weight UPSTREAM SERVER N

  drain                : no new users; those who are bound to it stay
  up                   : neither down nor draining any more
${CLIENT_HELP}`

type Command = (given: ClientCommand, ...names: string[]) => Promise<string>

interface Row {
  readonly run: Command
  /** How many words, and which. */
  readonly names: readonly [least: number, most: number]
  readonly takes: string
}

const SERVER = 'UPSTREAM SERVER'
const PARAMETERS = 'weight=N, max_conns=N, max_fails=N, fail_timeout=TIME, backup or down'

const COMMANDS: Readonly<Record<string, Row>> = {
  list: { run: list, names: [0, 1], takes: '[UPSTREAM]' },
  add: {
    run: add,
    names: [2, Number.POSITIVE_INFINITY],
    takes: `${SERVER} and parameters, such as "chat 10.0.0.7:8080 weight=2"`,
  },
  remove: { run: remove, names: [2, 2], takes: SERVER },
  drain: { run: (given, ...names) => patch(given, names, { drain: true }), names: [2, 2], takes: SERVER },
  down: { run: (given, ...names) => patch(given, names, { down: true }), names: [2, 2], takes: SERVER },
  up: {
    run: (given, ...names) => patch(given, names, { down: false, drain: false }),
    names: [2, 2],
    takes: SERVER,
  },
  weight: { run: weigh, names: [3, 3], takes: `${SERVER} N` },
}
const GROUP = { name: '', peers: [] }

/** @returns exit code @throws ArgumentError */
export function manageUpstreams(args: readonly string[]): Promise<number> {
  const given = parseClientCommand('upstreams', args)
  return runClient(() => {
    if (given.help) return Promise.resolve(HELP)
    const [word = 'list', ...names] = given.words
    const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined
    if (command === undefined)
      throw new ArgumentError(`upstreams: "${word}" is not a command; see upstreams -h`)
    if (names.length < command.names[0] || names.length > command.names[1])
      throw new ArgumentError(`upstreams: ${word} takes ${command.takes}; see upstreams -h`)
    return command.run(given, ...names)
  })
}

const groupPath = (group: string): string => `/api/v1/upstreams/${encodeURIComponent(group)}`
const serverPath = (group: string, server: string): string =>
  `${groupPath(group)}/servers/${encodeURIComponent(server)}`

async function list({ client, json, style }: ClientCommand, group?: string): Promise<string> {
  if (group !== undefined) {
    const answer: UpstreamStatus = await client.get(groupPath(group), GROUP)
    return json ? toJson(answer) : showGroups([answer], style)
  }
  const answer: { upstreams: UpstreamStatus[] } = await client.get('/api/v1/upstreams', { upstreams: [] })
  if (json) return toJson(answer)
  return answer.upstreams.length === 0 ? 'no upstreams\n' : showGroups(answer.upstreams, style)
}

async function add(
  { client, json, style }: ClientCommand,
  group: string,
  server: string,
  ...words: string[]
) {
  const body = { server, ...readWords(words) }
  const answer: UpstreamStatus = await client.send('POST', `${groupPath(group)}/servers`, body, GROUP)
  return json ? toJson(answer) : showGroups([answer], style)
}

async function remove(
  { client, json, style }: ClientCommand,
  group: string,
  server: string,
): Promise<string> {
  await client.send('DELETE', serverPath(group, server), null)
  const answer: UpstreamStatus = await client.get(groupPath(group), GROUP)
  return json ? toJson(answer) : showGroups([answer], style)
}

async function patch(
  { client, json, style }: ClientCommand,
  [group, server]: readonly string[],
  choices: ServerChoices,
): Promise<string> {
  const answer: UpstreamStatus = await client.send('PATCH', serverPath(group, server), choices, GROUP)
  return json ? toJson(answer) : showGroups([answer], style)
}

function weigh(given: ClientCommand, group: string, server: string, weight: string): Promise<string> {
  return patch(given, [group, server], readWords([`weight=${weight}`]))
}

const NUMBERS = { weight: 'weight', max_conns: 'maxConns', max_fails: 'maxFails' } as const

/** Parameters as `server` has them. @throws ArgumentError */
function readWords(words: readonly string[]): ServerChoices {
  const choices: Record<string, number | boolean> = {}
  for (const word of words) {
    const [, name, text] = /^([a-z_]+)(?:=(.*))?$/.exec(word) ?? []
    if ((name === 'backup' || name === 'down' || name === 'drain') && text === undefined) {
      choices[name] = true
      continue
    }
    const key = name === 'fail_timeout' ? 'failTimeout' : NUMBERS[name as keyof typeof NUMBERS]
    const value = text === undefined ? null : name === 'fail_timeout' ? parseTime(text) : parseCount(text)
    if (key === undefined)
      throw new ArgumentError(`upstreams: "${word}" is no parameter of a server; write ${PARAMETERS}`)
    if (value === null)
      throw new ArgumentError(
        name === 'fail_timeout'
          ? `upstreams: "${word}" has no time; write one such as fail_timeout=10s`
          : `upstreams: "${word}" has no number; write one such as ${name}=2`,
      )
    choices[key] = value
  }
  return choices
}

function showGroups(groups: readonly UpstreamStatus[], style: Style): string {
  const heading = ['upstream', 'server', 'address', 'state', 'weight', 'connections', 'fails']
  const rows = groups.flatMap(({ name, peers }) => {
    if (peers.length === 0) return [[name, style.yellow('no servers'), '', '', '', '', '']]
    return peers.map((peer) => [
      name,
      peer.name,
      peer.address,
      stateOf(peer, style),
      String(peer.weight),
      String(peer.connections),
      String(peer.fails),
    ])
  })
  return table([heading, ...rows], style.dim)
}

function stateOf(peer: PeerStatus, { green, red, yellow }: Style): string {
  if (peer.down) return red('down')
  if (peer.draining) return yellow('draining')
  if (peer.resting) return yellow('resting')
  return green(peer.backup ? 'backup' : 'up')
}
