/** The layers of `runtime/`: a file imports from its own level or from lower ones, never from above. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { packageRoot } from '../runtime/lib/package-root.ts'

const RUNTIME = fileURLToPath(new URL('runtime', packageRoot))

/** The highest level that matches decides; see CONTRIBUTING.md. */
const LEVELS: readonly (readonly [level: number, paths: RegExp])[] = [
  [0, /^(lib\/|version\.ts)/],
  [1, /^(http1\/|ws\/|phases\.ts|config\/model\.ts)/],
  [2, /^(listen|upstream|observe|config|fetch|store)\//],
  [3, /^(proxy|script)\//],
  [4, /^([a-z-]+\.ts$|(?:testing|replay)\/)/],
  [5, /^(cli|admin|supervisor|fleet)\//],
]

function levelOf(path: string): number {
  const entry = LEVELS.find(([, paths]) => paths.test(path))
  if (entry === undefined) throw new Error(`${path} has no level; add its folder to the table`)
  return entry[0]
}

/** Types cost nothing at run time, but they bind all the same: both kinds of import count. */
function importsOf(path: string): string[] {
  const text = readFileSync(join(RUNTIME, path), 'utf8')
  const names = [...text.matchAll(/^(?:import|export)\b[^'"]*?from '(\.[^']+)'/gm)].map((match) => match[1])
  return names.map((name) => relative(RUNTIME, resolve(RUNTIME, path, '..', name)))
}

const files = readdirSync(RUNTIME, { recursive: true, encoding: 'utf8' }).filter(
  (path) => /\.ts$/.test(path) && !path.endsWith('.d.ts'),
)

test('no file imports from a level above its own', () => {
  const wrong: string[] = []
  for (const path of files) {
    for (const target of importsOf(path)) {
      if (levelOf(target) > levelOf(path))
        wrong.push(`${path} (level ${levelOf(path)}) imports ${target} (level ${levelOf(target)})`)
    }
  }
  assert.equal(wrong, [])
})

test('the script engine and the journey know each other only through phases.ts', () => {
  const wrong: string[] = []
  for (const path of files) {
    for (const target of importsOf(path)) {
      if (path.startsWith('script/') && target.startsWith('proxy/')) wrong.push(`${path} imports ${target}`)
      if (path.startsWith('proxy/') && target.startsWith('script/')) wrong.push(`${path} imports ${target}`)
    }
  }
  assert.equal(wrong, [])
})

test('codecs do no I/O', () => {
  const wrong = files.filter(
    (path) =>
      /^(http1|ws)\//.test(path) &&
      /from 'node:(net|fs|http|dns|tls)/.test(readFileSync(join(RUNTIME, path), 'utf8')),
  )
  assert.equal(wrong, [])
})

test.run()
