// What a script may import: files of its own folder tree and the standard library, nothing else.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { FakeRequest, load, refusal } from './fake-request.ts'

/** A folder with these files. */
function folder(files: Readonly<Record<string, string>>): string {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-imports-')))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  return path
}

const HOOK = "import { name } from './lib/name.js'\nexport function log(r) { r.log(name) }"

test('relative files, up and down in the tree, each once', async () => {
  const root = folder({
    'hooks/main.js':
      "import { name } from '../lib/name.js'\nimport './beside.js'\nexport function log(r) { r.log(name) }",
    'hooks/beside.js': "import { counter } from '../lib/counter.js'\ncounter.n++",
    'lib/name.js': "import { counter } from './counter.js'\ncounter.n++\nexport const name = 'n' + counter.n",
    'lib/counter.js': 'export const counter = { n: 0 }',
  })
  const script = await load(undefined, { file: join(root, 'hooks/main.js'), root })
  const request = new FakeRequest()
  request.start(script, 'log')
  assert.is(request.logged[0], 'info main.js: n1')
  assert.equal(
    [...script.files].sort(),
    ['hooks/beside.js', 'hooks/main.js', 'lib/counter.js', 'lib/name.js'].map((name) => join(root, name)),
  )
})

test('errors in an imported file are told by that file', async () => {
  const root = folder({ 'main.js': HOOK, 'lib/name.js': '\nexport const name = null.x' })
  assert.match(
    await refusal(undefined, { file: join(root, 'main.js') }),
    `${root}/lib/name.js:2:25: TypeError`,
  )
  writeFileSync(join(root, 'lib/name.js'), 'export const name = (')
  assert.match(await refusal(undefined, { file: join(root, 'main.js') }), `${root}/lib/name.js:1:`)
  writeFileSync(join(root, 'lib/name.js'), 'export const other = 1')
  assert.match(await refusal(undefined, { file: join(root, 'main.js') }), "Could not find export 'name'")
})

test('what cannot be imported, told at the import', async () => {
  const root = folder({ 'main.js': '', '../outside.js': 'export const secret = 1' })
  symlinkSync(join(root, '..', 'outside.js'), join(root, 'link.js'))
  symlinkSync('/etc', join(root, 'etc'))
  const cases: [specifier: string, why: string][] = [
    ['./none.js', 'there is no such file'],
    ['../outside.js', 'it lies outside the folder of the script'],
    ['./link.js', 'it lies outside the folder of the script'],
    ['./etc/hostname', 'it lies outside the folder of the script'],
    ['./../../../../../../etc/passwd', 'it lies outside the folder of the script'],
    ['/etc/passwd', "a module is './FILE.js', './FILE.ts' or 'sluice:NAME'"],
    ['node:fs', "a module is './FILE.js'"],
    ['fs', "a module is './FILE.js'"],
    ['std', "a module is './FILE.js'"],
    ['os', "a module is './FILE.js'"],
    ['file:///etc/passwd', "a module is './FILE.js'"],
    ['https://example.com/x.js', "a module is './FILE.js'"],
    ['sluice:nope', 'the standard library has no such module'],
    ['sluice:../policy', "a module is './FILE.js'"],
    ['sluice:internal', 'it is for the standard library alone'],
  ]
  const file = join(root, 'main.js')
  for (const [specifier, why] of cases) {
    writeFileSync(file, `// hooks\nimport x from '${specifier}'\nexport function log() {}`)
    assert.is(
      (await refusal(undefined, { file }))
        .slice(0, file.length + 100 + specifier.length)
        .includes(`${file}:2:15: cannot import '${specifier}': ${why}`),
      true,
      `${specifier}: ${await refusal(undefined, { file })}`,
    )
  }
  rmSync(join(root, '..', 'outside.js'))
})

