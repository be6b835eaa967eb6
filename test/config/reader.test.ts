// Files and includes: where they are looked for, in which order, and the limits that keep a reader from running away.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { dumpConfig } from '../../runtime/config/dump.ts'
import { formatProblem, parseConfig } from '../../runtime/config/parse.ts'
import { MAX_PROBLEMS } from '../../runtime/config/problems.ts'
import {
  MAX_BLOCK_DEPTH,
  MAX_CONFIG_BYTES,
  MAX_INCLUDE_DEPTH,
  MAX_INCLUDES,
} from '../../runtime/config/reader.ts'
import { tempDir } from '../lib/temp.ts'
import { FILE, httpOf, modelOf, parse, problemsOf } from './parsed.ts'

test('include puts the statements of a file in its place, in any block', () => {
  const http = httpOf('include types.conf; map $uri $x { include keys; } server { include s/one.conf; }', {
    '/etc/sluice/types.conf': 'types { text/x x; include more; }',
    '/etc/sluice/more': 'text/y y;',
    '/etc/sluice/keys': 'a b;',
    '/etc/sluice/s/one.conf': 'listen 81; location / { include return.conf; }',
    '/etc/sluice/return.conf': 'return 204;',
  })
  assert.equal(http.settings.types, { x: 'text/x', y: 'text/y' })
  assert.is(http.maps[0]!.exact[0]!.key, 'a')
  assert.is(http.servers[0]!.locations[0]!.rules[0]!.kind, 'return')
})

test('a place in an included file names that file', () => {
  const files = { '/etc/sluice/a.conf': '\n  bogus;' }
  assert.equal(problemsOf('include a.conf;', files), [
    '/etc/sluice/a.conf:2:3: unknown directive "bogus"; correct the name or remove the line',
  ])
})

test('names with wildcards are read in byte order, hidden files only when asked for', () => {
  const folder = tempDir()
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text)
  mkdirSync(join(folder, 'conf.d'))
  write('conf.d/b.conf', 'env B;')
  write('conf.d/A.conf', 'env A;')
  write('conf.d/a10.conf', 'env A10;')
  write('conf.d/.hidden.conf', 'env HIDDEN;')
  write('conf.d/other.txt', 'env OTHER;')
  write(
    'main.conf',
    'include conf.d/*.conf; include none/*.conf; include conf.d/.h*; include conf.d/[!A]?0.conf;',
  )
  const { model, problems, files } = parseConfig({ file: join(folder, 'main.conf'), prefix: folder })
  assert.equal(problems, [])
  assert.equal(model?.main.env, ['A', 'A10', 'B', 'HIDDEN', 'A10'])
  assert.equal(
    files.map((file) => file.path.slice(folder.length)),
    ['/main.conf', '/conf.d/A.conf', '/conf.d/a10.conf', '/conf.d/b.conf', '/conf.d/.hidden.conf'],
  )
})

test('a file whose name is not ASCII is found, and shown as it is called', () => {
  const folder = tempDir()
  writeFileSync(join(folder, 'grün.conf'), 'env GREEN; nonsense;')
  writeFileSync(join(folder, 'main.conf'), 'include grün.conf;')
  const { problems, files } = parseConfig({ file: join(folder, 'main.conf'), prefix: folder })
  assert.is(files[1]!.path, join(folder, 'grün.conf'))
  assert.equal(problems.map(formatProblem), [
    `${join(folder, 'grün.conf')}:1:12: unknown directive "nonsense"; correct the name or remove the line`,
  ])
})

test('a file that is missing is named at the include; a file that includes itself is refused', () => {
  assert.equal(problemsOf('events {}\n  include nowhere.conf;'), [
    '2:11: cannot read "/etc/sluice/nowhere.conf" (no such file); correct the path or make the file',
  ])
  const files = { '/etc/sluice/a.conf': 'include b.conf;', '/etc/sluice/b.conf': 'include a.conf;' }
  assert.equal(problemsOf('include a.conf;', files), [
    '/etc/sluice/b.conf:1:9: "/etc/sluice/a.conf" includes itself (/etc/sluice/a.conf -> /etc/sluice/b.conf -> /etc/sluice/a.conf); remove this include',
  ])
})

test('the main file that is missing is a problem like any other', () => {
  const { model, problems } = parseConfig({ file: '/nowhere/at/all.conf', prefix: '/nowhere' })
  assert.is(model, null)
  assert.equal(problems.map(formatProblem), [
    '/nowhere/at/all.conf:1:1: cannot read "/nowhere/at/all.conf" (no such file); correct the path or make the file',
  ])
})

