#!/usr/bin/env node
/** The program `sluice`. */
import { ArgumentError, HELP, parseArguments } from './arguments.ts'
import { init } from './init.ts'
import { runProxy } from './run.ts'
import { tryRequest } from './try.ts'

async function main(): Promise<number> {
  const args = parseArguments(process.argv.slice(2))
  if (!('config' in args)) return args.command === 'init' ? init(args.rest) : tryRequest(args.rest)
  if (args.help) {
    process.stdout.write(HELP)
    return 0
  }
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
