// The page of the scripts: every script is on it, and its lines of configuration are ones that the proxy takes.

import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatProblem, parseConfig } from '../../runtime/config/parse.ts'
import { packageRoot } from '../../runtime/lib/package-root.ts'
import { gallery } from './gallery.ts'

const ROOT = fileURLToPath(packageRoot)
const PAGE = readFileSync(gallery('README.md'), 'utf8')

const scripts = readdirSync(gallery('')).filter((name) => name.endsWith('.js'))

test('every script is on the page, with lines to use it and a test', () => {
  const tests = readdirSync(`${ROOT}test/gallery`)
  for (const name of scripts) {
    assert.ok(PAGE.includes(`[${name}](${name})`), `${name} is not in the table`)
    assert.match(PAGE, new RegExp(`^ *script scripts/${name.replace('.', '\\.')}`, 'm'), name)
    assert.ok(tests.includes(name.replace('.js', '.test.ts')), `${name} has no test`)
  }
})

test('the hooks in the table are those that the script exports', () => {
  for (const name of scripts) {
    const source = readFileSync(gallery(name), 'utf8')
    const exported = [...source.matchAll(/^export (?:async )?(?:function|const) (?:(\w+)|\{ ([\w, ]+) \})/gm)]
    const hooks = exported.flatMap(([, one, several]) => one ?? several?.split(', ') ?? [])
    const row = PAGE.split('\n').find((line) => line.startsWith(`| [${name}]`)) ?? ''
    const listed = [...(row.split('|')[3] ?? '').matchAll(/`(\w+)`/g)].map(([, hook]) => hook)
    assert.equal(listed, hooks, name)
  }
})

const blocks = [...PAGE.matchAll(/```nginx\n(.*?)```/gs)].map(([, block]) => block ?? '')

for (const block of blocks) {
  test(`the proxy takes: ${/script \S+/.exec(block)?.[0]}`, () => {
    const body = block.includes('server {') ? block : `server {\n${block}}\n`
    const text = `upstream app { server 127.0.0.1:8001; }\nupstream next { server 127.0.0.1:8002; }\n${body}`
    const { problems } = parseConfig({ file: `${ROOT}described.conf`, prefix: ROOT, text })
    assert.equal(
      problems.map((problem) => formatProblem(problem)),
      [],
    )
  })
}

test.run()
