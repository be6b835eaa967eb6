// Files, folders and indexes: what a path in the URI gets. The journey is stopped at the step that follows.

import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { mapPath, rootPath } from '../../runtime/proxy/map-path.ts'
import { extensionOf } from '../../runtime/proxy/media-type.ts'
import { serveStatic } from '../../runtime/proxy/static-files.ts'
import { Step } from '../../runtime/proxy/step.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { bodyOf, type FakeRequest, makeExchange } from './file-exchange.ts'

const LARGE = 'x'.repeat(65537)
const folder = tempDir()
writeFiles(folder, {
  'index.html': 'body',
  'many.html': 'manybody',
  't.html': 'SEE-THIS',
  'picture.GIF': 'gif',
  plain: 'plain',
  empty: '',
  'large.html': LARGE,
  'sub/index.html': 'subbody',
  'sub/page.html': 'page',
  'no-index/page.html': 'page',
  'café ?%.html': 'name', // UTF-8 on disk
})
utimesSync(join(folder, 't.html'), 23349600, 23349600.75)

/** Runs the content step; how it ended, in words. */
async function get(request: FakeRequest) {
  const { x, logged, resumed } = makeExchange({
    ...request,
    files: { root: () => folder, ...request.files },
  })
  const now = serveStatic(x)
  const step = now === Step.SUSPENDED ? await resumed : now
  const name = Object.entries(Step).find(([, value]) => value === step)![0]
  const outcome = step === Step.REDIRECT ? `REDIRECT ${x.redirectTarget}` : `${name} ${x.status}`
  return { x, logged, outcome, head: Object.fromEntries(x.headers.entries()), body: await bodyOf(x.parts) }
}

const OK = 'HEADER_FILTER 200'

test('a file, with its date, tag, type and length', async () => {
  const { x, outcome, head, body } = await get({ path: '/t.html' })
  assert.is(outcome, OK)
  assert.is(body, 'SEE-THIS')
  assert.equal(head, {
    'Content-Type': 'text/html',
    'Content-Length': '8',
    'Last-Modified': 'Mon, 28 Sep 1970 06:00:00 GMT',
    ETag: '"1644960-8"',
  })
  assert.is(x.allowRanges, true)
})

test('etag off', async () => {
  assert.is((await get({ path: '/t.html', settings: { etag: false } })).head.ETag, undefined)
})

const TYPES: readonly [string, string | undefined][] = [
  ['/t.html', 'text/html'],
  ['/picture.GIF', 'image/gif'],
  ['/plain', 'text/plain'],
]
for (const [path, type] of TYPES) {
  test(`${path} is ${type}`, async () => {
    assert.is((await get({ path })).head['Content-Type'], type)
  })
}

test('an empty default_type: no Content-Type', async () => {
  assert.is((await get({ path: '/plain', files: { defaultType: '' } })).head['Content-Type'], undefined)
})

const EXTENSIONS: readonly [string, string][] = [
  ['/a.html', 'html'],
  ['/a.tar.gz', 'gz'],
  ['/.profile', ''],
  ['/a/.b', ''],
  ['/a/..b', 'b'],
  ['/a.b/c', ''],
  ['/a.', ''],
  ['/', ''],
]
for (const [path, extension] of EXTENSIONS) {
  test(`the extension of ${path} is "${extension}"`, () => {
    assert.is(extensionOf(path), extension)
  })
}

test('an empty file', async () => {
  const { outcome, x } = await get({ path: '/empty' })
  assert.is(outcome, OK)
  assert.equal(x.parts, [])
  assert.is(x.headers.contentLength, 0)
})

test('a small file comes as bytes, a large one as a slice to be sent', async () => {
  const small = await get({ path: '/t.html' })
  assert.instance(small.x.parts![0], Uint8Array)
  const large = await get({ path: '/large.html' })
  assert.is(large.outcome, OK)
  assert.is(large.body, LARGE)
  const part = large.x.parts![0] as { file: { close(): void } }
  assert.ok('file' in part)
  part.file.close()
})

test('HEAD and conditional requests read no content', async () => {
  const requests: FakeRequest[] = [
    { method: 'HEAD' },
    { fields: { 'If-None-Match': '"x"' } },
    { fields: { 'If-Modified-Since': 'x' } },
  ]
  for (const request of requests) {
    const { x, outcome } = await get({ ...request, path: '/t.html' })
    assert.is(outcome, OK)
    assert.is(x.headers.contentLength, 8)
    const part = x.parts![0] as { file: { close(): void } }
    assert.ok('file' in part)
    part.file.close()
  }
})

