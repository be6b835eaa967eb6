#!/usr/bin/env node
/** The program `sluice`. */
import { ArgumentError, HELP, parseArguments } from './arguments.ts'

/** Each loads what it needs, when it is asked for. */
const COMMANDS: Readonly<Record<string, (rest: readonly string[]) => Promise<number>>> = {
  init: async (rest) => (await import('./init.ts')).init(rest),
  try: async (rest) => (await import('./try.ts')).tryRequest(rest),
  replay: async (rest) => (await import('./replay.ts')).replayJournal(rest),
  status: async (rest) => (await import('./status.ts')).showStatus(rest),
  scripts: async (rest) => (await import('./scripts.ts')).manageScripts(rest),
  upstreams: async (rest) => (await import('./upstreams.ts')).manageUpstreams(rest),
}

async function main(): Promise<number> {
  const args = parseArguments(process.argv.slice(2))
  if (!('config' in args)) return COMMANDS[args.command](args.rest)
  if (args.help) {
    process.stdout.write(HELP)
    return 0
  }
  const { runProxy } = await import('./run.ts')
  return runProxy(args)
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error) => {
    const text =
      error instanceof ArgumentError
        ? error.message
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error)
    process.stderr.write(`sluice: ${text}\n`)
    process.exitCode = 1
  },
)
