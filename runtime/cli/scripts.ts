/** `sluice scripts`: what a running proxy serves by, and another version of it. */
import { basename, resolve } from 'node:path'
import type { ScriptStatus } from '../script-registry.ts'
import type { SwapResult } from '../swap.ts'
import {
  CLIENT_HELP,
  type ClientCommand,
  parseClientCommand,
  readScript,
  runClient,
  toJson,
} from './admin-client.ts'
import { ArgumentError } from './arguments.ts'
import { mebibytes, table } from './table.ts'

const HELP = `Usage: sluice scripts list
       sluice scripts show NAME
       sluice scripts push FILE [NAME]
       sluice scripts rollback [NAME]
       sluice scripts promote NAME
       sluice scripts remove NAME

  list                 : every script that serves, and every version that is kept from serving
  show                 : the text that serves
  push                 : the proxy loads FILE in place of the script NAME (default: the one of its name), writes it
                         down and serves by it; or it refuses it, and nothing changes
  rollback             : back to the version before; without a name, all scripts
  promote              : a canary serves everybody
  remove               : ends a canary, or what runs in the shadow
${CLIENT_HELP}`

type Listed = ScriptStatus & { readonly name: string }
type Swapped = SwapResult & { readonly file: string; readonly digest: string }
type Command = (given: ClientCommand, ...names: string[]) => Promise<string>

const COMMANDS: Readonly<Record<string, { run: Command; names: readonly [least: number, most: number] }>> = {
  list: { run: list, names: [0, 0] },
  show: { run: show, names: [1, 1] },
  push: { run: push, names: [1, 2] },
  rollback: { run: rollback, names: [0, 1] },
  promote: { run: promote, names: [1, 1] },
  remove: { run: remove, names: [1, 1] },
}

/** @returns exit code @throws ArgumentError */
export function manageScripts(args: readonly string[]): Promise<number> {
  const given = parseClientCommand('scripts', args)
  return runClient(() => {
    if (given.help) return Promise.resolve(HELP)
    const [word = 'list', ...names] = given.words
    const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined
    if (command === undefined || names.length < command.names[0] || names.length > command.names[1])
      throw new ArgumentError(`scripts: "${given.words.join(' ')}" is not a command; see scripts -h`)
    return command.run(given, ...names)
  })
}

const pathOf = (name: string): string => `/api/v1/scripts/${encodeURIComponent(name)}`

async function list({ client, json, style }: ClientCommand): Promise<string> {
  const answer: { scripts: Listed[] } = await client.get('/api/v1/scripts')
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
  const answer: { source: string } = await client.get(pathOf(name))
  return json ? toJson(answer) : answer.source
}

async function push({ client, json }: ClientCommand, file: string, name?: string): Promise<string> {
  const script = readScript(file)
  const target = name ?? (await targetOf(client, file))
  const answer: Swapped = await client.push(pathOf(target), script)
  return json ? toJson(answer) : served(answer)
}

/** The very file, where the proxy serves by it; else one of its name. */
async function targetOf(client: ClientCommand['client'], file: string): Promise<string> {
  const { scripts, modules }: { scripts: { file: string }[]; modules: { file: string }[] } =
    await client.get('/api/v1/scripts')
  const path = resolve(file)
  return [...scripts, ...modules].some((one) => one.file === path) ? path : basename(file)
}

async function rollback({ client, json }: ClientCommand, name?: string): Promise<string> {
  const path = name === undefined ? '/api/v1/generations/rollback' : `${pathOf(name)}/rollback`
  const answer: Swapped = await client.send('POST', path)
  return json ? toJson(answer) : served(answer)
}

async function promote({ client, json }: ClientCommand, name: string): Promise<string> {
  const answer: Swapped = await client.send('POST', `${pathOf(name)}/promote`)
  return json ? toJson(answer) : served(answer)
}

async function remove({ client, json }: ClientCommand, name: string): Promise<string> {
  const answer: Swapped = await client.send('DELETE', pathOf(name))
  return json ? toJson(answer) : served(answer)
}

function served({ generation, took, file, digest }: SwapResult & Partial<Swapped>): string {
  const what = file === undefined || digest == null ? '' : `: ${file} is version ${digest}`
  return `generation ${generation} serves after ${took.toFixed(1)} ms${what}\n`
}
