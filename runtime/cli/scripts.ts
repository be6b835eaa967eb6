/** `sluice scripts`: what a running proxy serves by, and another version of it, on this machine or on all of its fleet. */
import { basename, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parsePercent } from '../config/values.ts'
import type { Rollout } from '../fleet/fleet.ts'
import type { ScriptStatus } from '../script-registry.ts'
import type { SwapResult } from '../swap.ts'
import {
  CLIENT_HELP,
  type ClientCommand,
  parseClientCommand,
  readScript,
  runClient,
  type Told,
  toJson,
} from './admin-client.ts'
import { ArgumentError } from './arguments.ts'
import { authorField } from './author.ts'
import { type FleetAnswer, fleetReport } from './fleet-report.ts'
import { concludeRollout, RolloutProgress } from './rollout-progress.ts'
import { mebibytes, table } from './table.ts'

const HELP = `Usage: sluice scripts list
       sluice scripts show NAME
       sluice scripts push FILE [NAME] [--canary SHARE [--key TEXT]] [--wait] [--local] [--author NAME]
       sluice scripts rollback [NAME] [--wait] [--local] [--author NAME]
       sluice scripts promote NAME [--wait] [--local] [--author NAME]
       sluice scripts remove NAME [--wait] [--local] [--author NAME]
       sluice scripts adopt NAME
       sluice scripts fleet

  list                 : every script that serves, and every version that is kept from serving
  show                 : the text that serves
  push                 : the proxy loads FILE in place of the script NAME (default: the one of its name), writes it
                         down and serves by it; or it refuses it, and nothing changes
  rollback             : back to the version before; without a name, all scripts of this machine
  promote              : a canary serves everybody
  remove               : ends a canary, or what runs in the shadow
  adopt                : what the fleet has recorded takes the place of what this machine alone has, which is kept
                         beside the script
  fleet                : machines that share a Redis, what each serves, and the versions recorded there

  On a fleet a change is made on all machines, or on none that could not load it.

  --canary share       : beside the script, for a share of the keys, such as 5%
  --key text           : what tells keys apart, such as '$arg_userId' (default: the client's address)
  --wait               : until every machine has changed, with a line for each
  --local              : this machine alone, whatever the fleet has recorded
  --author name        : who makes the change (default: user@host)
${CLIENT_HELP}`

/** ms between two looks at a roll-out, and how long it is followed. */
const LOOK = 50
const MAX_FOLLOW = 60_000

const OPTIONS = {
  canary: { type: 'string' },
  key: { type: 'string' },
  wait: { type: 'boolean' },
  local: { type: 'boolean' },
  author: { type: 'string' },
} as const
const CHANGING = ['wait', 'local', 'author']

type Listed = ScriptStatus & { readonly name: string }
type Swapped = SwapResult & { readonly file: string | null; readonly digest: string | null }
type Changed = Swapped & { readonly rollout?: Rollout }
type Adopted = Swapped & { readonly kept: readonly string[] }
type Command = (given: ClientCommand, ...names: string[]) => Promise<string | Told>

interface Row {
  readonly run: Command
  /** How many words, and which. */
  readonly names: readonly [least: number, most: number]
  readonly takes: string
  readonly options?: readonly string[]
}

const COMMANDS: Readonly<Record<string, Row>> = {
  list: { run: list, names: [0, 0], takes: 'no words' },
  show: { run: show, names: [1, 1], takes: 'NAME' },
  push: { run: push, names: [1, 2], takes: 'FILE [NAME]', options: ['canary', 'key', ...CHANGING] },
  rollback: { run: rollback, names: [0, 1], takes: '[NAME]', options: CHANGING },
  promote: { run: promote, names: [1, 1], takes: 'NAME', options: CHANGING },
  remove: { run: remove, names: [1, 1], takes: 'NAME', options: CHANGING },
  adopt: { run: adopt, names: [1, 1], takes: 'NAME' },
  fleet: { run: fleet, names: [0, 0], takes: 'no words' },
}

/** @returns exit code @throws ArgumentError */
export function manageScripts(args: readonly string[]): Promise<number> {
  const given = parseClientCommand('scripts', args, OPTIONS)
  return runClient(() => {
    if (given.help) return Promise.resolve(HELP)
    const [word = 'list', ...names] = given.words
    const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined
    if (command === undefined) throw new ArgumentError(`scripts: "${word}" is not a command; see scripts -h`)
    if (names.length < command.names[0] || names.length > command.names[1])
      throw new ArgumentError(`scripts: ${word} takes ${command.takes}; see scripts -h`)
    const { options = [] } = command
    const odd = Object.keys(given.options).find((name) => !options.includes(name))
    if (odd !== undefined) throw new ArgumentError(`scripts: "${word}" takes no "--${odd}"; see scripts -h`)
    if (options.includes('author')) given.client.author = authorField(given.options.author as string)
    return command.run(given, ...names)
  })
}

const CHANGED = [{ generation: 0 }, { rollout: {} }]

/** In the words of the command line; the API would say the same in its own. @throws ArgumentError */
function checkCanary({ canary, key, local }: ClientCommand['options']): void {
  if (canary === undefined) {
    if (key === undefined) return
    throw new ArgumentError('scripts: "--key" says whom a canary serves; give its share as well: --canary 5%')
  }
  const text = String(canary)
  const share = parsePercent(text.endsWith('%') ? text : `${text}%`)
  if (share === null || share === 0 || share > 10_000)
    throw new ArgumentError(
      `scripts: "--canary ${text}" is no share; write one above 0% and up to 100%, such as --canary 5%`,
    )
  if (local === true)
    throw new ArgumentError(
      'scripts: "--canary" is for all machines of a fleet, "--local" for this one alone; leave one of them out',
    )
}

