// The command line as nginx takes it: flags alone and together, values beside and behind their flags.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ArgumentError, parseArguments, type RunArguments } from '../../runtime/cli/arguments.ts'

const DEFAULTS: RunArguments = {
  command: 'run',
  config: 'sluice.conf',
  prefix: null,
  errorLog: null,
  directives: null,
  test: false,
  dump: false,
  quiet: false,
  version: false,
  build: false,
  help: false,
  signal: null,
}

function parse(line: string): unknown {
  return parseArguments(line === '' ? [] : line.split(' '))
}

function refusal(...args: string[]): string {
  try {
    parseArguments(args)
  } catch (error) {
    if (error instanceof ArgumentError) return error.message
    throw error
  }
  throw new Error(`${args.join(' ')} was not refused`)
}

test('without flags the proxy runs on sluice.conf of the working folder', () => {
  assert.equal(parse(''), DEFAULTS)
})

test('a value stands behind its flag or beside it', () => {
  assert.equal(parse('-c a.conf'), { ...DEFAULTS, config: 'a.conf' })
  assert.equal(parse('-ca.conf'), { ...DEFAULTS, config: 'a.conf' })
  assert.equal(parse('-p /srv -e err.log'), { ...DEFAULTS, prefix: '/srv', errorLog: 'err.log' })
  assert.equal(parseArguments(['-g', 'daemon off; pid x;']), {
    ...DEFAULTS,
    directives: 'daemon off; pid x;',
  })
})

test('flags without values stand together, and the last of them may take a value', () => {
  assert.equal(parse('-tq'), { ...DEFAULTS, test: true, quiet: true })
  assert.equal(parse('-tqc a.conf'), { ...DEFAULTS, test: true, quiet: true, config: 'a.conf' })
  assert.equal(parse('-tca.conf'), { ...DEFAULTS, test: true, config: 'a.conf' })
})

test('-T tests and dumps, -V tells more than -v', () => {
  assert.equal(parse('-T'), { ...DEFAULTS, test: true, dump: true })
  assert.equal(parse('-v'), { ...DEFAULTS, version: true })
  assert.equal(parse('-V'), { ...DEFAULTS, version: true, build: true })
  assert.equal(parse('--version'), { ...DEFAULTS, version: true })
})

test('-h, -?, --help and help ask for help', () => {
  assert.equal(parse('help scripts'), { command: 'scripts', rest: ['--help'] })
  for (const flag of ['-h', '-?', '--help', 'help', 'help me'])
    assert.equal(parse(flag), { ...DEFAULTS, help: true })
})

test('-s takes the four signals of nginx and no other', () => {
  for (const signal of ['stop', 'quit', 'reload', 'reopen'])
    assert.equal(parse(`-s ${signal}`), { ...DEFAULTS, signal })
  assert.is(refusal('-s', 'restart'), 'invalid option: "-s restart"; signals are stop, quit, reload, reopen')
})

test('a flag that is none, a value that is missing and a word too many are named', () => {
  assert.is(refusal('-x'), 'invalid option: "-x"; see -h')
  assert.is(refusal('-tx'), 'invalid option: "-x"; see -h')
  assert.is(refusal('--test'), 'invalid option: "--test"; see -h')
  assert.is(refusal('-c'), 'option "-c" requires file name')
  assert.is(refusal('-g'), 'option "-g" requires parameter')
  assert.is(refusal('-c', 'a.conf', 'b.conf'), 'invalid option: "b.conf"')
})

test('a first word without a dash is a command, and an unknown one is refused', () => {
  assert.equal(parse('init folder'), { command: 'init', rest: ['folder'] })
  assert.equal(parse('try -c a.conf /x'), { command: 'try', rest: ['-c', 'a.conf', '/x'] })
  assert.match(refusal('start'), /^"start" is not a command; commands are /)
})

test.run()
