// Every module of stdlib has its page and its typings, each export is on both and in nothing else, and the example
// on each page runs and does what it says.

import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { evaluate, load, ROOT, SandboxRequest } from './sandbox.ts'
import { ModuleTypings, type Parameter, parametersAt } from './typings.ts'

const MODULES = readdirSync(join(ROOT, 'stdlib'))
  .filter((name) => name.endsWith('.js'))
  .map((name) => name.slice(0, -3))
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')

const page = (name: string) => readFileSync(join(ROOT, 'stdlib', `${name}.md`), 'utf8')

function example(name: string): string {
  const found = /^## Example\n\n```js\n(.*?)^```$/ms.exec(page(name))
  assert.ok(found, `stdlib/${name}.md has no example`)
  return found![1]!
}

function exportsOf(name: string): Promise<string[]> {
  return evaluate(`import * as module from 'sluice:${name}'`, 'Object.keys(module)') as Promise<string[]>
}

/** Pages about everything, not about a module. */
const GENERAL = ['request.md', 'limits.md']

test('each module has a page, and no page is without a module', () => {
  const pages = readdirSync(join(ROOT, 'stdlib')).filter((name) => name.endsWith('.md'))
  assert.equal(
    pages.filter((name) => !GENERAL.includes(name)),
    MODULES.map((name) => `${name}.md`),
  )
})

/** How a module's own text declares what it exports under this name. */
function declared(name: string, exported: string): Parameter[] {
  const source = readFileSync(join(ROOT, 'stdlib', `${name}.js`), 'utf8')
  const own = new RegExp(`^export \\{ (\\w+) as ${exported} \\}`, 'm').exec(source)?.[1] ?? exported
  const start =
    new RegExp(`^(?:export )?(?:async )?function ${own}\\(`, 'm').exec(source) ??
    new RegExp(`^(?:export )?class ${own}\\b[^{]*\\{[^}]*?constructor\\(`, 'm').exec(source)
  assert.ok(start, `stdlib/${name}.js does not declare ${exported}`)
  return parametersAt(source, start!.index)
}