const pathOf = (name: string): string => `/api/v1/scripts/${encodeURIComponent(name)}`

async function list({ client, json, style }: ClientCommand): Promise<string> {
  const answer: { scripts: Listed[] } = await client.get('/api/v1/scripts', { scripts: [] })
  if (json) return toJson(answer)
  if (answer.scripts.length === 0) return 'no scripts\n'
  const rows = answer.scripts.map(({ name, digest, state, generation, calls, errors, memory, reason }) => {
    const isWell = state === 'live' || state === 'canary' || state === 'shadow'
    const told = isWell ? style.green(state) : style.red(state)
    const faults = errors === 0 ? '0' : style.red(String(errors))
    return [name, digest, told, String(generation), String(calls), faults, mebibytes(memory), reason]
  })
  const heading = ['script', 'version', 'state', 'generation', 'calls', 'errors', 'memory', '']
  return table([heading, ...rows], style.dim)
}

async function show({ client, json }: ClientCommand, name: string): Promise<string> {
  const answer: { source: string } = await client.get(pathOf(name), { source: '' })
  return json ? toJson(answer) : answer.source
}

async function push(given: ClientCommand, file: string, name?: string): Promise<string | Told> {
  const { client, options } = given
  checkCanary(options)
  const script = readScript(file)
  const target = name ?? (await targetOf(client, file))
  return conclude(given, await client.push(pathOf(target) + queryOf(options), script, ...CHANGED))
}

/** As the admin API takes them; with `--wait`, the proxy answers before there is anything to see. */
function queryOf(options: ClientCommand['options']): string {
  const query = new URLSearchParams()
  for (const name of ['canary', 'key'])
    if (options[name] !== undefined) query.set(name, String(options[name]))
  if (options.local === true) query.set('local', '1')
  else if (options.wait === true) query.set('wait', '0')
  return query.size === 0 ? '' : `?${query}`
}

/** The very file, where the proxy serves by it; else one of its name. */
async function targetOf(client: ClientCommand['client'], file: string): Promise<string> {
  const { scripts, modules }: { scripts: { file: string }[]; modules: { file: string }[] } = await client.get(
    '/api/v1/scripts',
    { scripts: [], modules: [] },
  )
  const path = resolve(file)
  return [...scripts, ...modules].some((one) => one.file === path) ? path : basename(file)
}

function rollback(given: ClientCommand, name?: string): Promise<string | Told> {
  return change(
    given,
    'POST',
    name === undefined ? '/api/v1/generations/rollback' : `${pathOf(name)}/rollback`,
  )
}

function promote(given: ClientCommand, name: string): Promise<string | Told> {
  return change(given, 'POST', `${pathOf(name)}/promote`)
}

function remove(given: ClientCommand, name: string): Promise<string | Told> {
  return change(given, 'DELETE', pathOf(name))
}

async function change(given: ClientCommand, method: 'POST' | 'DELETE', path: string): Promise<string | Told> {
  const query = given.options.local === true ? '?local=1' : ''
  return conclude(given, await given.client.send(method, path + query, {}, ...CHANGED))
}

async function adopt({ client, json }: ClientCommand, name: string): Promise<string> {
  const answer: Adopted = await client.send('POST', `${pathOf(name)}/adopt`, {}, { generation: 0, kept: [] })
  if (json) return toJson(answer)
  return served(answer) + answer.kept.map((file) => `what was here is kept in ${file}\n`).join('')
}

/** What became of a change: of one machine, or of all in the end. */
async function conclude(given: ClientCommand, answer: Changed): Promise<string | Told> {
  const { json, options } = given
  if (answer.rollout === undefined) return json ? toJson(answer) : served(answer)
  const isWaiting = options.wait === true && answer.rollout.id !== ''
  const rollout = isWaiting ? await follow(given, answer.rollout) : answer.rollout
  const told = concludeRollout(rollout, isWaiting)
  return json ? { ...told, out: toJson({ ...answer, rollout }) } : told
}

/** Until all machines have done what they were told, or are given up. */
async function follow({ client, json, style }: ClientCommand, begun: Rollout): Promise<Rollout> {
  const progress = json ? null : new RolloutProgress(process.stdout, style)
  const path = `/api/v1/rollouts/${encodeURIComponent(begun.id)}`
  let rollout = begun
  for (const end = Date.now() + MAX_FOLLOW; ; ) {
    progress?.show(rollout)
    if (rollout.state === 'refused' || rollout.state === 'done' || Date.now() > end) return rollout
    await pause(LOOK)
    rollout = await client.get(path, { id: '', machines: [] })
  }
}

async function fleet({ client, json, style }: ClientCommand): Promise<string> {
  const answer: FleetAnswer = await client.get('/api/v1/fleet', { on: true })
  if (json) return toJson(answer)
  return answer.on
    ? fleetReport(answer, style, Date.now())
    : 'no fleet: "store redis://…" makes one of all machines that share it\n'
}

function served({ generation, took, file, digest }: SwapResult & Partial<Swapped>): string {
  const what = file == null || digest == null ? '' : `: ${file} is version ${digest}`
  return `generation ${generation} serves after ${took.toFixed(1)} ms${what}\n`
}
