// `state FILE`: what is written is what the configuration reads, and a file that cannot be written is as before.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatProblem, parseConfig } from '../../runtime/config/parse.ts'
import type { ServerOptions } from '../../runtime/upstream/options.ts'
import { isStateForeign, stateText, updateState, writeState } from '../../runtime/upstream/state-file.ts'
import { tempDir } from '../lib/temp.ts'
import { server } from './groups.ts'

/** An upstream with a state file that holds `text`. */
function read(text: string, folder = tempDir()) {
  writeFileSync(join(folder, 'u.state'), text, 'latin1')
  const config = 'http {\nupstream u { state u.state; hash $uri; }\n}\n'
  const { model, problems } = parseConfig({ file: 'sluice.conf', prefix: folder, text: config })
  return {
    servers: model?.http?.upstreams[0]?.servers,
    problems: problems.map((problem) => formatProblem(problem).replace(`${folder}/`, '')),
  }
}

test('servers come back as they were written', () => {
  const servers: ServerOptions[] = [
    server('10.0.0.1:8080'),
    server('[::1] weight=7'),
    { ...server('x max_conns=3'), name: 'unix:/run/a b;{"\\n}.sock\xe9' },
    { ...server('host.example:81 max_fails=0 fail_timeout=3'), drain: true },
    { ...server('c down'), route: "{'$r'}", resolve: true },
  ]
  const text = stateText(servers)
  assert.is(
    text,
    `server 10.0.0.1:8080;
server [::1] weight=7;
server "unix:/run/a b;{\\"\\\\n}.sock\xe9" max_conns=3;
server host.example:81 max_fails=0 fail_timeout=3s drain;
server c "route={'$r'}" down resolve;
`,
  )
  const { servers: back, problems } = read(text)
  assert.equal(problems, [])
  assert.equal(
    back!.map(({ name, weight, maxFails, failTimeout, down, drain, route, resolve }) => {
      return { name, weight, maxFails, failTimeout, down, drain, route, resolve }
    }),
    servers.map(
      ({ name, weight, maxFails, failTimeout, down, drain = false, route = '', resolve = false }) => {
        return { name, weight, maxFails, failTimeout, down, drain, route, resolve }
      },
    ),
  )
})

test('a file that is wrong is told with its places', () => {
  const { servers, problems } = read(`server a;
server b wieght=3;
hash $uri;
server c {
}
server d backup;
server`)
  assert.is(servers, undefined)
  assert.equal(problems, [
    'u.state:2:10: invalid parameter "wieght=3" of "server"; write "weight=N", "max_fails=N", "fail_timeout=TIME", "max_conns=N", "route=TEXT", "resolve", "service=NAME", "backup", "drain" or "down"',
    'u.state:3:1: "hash" cannot stand in the state file of an upstream; it holds "server" lines',
    'u.state:4:1: "server" cannot stand in the state file of an upstream; it holds "server" lines',
    'u.state:6:1: the balancing method "hash" does not support "backup"; remove it',
    'u.state:7:1: unexpected end of file; write ";" or "{" at the end of this directive',
  ])
})

test('a file that is not there holds no servers; one that cannot be read is an error', () => {
  const folder = tempDir()
  const text = 'http { upstream u { state u.state; } }'
  const parse = () => parseConfig({ file: 'sluice.conf', prefix: folder, text })
  const missing = parse()
  assert.equal(missing.model!.http!.upstreams[0]!.servers, [])
  assert.equal(
    missing.problems.map(({ severity, message }) => `${severity}: ${message}`),
    [`notice: the state file "${folder}/u.state" does not exist yet; upstream "u" begins without servers`],
  )
  mkdirSync(join(folder, 'u.state'))
  const { model, problems } = parse()
  assert.is(model, null)
  assert.match(problems[0]!.message, /^cannot read ".*\/u\.state" \(it is a folder\)/)
})

test('a file whose folder is not there is an error: nothing could ever be kept in it', () => {
  const folder = tempDir()
  const text = 'http {\nupstream u { state typo/u.state; }\n}'
  const parse = () => parseConfig({ file: 'sluice.conf', prefix: folder, text })
  const { model, problems } = parse()
  assert.is(model, null)
  assert.equal(
    problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, '')),
    [
      'sluice.conf:2:20: the folder of the state file "typo/u.state" does not exist; make it or correct the path',
    ],
  )
  mkdirSync(join(folder, 'typo'))
  assert.is(parse().model!.http!.upstreams[0]!.stateDigest, null)
})

test('a file is foreign when others have written or removed it since it was read or written', () => {
  const folder = tempDir()
  const path = join(folder, 'u.state')
  writeFileSync(path, 'server a;\n')
  const parse = () =>
    parseConfig({ file: 'sluice.conf', prefix: folder, text: 'http { upstream u { state u.state; } }' })
      .model!.http!.upstreams[0]!
  const model = parse()
  assert.is(isStateForeign(model), false)
  updateState(model, [server('b')])
  assert.is(isStateForeign(model), false)
  writeFileSync(path, 'server c;\n')
  assert.is(isStateForeign(model), true)
  const again = parse()
  assert.is(isStateForeign(again), false)
  rmSync(path)
  assert.is(isStateForeign(again), true)
  assert.is(isStateForeign(parse()), false)
})

test('servers stand in the block or in the file, and a file belongs to one group', () => {
  const text = `http {
upstream u { server a; state u.state; }
upstream v { state v.state; }
upstream w { state v.state; }
upstream x { state; state a b; }
server { state x; }
}`
  const { problems } = parseConfig({ file: 'sluice.conf', prefix: '/srv', text })
  assert.equal(
    problems.filter(({ severity }) => severity === 'error').map((problem) => formatProblem(problem)),
    [
      '/srv/sluice.conf:2:1: "server" cannot stand beside "state" in upstream "u"; move the lines into its file, or remove "state"',
      '/srv/sluice.conf:4:20: upstream "v" has the state file "/srv/v.state" already; choose another one',
      '/srv/sluice.conf:5:1: no servers are inside upstream "x"; write "server ADDRESS;"',
      '/srv/sluice.conf:5:14: invalid number of arguments in "state"; it takes 1 argument',
      '/srv/sluice.conf:5:21: invalid number of arguments in "state"; it takes 1 argument',
      '/srv/sluice.conf:6:10: "state" is not allowed here (in server); write it inside upstream',
    ],
  )
})

test('writing replaces the file as a whole, and keeps its mode and a link to it', () => {
  const folder = tempDir()
  const path = join(folder, 'u.state')
  writeState(path, [server('a')])
  assert.is(statSync(path).mode & 0o777, 0o644)
  chmodSync(path, 0o600)
  symlinkSync('u.state', join(folder, 'link'))
  writeState(join(folder, 'link'), [server('b'), server('c down')])
  assert.is(readFileSync(path, 'utf8'), 'server b;\nserver c down;\n')
  assert.is(statSync(path).mode & 0o777, 0o600)
  assert.equal(readdirSync(folder).sort(), ['link', 'u.state'])
})

test('a folder that is not there refuses it', () => {
  const folder = tempDir()
  assert.throws(() => writeState(join(folder, 'no', 'u.state'), [server('a')]), /ENOENT/)
  assert.not.ok(existsSync(join(folder, 'no')))
})

test.run()
