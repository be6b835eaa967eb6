/** `sluice replay`: what another version of a script would have decided on what a journal has kept. */
import { basename, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { JournalEntry } from '../replay/journal-entry.ts'
import { JournalReader } from '../replay/journal-reader.ts'
import { Replay } from '../replay/replay.ts'
import { fromBytes } from '../script/guest-values.ts'
import { ArgumentError } from './arguments.ts'
import { refusalText } from './refusal.ts'
import { ReplayTally } from './replay-report.ts'
import { makeStyle } from './style.ts'

export const REPLAY_HELP = `Usage: sluice replay JOURNAL --script NEW.js [options]

Runs a script over a journal that script_record has written, and tells what it decides otherwise.

  --script file : the script to try
  --of name     : the script of the journal that it is tried for (default: the one of the same
                  name, or the only one)
  --limit n     : so many hook calls at most
  --json        : the same for programs

Exit code: 0 no decision differs, but for those made of masked values; 1 some do; 2 nothing could be compared.
`

interface Output {
  readonly isTTY?: boolean
  write(text: string): unknown
}

/** Where it writes. */
export interface Outputs {
  readonly stdout: Output
  readonly stderr: Output
}

/** @returns exit code */
export async function replayJournal(args: readonly string[], outputs: Outputs = process): Promise<number> {
  const { stdout, stderr } = outputs
  try {
    return await replay(args, stdout)
  } catch (error) {
    const text =
      error instanceof ArgumentError ? error.message : refusalText(error, makeStyle(stderr.isTTY === true))
    stderr.write(`sluice: ${text}\n`)
    return 2
  }
}

async function replay(args: readonly string[], stdout: Output): Promise<number> {
  const { values, positionals } = parse(args)
  if (values.help) {
    stdout.write(REPLAY_HELP)
    return 0
  }
  const [journal, ...more] = positionals
  if (journal === undefined || more.length > 0)
    throw new ArgumentError('replay: name one journal; see --help')
  if (values.script === undefined) throw new ArgumentError('replay: --script FILE names the script to try')
  const limit = values.limit === undefined ? Infinity : Number(values.limit)
  if (!(limit === Infinity || (Number.isInteger(limit) && limit > 0)))
    throw new ArgumentError(`replay: "--limit ${values.limit}" is no number above 0`)
  const of = await chooseScript(journal, values.of ?? null, values.script)
  const reader = new JournalReader(journal)
  const tally = await runAll({ reader, script: resolve(values.script), of, limit })
  const style = makeStyle(stdout.isTTY === true)
  stdout.write(values.json ? tally.json(reader) : tally.text(style, journal, reader))
  return tally.different === 0 ? 0 : 1
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        script: { type: 'string' },
        of: { type: 'string' },
        limit: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new ArgumentError(`replay: ${(error as Error).message}`)
  }
}

/** The script of the journal whose calls are replayed, as the journal names it. @throws ArgumentError */
async function chooseScript(journal: string, of: string | null, script: string): Promise<string> {
  const reader = new JournalReader(journal)
  const names = new Set<string>()
  for await (const entry of reader.entries()) names.add(entry.script)
  if (names.size === 0) {
    const [fault] = reader.faults
    if (fault === undefined) throw new ArgumentError(`${journal}: the journal is empty`)
    throw new ArgumentError(`${journal}:${fault.line}: ${fault.reason}; it is no journal of script_record`)
  }
  const wanted = [...names].filter((name) =>
    of === null ? basename(fromBytes(name)) === basename(script) : `/${fromBytes(name)}`.endsWith(`/${of}`),
  )
  if (wanted.length === 1) return wanted[0]
  if (of === null && names.size === 1) return [...names][0]
  const known = [...names].map(fromBytes).join(', ')
  throw new ArgumentError(`${journal}: say with --of NAME which script is meant; there are ${known}`)
}

interface Run {
  readonly reader: JournalReader
  readonly script: string
  readonly of: string
  readonly limit: number
}

/** One sandbox for each set of parameters. */
async function runAll({ reader, script, of, limit }: Run): Promise<ReplayTally> {
  const tally = new ReplayTally()
  const replays = new Map<string, Replay>()
  let left = limit
  try {
    for await (const entry of reader.entries()) {
      if (entry.script !== of) continue
      if (left-- <= 0) break
      tally.add(await (await replayOf(entry, script, replays)).run(entry))
    }
  } finally {
    for (const one of replays.values()) one.dispose()
  }
  return tally
}

async function replayOf(entry: JournalEntry, script: string, replays: Map<string, Replay>): Promise<Replay> {
  const key = JSON.stringify(Object.entries(entry.params).sort())
  const known = replays.get(key)
  if (known !== undefined) return known
  const replay = await Replay.load({ script, params: entry.params })
  replays.set(key, replay)
  return replay
}