test('the same by import() at run time: a rejection, and no file is read any more', async () => {
  const root = folder({
    'main.js': `
      export async function log(r) {
        for (const name of ['node:fs', './later.js', 'sluice:internal', 'sluice:jwt', '../x.js', './known.js']) {
          try { r.log(Object.keys(await import(name)).join()) } catch (e) { r.log(e.message) }
        }
      }
      await import('./known.js')`,
    'known.js': 'export const known = 1',
    'later.js': 'export const later = 1',
  })
  const script = await load(undefined, { file: join(root, 'main.js') })
  const request = new FakeRequest()
  assert.is(await request.run(script, 'log'), Outcome.PASS)
  const seen = request.logged.map((line) => line.replace('info main.js: ', ''))
  assert.match(seen[0], "cannot import 'node:fs'")
  assert.match(seen[1], "cannot import './later.js': it was not imported when the script was loaded")
  assert.match(seen[2], "cannot import 'sluice:internal'")
  assert.match(seen[3], "cannot import 'sluice:jwt'")
  assert.match(seen[4], "cannot import '../x.js'")
  assert.is(seen[5], 'known')
})

test('symbolic links inside the tree are followed', async () => {
  const root = folder({ 'v2/lib/name.js': "export const name = 'linked'", 'v2/main.js': HOOK })
  symlinkSync('v2', join(root, 'current'))
  symlinkSync('current/main.js', join(root, 'main.js'))
  symlinkSync('current/lib', join(root, 'lib'))
  const script = await load(undefined, { file: join(root, 'main.js') })
  const request = new FakeRequest()
  request.start(script, 'log')
  assert.is(request.logged[0], 'info main.js: linked')
  assert.ok(script.files.includes(join(root, 'main.js')))
})

test('what the standard library is made of, only it can reach', async () => {
  const script = await load(`
    import { hash } from 'sluice:policy'
    export function log(r) {
      r.log(typeof globalThis['sluice:library'], typeof hash, Object.getOwnPropertyNames(globalThis).filter((n) => /sluice|library|door/.test(n)).join())
    }`)
  const request = new FakeRequest()
  request.start(script, 'log')
  assert.is(request.logged[0], 'info hooks.js: undefined function sluice')
})

test('host builtins through a module of the library', async () => {
  const script = await load(`
    import { crc32, murmur3, fnv1a, sha256, hmac, md5, timingSafeEqual } from 'sluice:hash'
    export function log(r) {
      r.log(crc32('123456789'), murmur3('hello', 1), fnv1a('hello'), md5('caf\u00e9'), sha256(new Uint8Array([1, 2, 3]).subarray(1), 'base64'),
        hmac('sha1', 'key', 'data', 'bytes').length, timingSafeEqual('a', 'b'), timingSafeEqual('a', 'a'))
    }`)
  const request = new FakeRequest()
  request.start(script, 'log')
  assert.is(
    request.logged[0],
    'info hooks.js: 3421780262 3142237357 1335831723 07117fe4a1ebd544965dc19573183da2 7pBA9lw0GFXgcP9DjrDqnVuDGyosJw+371ktdQQI47M= 20 false true',
  )
})

test('templates are compiled once and expanded per request', async () => {
  const script = await load(`
    import { headers } from 'sluice:policy'
    export const headerFilter = headers({ set: { 'X-User': 'u-$arg_id-$name' } })`)
  for (const [id, name] of [
    ['1', 'a'],
    ['2', 'caf\xc3\xa9'],
  ]) {
    const request = new FakeRequest({ args: `id=${id}`, variables: { name } })
    assert.is(request.start(script, 'headerFilter'), Outcome.PASS, request.logged.join())
    assert.is(request.responseHeaders.get('x-user'), `u-${id}-${name}`)
  }
  assert.match(
    await refusal(
      "import { headers } from 'sluice:policy'\nexport const headerFilter = headers({ set: { X: '$unknown_x' } })",
    ),
    /hooks\.js:2:\d+: Error: unknown variable in/,
  )
})

test.run()
