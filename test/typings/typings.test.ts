// stdlib/sluice.d.ts as an editor uses it: good scripts have no type error, bad ones have each error they should.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runSluice } from '../lib/proxy-process.ts'
import { tempDir } from '../lib/temp.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')

/** The type errors of a folder's project; '' if there are none. */
function typeErrors(folder: string, config = 'jsconfig.json'): string {
  const result = spawnSync(process.execPath, [TSC, '-p', join(folder, config)], { encoding: 'utf8' })
  assert.not(result.status === null, String(result.error))
  return result.stdout
}

test('a good script has no type error, a bad one has every error that its comments expect', () => {
  assert.is(typeErrors(join(ROOT, 'test/typings')), '')
})

test('the scripts that we ship have no type error', () => {
  assert.is(typeErrors(join(ROOT, 'scripts')), '')
})

test('the scripts of the examples have no type error', () => {
  assert.is(typeErrors(join(ROOT, 'examples')), '')
})

test('what `sluice init` writes has no type error', async () => {
  for (const [options, config] of [
    [[], 'jsconfig.json'],
    [['--typescript'], 'tsconfig.json'],
  ] as const) {
    const folder = tempDir()
    const { code, stderr } = await runSluice(['init', ...options, folder], folder)
    assert.is(code, 0, stderr)
    assert.is(typeErrors(folder, config), '')
  }
})

test.run()