test('a problem of a file that is included twice is told once', () => {
  const files = { '/etc/sluice/a.conf': 'etag maybe;' }
  assert.equal(problemsOf('http { include a.conf; server { include a.conf; } }', files), [
    '/etc/sluice/a.conf:1:6: invalid value "maybe" in "etag"; write "on" or "off"',
  ])
})

test('reading goes on after a mistake, so that all of them are told, in order', () => {
  const text = `http {
  server { listen 80 }
  ;
  } }
  env "A"x;
  http { server { listen 81;; location / { foo; }
`
  assert.equal(problemsOf(text), [
    '2:22: unexpected "}"',
    '3:3: unexpected ";"',
    '4:5: unexpected "}"; no block is open here',
    '5:10: unexpected "x"; write a blank after the closing quote',
    '6:3: "http" is duplicate; it stands in line 1 already, remove one',
    '6:8: "http" is never closed; write "}" where this block ends',
    '6:17: "server" is never closed; write "}" where this block ends',
    '6:29: unexpected ";"',
  ])
})

test('directives of the command line come first and can hold no blocks', () => {
  const options = { file: FILE, prefix: '/srv', text: 'daemon off;' }
  const { model } = parseConfig({ ...options, directives: 'pid p; error_log e warn;' })
  assert.is(model?.main.pid, '/srv/p')
  assert.equal(model?.main.errorLog, [{ path: '/srv/e', level: 'warn' }])
  const twice = parseConfig({ ...options, directives: 'daemon on; events {}' })
  assert.equal(twice.problems.map(formatProblem), [
    '-g:1:19: blocks are not supported in the -g option; write them in the file',
    `${FILE}:1:1: "daemon" is duplicate; it stands in line 1 already, remove one`,
  ])
})

test('blocks, includes and problems have limits', () => {
  const deep = `${'a {'.repeat(MAX_BLOCK_DEPTH + 1)}${'}'.repeat(MAX_BLOCK_DEPTH + 1)}`
  assert.equal(problemsOf(deep).slice(-1), [
    `1:${(MAX_BLOCK_DEPTH + 1) * 3}: blocks are nested deeper than ${MAX_BLOCK_DEPTH} levels`,
  ])
  const chain: Record<string, string> = {}
  for (let i = 0; i <= MAX_INCLUDE_DEPTH; i++) chain[`/etc/sluice/${i}`] = `include ${i + 1};`
  assert.match(problemsOf('include 0;', chain)[0]!, /too many files included/)

  const many = {
    '/etc/sluice/a': 'include b;'.repeat(200),
    '/etc/sluice/b': 'include c;'.repeat(200),
    '/etc/sluice/c': '',
  }
  assert.match(
    problemsOf('include a;', many)[0]!,
    new RegExp(`too many files included \\(limits: ${MAX_INCLUDES}`),
  )
  assert.is(parse('bogus;\n'.repeat(MAX_PROBLEMS + 100)).problems.length, MAX_PROBLEMS)

  const large = ' '.repeat(MAX_CONFIG_BYTES / 2 + 1)
  assert.match(
    problemsOf('include a; include b;', { '/etc/sluice/a': large, '/etc/sluice/b': large })[0]!,
    /larger than/,
  )
})

test('blocks of Lua are passed over, whatever is in them', () => {
  const lua = `http { server { listen 80;
  content_by_lua_block { if x then ngx.say("}") end -- }
    t = { a = { 1 } } }
  etag maybe; } }`
  assert.equal(problemsOf(lua), [
    '2:3: "content_by_lua_block" is an OpenResty directive; write the hook in JavaScript and load it with "script FILE;"',
    '4:8: invalid value "maybe" in "etag"; write "on" or "off"',
  ])
})

test('a NUL byte is refused', () => {
  assert.equal(problemsOf('pid a\0b;'), ['1:5: a NUL byte cannot stand in a configuration; remove it'])
})

test('the dump names each file once, in the order read', () => {
  const files = { '/etc/sluice/a.conf': 'env A;' }
  const { files: read } = parse('include a.conf; include a.conf;', files)
  assert.is(
    dumpConfig(read),
    `# configuration file ${FILE}:\ninclude a.conf; include a.conf;\n# configuration file /etc/sluice/a.conf:\nenv A;\n`,
  )
})

test('the same text gives the same model', () => {
  const text = 'http { server { listen 80; } }'
  assert.equal(modelOf(text), modelOf(text))
})

test.run()
