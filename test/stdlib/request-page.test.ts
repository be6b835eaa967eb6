// stdlib/request.md, the reference of those who write scripts: each hook, member and global is on the page, in the
// typings and in the engine that runs, in the same phases and with the same parameters.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DEFAULT_LIMITS, type Phase } from '../../runtime/phases.ts'
import { HOOKS, MIGRATE } from '../../runtime/script/hook-exports.ts'
import { FakeChunk, FakeWebSocket } from '../script/fake-request.ts'
import { evaluate, load, ROOT, SandboxRequest } from './sandbox.ts'
import { globals, hookType, interfaceOf, type Member, type Parameter, parametersAt } from './typings.ts'

const PAGE = readFileSync(join(ROOT, 'stdlib/request.md'), 'utf8')

/** The rows of the table below a heading, as cells. */
function table(heading: string): string[][] {
  const at = PAGE.indexOf(`\n${heading}\n`)
  assert.ok(at >= 0, `request.md has no "${heading}"`)
  const section = PAGE.slice(at + heading.length + 2).split(/^#+ /m)[0]!
  const rows = section.match(/^\|.*\|$/gm)!.slice(2)
  return rows.map((row) => row.slice(2, -2).split(' | '))
}

/** `` `get(name)` `` and its like in a cell: names, with parameters where it is a call. */
function names(cell: string): [name: string, parameters: Parameter[] | null][] {
  return [...cell.matchAll(/`(\w+)(\(.*?\))?`/g)].map(([, name, call]) => [
    name!,
    call === undefined ? null : parametersAt(call, 0),
  ])
}

const show = (parameters: readonly Parameter[] | null): string =>
  parameters === null
    ? ''
    : `(${parameters.map(({ name, rest }) => (rest ? `...${name}` : name)).join(', ')})`

/** The members of an interface as a page writes them, in alphabetical order. */
const typed = (members: Iterable<Member>): string[] =>
  [...members].map(({ name, parameters }) => name + show(parameters)).sort()

const onPage = (rows: string[][]): string[] =>
  rows.flatMap((row) => names(row[0]!).map(([name, parameters]) => name + show(parameters))).sort()

/** The hooks that get a request. */
const REQUEST_HOOKS = HOOKS.filter((hook): hook is Exclude<(typeof HOOKS)[number], 'init'> => hook !== 'init')

/** The type of a phase's `r`. */
const requestOf = (phase: Phase): Map<string, Member> => interfaceOf(hookType(phase)[0]!.type)

test('hooks: on the page, in the typings and in the engine, with the same parameters', () => {
  const calls = table('## Hooks').flatMap((row) => names(row[0]!))
  assert.equal(calls.map(([name]) => name).sort(), [...HOOKS].sort())
  assert.equal([...interfaceOf('Hooks').keys()].sort(), [...HOOKS, MIGRATE].sort())
  for (const [name, parameters] of [...calls, ...names(/ no hook: (`.*?`)/.exec(PAGE)![1]!)]) {
    const types = hookType(name)
    assert.is(parameters!.length, types.length, name)
    for (const [i, { name: parameter, names: parts }] of parameters!.entries()) {
      if (parts.length === 0) assert.is(parameter, types[i]!.name, name)
      for (const part of parts) assert.match(types[i]!.type, new RegExp(`\\b${part}:`), name)
    }
  }
})

/** Phases of a cell such as `all; set in rewrite, access`. */
function phases(cell: string): { readonly has: Phase[]; readonly writes: Phase[] } {
  const [has, writes = ''] = cell.split(/; (?:set|changed) in /)
  const list = (words: string): Phase[] =>
    words === 'all' ? [...REQUEST_HOOKS] : (words.split(', ').filter((word) => word !== '') as Phase[])
  return { has: list(has!), writes: list(writes) }
}

test('members of r: on the page and in the typings, in the same phases, with the same parameters', () => {
  const described: Record<string, { has: string[]; writes: string[] }> = {}
  for (const [member, where] of table('## r, the request')) {
    for (const [name, parameters] of names(member!)) {
      const { has, writes } = phases(where!)
      described[name + show(parameters)] = { has: has.sort(), writes: writes.sort() }
    }
  }
  const declared: typeof described = {}
  for (const phase of REQUEST_HOOKS) {
    for (const { name, parameters, readonly, type } of requestOf(phase).values()) {
      const entry = (declared[name + show(parameters)] ??= { has: [], writes: [] })
      entry.has.push(phase)
      if (!readonly || type === 'Fields') entry.writes.push(phase)
    }
  }
  for (const entry of Object.values(declared)) {
    entry.has.sort()
    entry.writes.sort()
  }
  assert.equal(described, declared)
})

/** What a script does to use each member, and to write it. */
const USES: Readonly<Record<string, { readonly read?: string; readonly write?: string }>> = {
  uri: { write: "r.uri = '/y'" },
  rawArgs: { write: "r.rawArgs = 'b=1'" },
  status: { write: 'r.status = 201' },
  ctx: { write: 'r.ctx = {}' },
  headersIn: { write: "r.headersIn.set('X-A', 'b')" },
  headersOut: { write: "r.headersOut.set('X-B', 'c')" },
  return: { read: 'r.return(204)' },
  internalRedirect: { read: "r.internalRedirect('/z')" },
  decline: { read: 'r.decline()' },
  readText: { read: 'r.readText().catch(() => {})' },
  readJSON: { read: 'r.readJSON().catch(() => {})' },
  readForm: { read: 'r.readForm().catch(() => {})' },
  readBytes: { read: 'r.readBytes().catch(() => {})' },
  log: { read: "r.log('x')" },
  warn: { read: "r.warn('x')" },
  error: { read: "r.error('x')" },
}
const ASSIGN = "nothing = 'x'"

/** With all that any phase is given. */
function describedFor(): SandboxRequest {
  const request = new SandboxRequest()
  request.bodyChunk = new FakeChunk('x', true)
  request.webSocket = new FakeWebSocket()
  request.webSocket.message = { from: 'client', data: Buffer.from('x'), binary: false }
  request.webSocket.end = { by: 'client', code: 1000, reason: '' }
  return request
}

/** Whether a statement goes through in a phase of the engine. */
async function goes(phase: Exclude<Phase, 'init'>, statement: string): Promise<boolean> {
  const script = await load(`export function ${phase}(r) { ${statement} }`)
  const request = describedFor()
  await request.run(script, phase)
  script.dispose()
  return request.failure === null
}

test('members of r: the engine has them in the same phases', async () => {
  for (const phase of REQUEST_HOOKS) {
    for (const { name, readonly, type } of requestOf(phase).values()) {
      assert.ok(
        await goes(phase, USES[name]?.read ?? `if (r.${name} === undefined) throw 1`),
        `${name} in ${phase}`,
      )
      const write = USES[name]?.write ?? `r.${name} = 1`
      assert.is(await goes(phase, write), !readonly || type === 'Fields', `${write} in ${phase}`)
    }
    for (const [name, { read }] of Object.entries(USES)) {
      if (!requestOf(phase).has(name)) assert.not.ok(await goes(phase, read ?? ASSIGN), `${name} in ${phase}`)
    }
  }
})

/** Names that an expression has in the engine, its prototypes' included, without those that every object has. */
async function live(expression: string, hook = 'content(r)'): Promise<string[]> {
  const script = await load(`export function ${hook} {
    const names = new Set()
    for (let at = ${expression}; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
      for (const name of Reflect.ownKeys(at)) if (typeof name === 'string') names.add(name)
    }
    throw new Error([...names].sort().join(' '))
  }`)
  const request = describedFor()
  await request.run(script, /^\w+/.exec(hook)![0] as Phase)
  script.dispose()
  return request.failure![1].replace(/^Error: /, '').split(' ')
}

test('members of r, of fields, of an upstream and its peers, of WebSockets: the engine has those of the typings and no other', async () => {
  const all = new Set(REQUEST_HOOKS.flatMap((phase) => [...requestOf(phase).keys()]))
  assert.equal(await live('r'), [...all].sort())
  const fields = [...interfaceOf('FieldReader').keys(), ...interfaceOf('FieldWriter').keys()].sort()
  assert.equal(await live('Object.getPrototypeOf(r.headersIn)'), fields)
  assert.equal(await live('upstream', 'balancer(r, upstream)'), [...interfaceOf('Upstream').keys()].sort())
  // `toString` makes a peer its name in a text.
  const peer = [...interfaceOf('Peer').keys(), 'toString'].sort()
  assert.equal(await live('upstream.peers[0]', 'balancer(r, upstream)'), peer)
  assert.equal(await live('ws', 'wsMessage(r, msg, ws)'), [...interfaceOf('WebSocket').keys()].sort())
  assert.equal(await live('msg', 'wsMessage(r, msg, ws)'), [...interfaceOf('TextMessage').keys()].sort())
  assert.equal(await live('info', 'wsClose(r, info, ws)'), [...interfaceOf('CloseInfo').keys()].sort())
})

/** The names that a sentence of the page gives an object, which begins so. */
function sentence(start: string): string[] {
  const text = new RegExp(`${start} ([\\s\\S]*?)\\.(?=\\s)`).exec(PAGE)![1]!
  // What stands in brackets is said of the name before them.
  return [...text.replace(/\([^()]*\)/g, '').matchAll(/`(\w+)`/g)].map(([, name]) => name!).sort()
}

test('fields, upstream, peers, WebSockets: on the page what is in the typings, with the same parameters', () => {
  const fields = [...interfaceOf('FieldReader').values(), ...interfaceOf('FieldWriter').values()]
  assert.equal(onPage(table('### Header fields')), typed(fields))
  assert.equal(onPage(table('## upstream, in a balancer')), typed(interfaceOf('Upstream').values()))
  assert.equal(onPage(table('## ws and msg, in a WebSocket')), typed(interfaceOf('WebSocket').values()))
  assert.equal(sentence('A peer has'), [...interfaceOf('Peer').keys()].sort())
  assert.equal(sentence('A message has'), [...interfaceOf('TextMessage').keys()].sort())
  assert.equal(sentence('told has'), [...interfaceOf('CloseInfo').keys()].sort())
})

test('globals: on the page, in the typings and in the engine', async () => {
  const node = runInNewContext('Object.getOwnPropertyNames(globalThis)') as string[]
  // What QuickJS has of the language and the oldest Node has not.
  const language = new Set([...node, 'Float16Array', 'InternalError', 'Iterator'])
  const found = (await evaluate('', 'Object.getOwnPropertyNames(globalThis)')) as string[]
  const own = found.filter((name) => !language.has(name) || name === 'console').sort()
  const described = table('## Globals').flatMap((row) => names(row[0]!).map(([name]) => name))
  assert.equal(globals(), own)
  assert.equal(described.sort(), own)
})

test('sluice and console: on the page, in the typings and in the engine', async () => {
  const row = (name: string) => table('## Globals').find(([cell]) => cell!.includes(`\`${name}\``))![1]!
  const described = (name: string) => names(row(name)).map(([member]) => member)
  const info = (await evaluate('', 'Object.getOwnPropertyNames(sluice)')) as string[]
  assert.equal([...interfaceOf('Info').keys()].sort(), info.sort())
  assert.equal(described('sluice').sort(), info)
  const methods = (await evaluate('', 'Object.keys(console)')) as string[]
  assert.equal(described('console').sort(), methods.sort())
})

/** A limit as the configuration writes it. */
function written(name: string, value: number): string {
  if (name === 'memory') return `${value / 1024 / 1024}m`
  if (name === 'stack') return `${value / 1024}k`
  return value < 1000 ? `${value}ms` : `${value / 1000}s`
}

test('limits: words and defaults of script_limits', () => {
  const rows = table('## Limits').map(([word, value]) => [names(word!)[0]![0], value!])
  const limits = Object.entries(DEFAULT_LIMITS).map(([name, value]) => [name, written(name, value)])
  assert.equal(rows.sort(), limits.sort())
})

test('every module of the standard library is linked', () => {
  const linked = [...PAGE.matchAll(/\[`sluice:(\w+)`\]\((\w+)\.md\)/g)].map(([, name, page]) => {
    assert.is(name, page)
    return name!
  })
  const typings = readFileSync(join(ROOT, 'stdlib/sluice.d.ts'), 'utf8')
  const modules = [...typings.matchAll(/^declare module 'sluice:(\w+)'/gm)].map(([, name]) => name!)
  assert.equal(linked.sort(), modules.sort())
})

test('the example of the page lets those in who have the token', async () => {
  const example = /```js\n([\s\S]*?)```/.exec(PAGE)![1]!
  const script = await load(example, { params: { token: 't' } })
  const status = async (token: string) => {
    const request = new SandboxRequest({ args: `token=${token}` })
    await request.run(script, 'access')
    return request.reply?.status ?? 'passed'
  }
  assert.is(await status('t'), 'passed')
  assert.is(await status('x'), 403)
  script.dispose()
})

test.run()