test('methods', async () => {
  assert.is((await get({ method: 'POST', path: '/t.html' })).outcome, 'ERROR 405')
  assert.is((await get({ method: 'PUT', path: '/t.html' })).outcome, 'ERROR 405')
  assert.is((await get({ method: 'DELETE', path: '/' })).outcome, 'ERROR 405')
  assert.is((await get({ method: 'POST', path: '/missing' })).outcome, 'ERROR 404')
  assert.is((await get({ method: 'POST', path: '/' })).outcome, 'REDIRECT /index.html')
  assert.is((await get({ method: 'POST', path: '/sub' })).outcome, 'ERROR 301')
})

test('a missing file is a 404 and a line on the error log, unless log_not_found is off', async () => {
  const missing = await get({ path: '/missing' })
  assert.is(missing.outcome, 'ERROR 404')
  assert.equal(missing.logged, [`[error] open() "${folder}/missing" failed (2: No such file or directory)`])
  const below = await get({ path: '/t.html/x' })
  assert.is(below.outcome, 'ERROR 404')
  assert.equal(below.logged, [`[error] open() "${folder}/t.html/x" failed (20: Not a directory)`])
  const long = await get({ path: `/${'x'.repeat(300)}` })
  assert.is(long.outcome, 'ERROR 404')
  assert.match(long.logged[0]!, /failed \(36: File name too long\)$/)
  assert.equal((await get({ path: '/missing', settings: { logNotFound: false } })).logged, [])
})

test('a symbolic link is followed, a circle of them refused', async () => {
  symlinkSync('t.html', join(folder, 'link'))
  symlinkSync('circle', join(folder, 'circle'))
  assert.is((await get({ path: '/link' })).body, 'SEE-THIS')
  const circle = await get({ path: '/circle' })
  assert.is(circle.outcome, 'ERROR 403')
  assert.equal(circle.logged, [
    `[error] open() "${folder}/circle" failed (40: Too many levels of symbolic links)`,
  ])
})

/** As somebody who is not root, whom nothing would be denied. */
async function unprivileged(run: () => Promise<void>): Promise<void> {
  const root = process.geteuid!() === 0
  chmodSync(folder, 0o755)
  if (root) process.seteuid!(65534)
  try {
    await run()
  } finally {
    if (root) process.seteuid!(0)
  }
}

test('what may not be read is a 403', async () => {
  writeFiles(folder, { secret: 'x', 'locked/index.html': 'x' })
  chmodSync(join(folder, 'secret'), 0)
  chmodSync(join(folder, 'locked'), 0)
  await unprivileged(async () => {
    const file = await get({ path: '/secret' })
    assert.is(file.outcome, 'ERROR 403')
    assert.equal(file.logged, [`[error] open() "${folder}/secret" failed (13: Permission denied)`])
    const index = await get({ path: '/locked/' })
    assert.is(index.outcome, 'ERROR 403')
    assert.equal(index.logged, [`[error] "${folder}/locked/index.html" is forbidden (13: Permission denied)`])
  })
  chmodSync(join(folder, 'locked'), 0o700)
})

test('a named pipe neither hangs nor is served', async () => {
  spawnSync('mkfifo', [join(folder, 'pipe')])
  const { outcome, logged } = await get({ path: '/pipe' })
  assert.is(outcome, 'ERROR 404')
  assert.equal(logged, [`[crit] "${folder}/pipe" is not a regular file`])
})

test('a device is not served', async () => {
  assert.is((await get({ path: '/null', files: { root: () => '/dev' } })).outcome, 'ERROR 404')
})

test('a folder without its slash is redirected to it', async () => {
  const { x, outcome } = await get({ path: '/sub', args: 'a=b' })
  assert.is(outcome, 'ERROR 301')
  assert.is(x.headers.location, '/sub/?a=b')
})

test('a path that was rewritten to lead out of the root is refused', async () => {
  for (const path of ['/../etc/passwd', '/sub/..', '/sub/../t.html', '/..', '/t.html\0.gif']) {
    const { outcome, logged } = await get({ path })
    assert.is(outcome, 'ERROR 403', path)
    assert.match(logged[0]!, /is forbidden: it holds "\.\." or a NUL$/)
  }
  const byVariable = await get({ path: '/t.html', files: { root: () => `${folder}/sub/..` } })
  assert.is(byVariable.outcome, 'ERROR 403')
  assert.is((await get({ path: '/..name' })).outcome, 'ERROR 404')
})

test('names of bytes above ASCII and of reserved characters', async () => {
  assert.is((await get({ path: '/caf\xc3\xa9 ?%.html' })).body, 'name')
})

