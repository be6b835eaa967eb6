// TypeScript from the command line: tested, served, swapped in when it is saved, refused with line and caret.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { runSluice, startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

const main = `import { greet } from './greeting.js'
export function content(r: Sluice.ContentRequest): void {
  r.return(200, greet(r.args.name as string))
}
`
const greeting = (word: string) => `export const greet = (name: string): string => \`${word} \${name}\`\n`

test('a module of a script that is saved is swapped in; a mistake in it is refused, and the log has one line of it', async () => {
  const port = await freePort()
  const sluice = await startSluice(`server { listen 127.0.0.1:${port}; script scripts/main.ts; }`, {
    'scripts/main.ts': main,
    'scripts/greeting.ts': greeting('Hello'),
  })
  const client = new HttpClient(port)
  const body = async () => (await client.get('/?name=Ann')).body
  assert.is(await body(), 'Hello Ann')
  const file = join(sluice.folder, 'scripts/greeting.ts')
  writeFileSync(file, greeting('Good morning'))
  await sluice.waitForLog(/scripts changed: generation \d+ serves/)
  assert.is(await body(), 'Good morning Ann')
  writeFileSync(file, 'enum Word { Hello }\n')
  const [line] = await sluice.waitForLog(/\[error\].*greeting\.ts.*/)
  assert.match(line, `${file}:1:1: SyntaxError: an enum is code, not a type; write`)
  assert.is(await body(), 'Good morning Ann')
  client.close()
  assert.is(await sluice.stop(), 0)
  // No terminal: nothing but the log has a word of it.
  assert.not.match(sluice.errorLog(), '^')
})

test('-t names the place and shows the line', async () => {
  const folder = tempDir()
  writeFiles(folder, {
    'sluice.conf': 'server { listen 127.0.0.1:8080; script main.ts; }\n',
    'main.ts': main,
    'greeting.ts': 'export const greet = (name: string): string =>\n\t<string>name\n',
  })
  const { code, stderr } = await runSluice(['-t', '-c', 'sluice.conf'], folder)
  assert.is(code, 1)
  assert.is(
    stderr.replaceAll(folder, '.'),
    `sluice: [emerg] ./greeting.ts:2:2: SyntaxError: the assertion \`<T>x\` cannot be taken out in its place; write \`x as T\`
    2 |   <string>name
      |   ^
sluice: configuration file ./sluice.conf test failed
`,
  )
})

test('a message of a script cannot steer the terminal that it is shown on', async () => {
  const folder = tempDir()
  writeFiles(folder, {
    'sluice.conf': 'server { listen 127.0.0.1:8080; script a.js; }\n',
    'a.js': "throw new Error('\\x1b[2J\\nforged') // \x1b[31m\n",
  })
  const { stderr } = await runSluice(['-t', '-c', 'sluice.conf'], folder)
  assert.match(stderr, 'Error: \\x1b[2J\\nforged\n')
  assert.match(stderr, "    1 | throw new Error('\\x1b[2J\\nforged') // ·[31m\n")
  assert.not.match(stderr, /[\x1b\x9b]/)
})

test('init --typescript writes a set-up in TypeScript that passes its test and its type check', async () => {
  const folder = tempDir()
  const { code, stdout } = await runSluice(['init', '--typescript', 'site'], folder)
  assert.is(code, 0)
  for (const file of ['sluice.conf', 'scripts/balancer.ts', 'scripts/sluice.d.ts', 'tsconfig.json'])
    assert.match(stdout, `wrote site/${file}\n`)
  const tested = await runSluice(['-t', '-c', 'sluice.conf'], join(folder, 'site'))
  assert.is(tested.code, 0, tested.stderr)
  const tried = await runSluice(['try', '-c', 'sluice.conf', 'GET /?userId=7'], join(folder, 'site'))
  assert.match(tried.stdout, /balancer +scripts\/balancer\.ts +chooses 127\.0\.0\.1:800\d/)
})

test.run()