/** Every way in which a page calls what the module exports: in tables and in headings. */
function written(name: string): [exported: string, parameters: Parameter[]][] {
  const rows = page(name).match(/^(\| `\w+\(|## \w+\().*$/gm) ?? []
  return rows.flatMap((row) => {
    const text = row.split('` | ')[0]!
    return [...text.matchAll(/(\w+)(?=\()/g)].map((match): [string, Parameter[]] => [
      match[1]!,
      parametersAt(text, match.index),
    ])
  })
}

/** What is different between two descriptions of one function; undefined: nothing. */
function difference(typed: Parameter[], other: Parameter[], types: ModuleTypings): string | undefined {
  if (typed.length !== other.length) return `${other.length} parameters instead of ${typed.length}`
  for (const [i, parameter] of typed.entries()) {
    const { name, names, rest } = other[i]!
    if (rest !== parameter.rest) return `${parameter.name} is ${rest ? 'a' : 'no'} rest parameter`
    if (names.length === 0 && name !== parameter.name) return `${name} instead of ${parameter.name}`
    const unknown = names.filter((part) => !types.properties(parameter.type).includes(part))
    if (unknown.length > 0) return `${parameter.name} has no ${unknown.join(', ')}`
  }
  return undefined
}

for (const name of MODULES) {
  test(`${name}: what is exported is on the page, and the other way round`, async () => {
    const names = await exportsOf(name)
    // Functions stand in the first column of tables and in headings, as `name(…)` or, in a row of several, as `name`.
    const rows = page(name).match(/^(\| `\w+\(|## \w+\().*$/gm) ?? []
    const documented = rows.flatMap((row) => {
      const cell = row.startsWith('|') ? row.slice(1, row.indexOf('|', 1)) : row
      return [...cell.matchAll(/(?:^|[`\s,#])([a-z]\w*)(?=\(|`)/gi)].map((match) => match[1]!)
    })
    assert.equal([...new Set(documented)].sort(), [...names].sort())
  })
}

for (const name of MODULES) {
  test(`${name}: parameters have one name and one default in code, typings and page`, async () => {
    const types = new ModuleTypings(name)
    const calls = written(name)
    const wrong: string[] = []
    for (const exported of await exportsOf(name)) {
      const typed = types.parameters(exported)
      const code = declared(name, exported)
      const inCode = difference(typed, code, types)
      if (inCode !== undefined) wrong.push(`${exported} in the code: ${inCode}`)
      const onPage = calls.filter(([called]) => called === exported).map(([, parameters]) => parameters)
      for (const parameters of onPage) {
        const found = difference(typed, parameters, types)
        if (found !== undefined) wrong.push(`${exported} on the page: ${found}`)
      }
      for (const [i, { name: parameter, default: value }] of code.entries()) {
        // That an object of options may be left out is no default worth telling.
        if (parameter === '' || value === '{}') continue
        const told = onPage.map((parameters) => parameters[i]?.default)
        if (told.some((other) => other !== value))
          wrong.push(`${exported}: ${parameter} = ${value} on the page`)
        if (value !== null && !typed[i]!.optional) wrong.push(`${exported}: ${parameter} is optional`)
      }
    }
    assert.equal(wrong, [])
  })
}

test('what is exported is in the typings, and the other way round', async () => {
  const lines: string[] = []
  for (const name of MODULES) {
    const union = (await exportsOf(name)).map((exported) => `'${exported}'`).join(' | ')
    lines.push(`const ${name}: Same<keyof typeof import('sluice:${name}'), ${union}> = true`)
    lines.push(`export { ${name} }`)
  }
  // Tuples keep the comparison from spreading over the union; a difference shows both sides in the error.
  const same = `type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : { missing: Exclude<B, A> }) : { unknown: Exclude<A, B> }`
  const folder = tempDir()
  writeFiles(folder, { 'check.ts': `${same}\n${lines.join('\n')}\n` })
  const flags = [
    '--noEmit',
    '--strict',
    '--target',
    'es2023',
    '--module',
    'esnext',
    '--moduleResolution',
    'bundler',
  ]
  const files = [join(ROOT, 'stdlib/sluice.d.ts'), join(folder, 'check.ts')]
  const result = spawnSync(process.execPath, [TSC, ...flags, '--lib', 'es2023', '--types', '', ...files], {
    cwd: folder,
    encoding: 'utf8',
  })
  assert.is(result.stdout, '')
  assert.is(result.status, 0)
})

test("policy's example: key, peer, fields", async () => {
  const script = await load(example('policy'))
  const request = new SandboxRequest({
    headers: { 'X-API-Key': 'k2' },
    args: 'userId=1001',
    response: { Server: 'x' },
  })
  for (const phase of ['access', 'balancer', 'headerFilter'] as const) await request.run(script, phase)
  assert.is(request.reply, null)
  assert.equal(request.peers.hashed, ['1001', true])
  assert.equal(request.responseHeaders.entries(), [['X-Served', 'http://example.com']])
  const stranger = new SandboxRequest({ headers: { 'X-API-Key': 'k3' } })
  await stranger.run(script, 'access')
  assert.is(stranger.reply?.status, 403)
  script.dispose()
})

test("hash's example: only with the right signature", async () => {
  const script = await load(example('hash'), { params: { secret: 's3cret' } })
  const sign = (uri: string) =>
    evaluate(`import { hmac } from 'sluice:hash'`, `hmac('sha256', 's3cret', '${uri}', 'base64url')`)
  const status = async (args: string) => {
    const request = new SandboxRequest({ uri: '/files/a.pdf', args })
    await request.run(script, 'access')
    return request.reply?.status ?? 'passed'
  }
  assert.is(await status(`sig=${await sign('/files/a.pdf')}`), 'passed')
  assert.is(await status(`sig=${await sign('/files/b.pdf')}`), 403)
  assert.is(await status(''), 403)
  const request = new SandboxRequest({ uri: '/files/a.pdf' })
  await request.run(script, 'headerFilter')
  assert.match(request.responseHeaders.get('x-shard') ?? '', /^[abc]\.example:80$/)
  script.dispose()
})

test("headers' example: one language, and a Vary", async () => {
  const script = await load(example('headers'))
  const language = async (value: string) => {
    const request = new SandboxRequest({
      headers: { 'Accept-Language': value },
      response: { Vary: 'Origin' },
    })
    await request.run(script, 'rewrite')
    await request.run(script, 'headerFilter')
    return [request.requestHeaders.get('accept-language'), request.responseHeaders.get('vary')]
  }
  assert.equal(await language('fr;q=0.5, de;q=0.9'), ['de', 'Origin, Accept-Language'])
  assert.equal(await language('ja'), ['en', 'Origin, Accept-Language'])
  script.dispose()
})

test("url's example: path to parameter, tracking gone", async () => {
  const script = await load(example('url'))
  const rewritten = async (uri: string, args: string) => {
    const request = new SandboxRequest({ uri, args })
    await request.run(script, 'rewrite')
    return `${request.uri}?${request.rawArgs}`
  }
  assert.is(await rewritten('/users/42/orders', 'utm_source=x&page=2'), '/orders?page=2&user=42')
  assert.is(await rewritten('/other', 'a=%7e&utm_medium=y'), '/other?a=%7e')
  script.dispose()
})

test("cookie's example: an id at the first visit, the old cookie removed", async () => {
  const script = await load(example('cookie'))
  const set = async (headers: Record<string, string>) => {
    const request = new SandboxRequest({ headers, variables: { request_id: 'abc123' } })
    await request.run(script, 'headerFilter')
    return request.responseHeaders.getAll('set-cookie')
  }
  assert.equal(await set({}), ['visitor=abc123; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax'])
  assert.equal(await set({ Cookie: 'visitor=x; legacy=1' }), [
    'legacy=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT',
  ])
  script.dispose()
})

test.run()