test('a request whose client has gone is not resumed', async () => {
  const { x, resumed } = makeExchange({ path: '/t.html', files: { root: () => folder } })
  assert.is(serveStatic(x), Step.SUSPENDED)
  x.closed = true
  const quiet = new Promise<string>((done) => setTimeout(() => done('quiet'), 50))
  assert.is(await Promise.race([resumed, quiet]), 'quiet')
  assert.is(x.parts, null)
})

// ---- alias ----

test('alias replaces the name of the location', async () => {
  const files = { root: () => `${folder}/sub/`, alias: true, aliased: '/pages/' }
  assert.is((await get({ path: '/pages/page.html', files })).body, 'page')
  assert.is((await get({ path: '/pages/', files })).outcome, 'REDIRECT /pages/index.html')
})

test('alias in a regular expression location is the whole path', async () => {
  const files = { root: () => `${folder}/sub/page.html`, alias: true, aliased: null }
  assert.is((await get({ path: '/anything', files })).body, 'page')
})

test('alias needs the name still to be there', async () => {
  const { x, logged } = makeExchange({
    path: '/new',
    files: { root: () => folder, alias: true, aliased: '/old/' },
  })
  x.locationValid = false
  assert.is(serveStatic(x), Step.ERROR)
  assert.is(x.status, 500)
  assert.equal(logged, ['[alert] "alias" cannot be used in location "/old/" where URI was rewritten'])
})

test('paths: root, alias, below an alias, relative to the prefix', () => {
  const map = (path: string, files: FakeRequest['files'], belowAlias = false) => {
    const { x } = makeExchange({ path, files })
    x.belowAlias = belowAlias
    return `${rootPath(x)} ${mapPath(x)}`
  }
  assert.is(map('/a/b', { root: () => '/data' }), '/data /data/a/b')
  assert.is(map('/a/b', { root: () => '/data/', alias: true, aliased: '/a/' }), '/data/ /data/b')
  assert.is(map('/a', { root: () => '/data/x', alias: true, aliased: null }), '/data/x /data/x')
  assert.is(map('/b', { root: () => '/data/x', alias: true, aliased: null }, true), '/data/x /data/x/b')
  assert.is(map('/a', { root: () => 'html' }), '/prefix/html /prefix/html/a')
})

// ---- index ----

const index = (...names: string[]) => ({
  index: names.map((name) => ({ get: () => name, absolute: name.startsWith('/') })),
})

test('the first index file that exists is redirected to, with the arguments', async () => {
  assert.is((await get({ path: '/' })).outcome, 'REDIRECT /index.html')
  assert.is((await get({ path: '/sub/', args: 'a=b' })).outcome, 'REDIRECT /sub/index.html?a=b')
  const files = index('missing.html', 'other.html', 'many.html', 'index.html')
  assert.is((await get({ path: '/', files })).outcome, 'REDIRECT /many.html')
})

test('an absolute index is redirected to unseen', async () => {
  assert.is((await get({ path: '/sub/', files: index('missing', '/re.html') })).outcome, 'REDIRECT /re.html')
  assert.is((await get({ path: '/missing/', files: index('/re.html') })).outcome, 'REDIRECT /re.html')
})

test('the target is written as a URI', async () => {
  const files = index('caf\xc3\xa9 ?%.html')
  assert.is((await get({ path: '/', files })).outcome, 'REDIRECT /caf%C3%A9%20%3F%25.html')
})

test('no index: 403', async () => {
  const { outcome, logged } = await get({ path: '/no-index/' })
  assert.is(outcome, 'ERROR 403')
  assert.equal(logged, [`[error] directory index of "${folder}/no-index/" is forbidden`])
})

test('no folder: 404, logged unless log_not_found is off', async () => {
  const { outcome, logged } = await get({ path: '/not-found/' })
  assert.is(outcome, 'ERROR 404')
  assert.equal(logged, [
    `[error] "${folder}/not-found/index.html" is not found (2: No such file or directory)`,
  ])
  assert.equal((await get({ path: '/not-found/', settings: { logNotFound: false } })).logged, [])
})

test('a file asked for as a folder: 404', async () => {
  const { outcome, logged } = await get({ path: '/index.html/' })
  assert.is(outcome, 'ERROR 404')
  assert.equal(logged, [`[error] "${folder}/index.html/index.html" is not found (20: Not a directory)`])
})

test('an index that a variable made cannot lead out of the folder', async () => {
  const { outcome } = await get({ path: '/sub/', files: index('../t.html') })
  assert.is(outcome, 'ERROR 403')
})

test('the root folder itself', async () => {
  mkdirSync(join(folder, 'bare'))
  assert.is((await get({ path: '/', files: { root: () => join(folder, 'bare') } })).outcome, 'ERROR 403')
})

test.run()
