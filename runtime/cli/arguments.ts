/** The command line: nginx's flags, and commands of our own. */

export interface RunArguments {
  readonly command: 'run'
  /** `-c`; default `sluice.conf`. */
  readonly config: string
  /** `-p`; null: the working directory. */
  readonly prefix: string | null
  /** `-e` */
  readonly errorLog: string | null
  /** `-g` */
  readonly directives: string | null
  readonly test: boolean
  readonly dump: boolean
  readonly quiet: boolean
  readonly version: boolean
  readonly build: boolean
  readonly help: boolean
  /** `-s` */
  readonly signal: 'stop' | 'quit' | 'reload' | 'reopen' | null
}

export interface CommandArguments {
  readonly command: string
  readonly rest: readonly string[]
}

export class ArgumentError extends Error {}

const COMMANDS = ['init', 'try', 'replay', 'status', 'scripts', 'upstreams']
const HELP_WORD = 'help'
const SIGNALS = ['stop', 'quit', 'reload', 'reopen'] as const

/** @throws ArgumentError with a sentence for the user. */
export function parseArguments(args: readonly string[]): RunArguments | CommandArguments {
  const [first] = args
  if (first !== undefined && COMMANDS.includes(first)) return { command: first, rest: args.slice(1) }
  if (first === HELP_WORD)
    return COMMANDS.includes(args[1]) ? { command: args[1], rest: ['--help'] } : parseFlags(['--help'])
  if (first !== undefined && !first.startsWith('-')) {
    throw new ArgumentError(
      `"${first}" is not a command; commands are ${COMMANDS.join(', ')}, or give -c FILE to run`,
    )
  }
  return parseFlags(args)
}

function parseFlags(args: readonly string[]): RunArguments {
  const values: Record<string, string> = {}
  const flags = new Set<string>()
  for (let i = 0; i < args.length; i++) {
    const word = args[i]
    if (Object.hasOwn(LONG_FLAGS, word)) {
      flags.add(LONG_FLAGS[word])
      continue
    }
    if (word.startsWith('--')) throw new ArgumentError(`invalid option: "${word}"; see -h`)
    if (!word.startsWith('-') || word === '-') throw new ArgumentError(`invalid option: "${word}"`)
    // As nginx: flags without a value may stand together (-tq), and a value may follow its flag at once (-cFILE).
    for (let at = 1; at < word.length; at++) {
      const flag = word[at]
      if ('tTqvVh?'.includes(flag)) flags.add(flag)
      else if ('cpegs'.includes(flag)) {
        const value = word.slice(at + 1) || args[++i]
        if (value === undefined || value === '')
          throw new ArgumentError(`option "-${flag}" requires ${NEEDS[flag]}`)
        values[flag] = value
        break
      } else throw new ArgumentError(`invalid option: "-${flag}"; see -h`)
    }
  }
  return {
    command: 'run',
    config: values.c ?? 'sluice.conf',
    prefix: values.p ?? null,
    errorLog: values.e ?? null,
    directives: values.g ?? null,
    test: flags.has('t') || flags.has('T'),
    dump: flags.has('T'),
    quiet: flags.has('q'),
    version: flags.has('v') || flags.has('V'),
    build: flags.has('V'),
    help: flags.has('h') || flags.has('?'),
    signal: readSignal(values.s),
  }
}

const LONG_FLAGS: Readonly<Record<string, string>> = { '--help': 'h', '--version': 'v' }

const NEEDS: Readonly<Record<string, string>> = {
  c: 'file name',
  p: 'directory name',
  e: 'file name',
  g: 'parameter',
  s: 'a signal: stop, quit, reload or reopen',
}

function readSignal(word: string | undefined): RunArguments['signal'] {
  if (word === undefined) return null
  const signal = SIGNALS.find((name) => name === word)
  if (signal === undefined)
    throw new ArgumentError(`invalid option: "-s ${word}"; signals are ${SIGNALS.join(', ')}`)
  return signal
}

/** What `parseArgs` has against the options of a command, in one line. */
export function describeOptionFault(error: unknown, command: string): string {
  const { code, message } = error as NodeJS.ErrnoException
  const [, option] = /'(?:-\w, )?(-[^' ]*)/.exec(message) ?? []
  if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' && option !== undefined)
    return `there is no option "${option}"; see ${command} -h`
  if (code !== 'ERR_PARSE_ARGS_INVALID_OPTION_VALUE' || option === undefined) return message.split('\n')[0]
  const isTooMuch = message.includes('does not take')
  return isTooMuch ? `"${option}" takes no value` : `"${option}" needs a value; see ${command} -h`
}

export const HELP = `Usage: sluice [-?hvVtTq] [-s signal] [-p prefix] [-e filename] [-c filename] [-g directives]
       sluice init [--typescript] [DIR]
       sluice try -c FILE 'GET /path?key=1' [-H 'Name: value']... [-n COUNT --vary NAME]
       sluice replay JOURNAL --script NEW.js
       sluice status | scripts COMMAND | upstreams COMMAND
       sluice help [COMMAND]

Options:
  -?,-h         : this help
  -v            : show version and exit
  -V            : show version and what is built in, then exit
  -t            : test configuration and exit
  -T            : test configuration, dump it and exit
  -q            : suppress non-error messages during configuration testing
  -s signal     : send signal to a running process: stop, quit, reopen, reload
  -p prefix     : set prefix path (default: the working directory)
  -e filename   : set error log file (default: stderr)
  -c filename   : set configuration file (default: sluice.conf)
  -g directives : set global directives out of configuration file

Commands:
  init          : write a small working sluice.conf and scripts/balancer.js (or .ts)
  try           : tell where a request would go and why, without sending anything
  replay        : tell what another version of a script would have decided on recorded requests
  status        : what the running proxy is doing
  scripts       : its scripts: list, show, push, rollback, promote, remove, fleet
  upstreams     : its servers: list, add, remove, drain, down, up, weight
`
