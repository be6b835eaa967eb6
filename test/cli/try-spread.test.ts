// `sluice try -n COUNT --vary NAME`: how many requests spread, and what would move if a server came or went.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseTryArguments, withArgument } from '../../runtime/cli/try-arguments.ts'
import { DryGeneration } from '../../runtime/cli/try-generation.ts'
import { measureSpread, type Spread } from '../../runtime/cli/try-spread.ts'
import { parseConfig } from '../../runtime/config/parse.ts'
import { runSluice } from '../lib/proxy-process.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

const PEERS = ['127.0.0.1:8001', '127.0.0.1:8002', '127.0.0.1:8003']

/** A group with this method in front of three servers; `inside` stands in its location. */
function config(method: string, inside = ''): string {
  const servers = PEERS.map((peer) => `server ${peer};`).join(' ')
  return `upstream app { ${method} ${servers} }
server { listen 127.0.0.1:8080; location / { ${inside} proxy_pass http://app; } }
`
}

/** The spread of `count` requests that differ in `userId`. */
async function spreadOf(text: string, count: number, files: Record<string, string> = {}): Promise<Spread> {
  const prefix = tempDir()
  writeFiles(prefix, { ...files, 'sluice.conf': text })
  const { model } = parseConfig({ file: 'sluice.conf', prefix })
  const { request } = parseTryArguments(['/chat?userId=7'])!
  const dry = await DryGeneration.compile(model!, prefix)
  try {
    return await measureSpread({ model: model!, prefix, request, at: null, name: 'userId', count }, dry)
  } finally {
    dry.close()
  }
}

function moved(spread: Spread, change: 'added' | 'lost'): number[] {
  return spread.moves.filter((move) => move.change === change).map((move) => move.moved)
}

test('a consistent hash moves only the users of the server that is lost, and about a fourth to a fourth server', async () => {
  const spread = await spreadOf(config('hash $arg_userId consistent;'), 2000)
  assert.equal([...spread.places.keys()], PEERS)
  const counts = [...spread.places.values()]
  assert.is(
    counts.reduce((sum, n) => sum + n),
    2000,
  )
  for (const count of counts) assert.ok(count > 500 && count < 850, `${count} of 2000`)
  assert.ok(spread.settled)
  assert.equal(moved(spread, 'lost'), counts)
  const [added] = moved(spread, 'added')
  assert.ok(added! > 350 && added! < 650, `${added} of 2000`)
})

test('a plain hash moves most users when a server is added', async () => {
  const [added] = moved(await spreadOf(config('hash $arg_userId;'), 2000), 'added')
  assert.ok(added! > 1000, `${added} of 2000`)
})

test('a balancer hook is asked for every request', async () => {
  const files = {
    'b.js':
      'export function balancer(r, upstream) {\n  return upstream.peers[r.variables.arg_userId % 3]\n}\n',
  }
  const spread = await spreadOf(config('', 'script b.js;'), 9, files)
  assert.equal(
    [...spread.places.entries()],
    [
      [PEERS[0], 3],
      [PEERS[1], 3],
      [PEERS[2], 3],
    ],
  )
  assert.ok(spread.settled)
})

test('methods that take turns have nothing that could move', async () => {
  for (const method of ['', 'least_conn;', 'random;', 'random two;']) {
    const spread = await spreadOf(config(method), 6)
    assert.not.ok(spread.settled, method)
    assert.equal(spread.moves, [], method)
  }
})

test('a hash without a key takes turns too', async () => {
  assert.not.ok((await spreadOf(config('hash $arg_nobody consistent;'), 6)).settled)
})

test('a hook that throws dice is found out', async () => {
  const files = {
    'b.js':
      'export function balancer(r, upstream) {\n  return upstream.peers[Math.floor(Math.random() * 3)]\n}\n',
  }
  assert.not.ok((await spreadOf(config('', 'script b.js;'), 100, files)).settled)
})

test('requests that are answered are counted by their status', async () => {
  const spread = await spreadOf(
    config('hash $arg_userId;', 'if ($arg_userId ~ [02468]$) { return 403; }'),
    10,
  )
  assert.is(spread.places.get('answer 403'), 5)
})

test('a group of one server: without it there is no server at all', async () => {
  const text =
    'upstream one { hash $arg_userId; server 127.0.0.1:8001; }\nserver { listen 127.0.0.1:8080; location / { proxy_pass http://one; } }\n'
  assert.equal(moved(await spreadOf(text, 4), 'lost'), [4])
})

test('the argument is replaced where it stands, in any case, and else added', () => {
  const { request } = parseTryArguments(['/a?x=1&USERID=2&userid=3'])!
  assert.is(withArgument(request, 'userId', '9').target, '/a?x=1&userId=9&userid=3')
  assert.is(withArgument({ ...request, target: '/a' }, 'n', '9').target, '/a?n=9')
  assert.is(withArgument({ ...request, target: '/a?' }, 'n', '9').target, '/a?n=9')
  assert.is(withArgument({ ...request, target: '/a?b' }, 'n', '9').target, '/a?b&n=9')
})

test('the program prints a line for each server, and what would move', async () => {
  const folder = tempDir()
  writeFiles(folder, { 'sluice.conf': config('hash $arg_userId consistent;') })
  const { code, stdout } = await runSluice(
    ['try', '-c', 'sluice.conf', '/chat', '-n', '100', '--vary', 'userId'],
    folder,
  )
  assert.is(code, 0)
  assert.match(stdout, /\n100 requests, userId=1 to 100\n {2}127\.0\.0\.1:8001 +\d+ +[\d.]+ % {2}█+\n/)
  assert.match(
    stdout,
    /\nrequests that would go elsewhere\n {2}127\.0\.0\.1:8004 {2}added to app +[\d.]+ % {2}\d+ of 100\n/,
  )
  assert.is(stdout.match(/127\.0\.0\.1:800\d +lost +[\d.]+ %/g)?.length, 3)
})

test('a hook that waits long is not asked a thousand times', async () => {
  const folder = tempDir()
  const slow = 'export async function access(r) {\n  await new Promise((done) => setTimeout(done, 100))\n}\n'
  writeFiles(folder, { 'sluice.conf': config('hash $arg_userId;', 'script slow.js;'), 'slow.js': slow })
  const { code, stderr } = await runSluice(['try', '/chat', '-n', '1000', '--vary', 'userId'], folder)
  assert.is(code, 1)
  assert.match(stderr, /hooks of this request wait \d\.\d s; "-n 1000" would take too long/)
})

test.run()
