// `sluice/testing` as its users get it: by the name of the package, from JavaScript under node:test, with its types.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { packageRoot } from '../../runtime/lib/package-root.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

const ROOT = fileURLToPath(packageRoot)
/** The build that this file belongs to. */
const BUILD = fileURLToPath(new URL('../..', import.meta.url))

/** A folder whose node_modules hold this package as it would be installed. */
function project(files: Record<string, string>): string {
  const folder = tempDir()
  const installed = join(folder, 'node_modules/sluice')
  mkdirSync(installed, { recursive: true })
  writeFileSync(join(installed, 'package.json'), readFileSync(join(ROOT, 'package.json')))
  symlinkSync(BUILD, join(installed, 'dist'))
  symlinkSync(join(ROOT, 'node_modules/@types'), join(folder, 'node_modules/@types'))
  writeFiles(folder, { 'package.json': '{ "type": "module" }', ...files })
  return folder
}

const SCRIPT = `export function balancer(r, upstream) {
  return upstream.hash(r.variables.arg_userId, { consistent: true })
}
`

test('from JavaScript, with the runner that Node brings', () => {
  const folder = project({
    'scripts/balancer.js': SCRIPT,
    'balancer.test.js': `
      import assert from 'node:assert/strict'
      import { test } from 'node:test'
      import { testScript } from 'sluice/testing'

      test('the same user, the same server', async () => {
        const script = await testScript('scripts/balancer.js', { upstream: ['a:1', 'b:1', 'c:1'] })
        assert.equal((await script.balancer({ args: 'userId=7' })).peer, 'b:1')
        script.dispose()
      })
    `,
  })
  const result = spawnSync(process.execPath, ['--test', 'balancer.test.js'], {
    cwd: folder,
    encoding: 'utf8',
  })
  assert.is(result.status, 0, result.stdout + result.stderr)
  assert.match(result.stdout, /pass 1\b/)
})

/** The examples of the README's section on testing. */
const EXAMPLES = [
  .../^## Testing a script$.*?^## /ms
    .exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))![0]
    .matchAll(/```js\n(.*?)```/gs),
].map(([, code]) => code ?? '')

test('as the README says', () => {
  const [whole = '', part = ''] = EXAMPLES
  const folder = project({
    'scripts/balancer.js': SCRIPT,
    'scripts/gate.js': `
      export async function access(r) {
        const { status } = await fetch('http://auth/check?' + r.variables.cookie_sid)
        if (status !== 204) r.return(403)
      }
      export function headerFilter(r) { r.headersOut.set('X-Realm', sluice.params.realm) }`,
    'whole.test.js': whole,
    'part.js': `import { testScript } from 'sluice/testing'\n${part}
      console.log(JSON.stringify([request.decisions.map((one) => one.outcome), filtered.headersOut]))`,
  })
  const run = (...args: string[]) => spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
  const first = run('--test', 'whole.test.js')
  assert.is(first.status, 0, first.stdout + first.stderr)
  const second = run('part.js')
  assert.is(second.stdout, '[["pass","pass"],{"x-realm":"shop"}]\n', second.stderr)
})

test('from TypeScript: what is right passes, what is wrong is marked', () => {
  const folder = project({
    'check.ts': `
      import { type Decision, type HookError, testScript } from 'sluice/testing'

      const script = await testScript(new URL('scripts/x.js', import.meta.url), {
        params: { percent: 5 },
        limits: { wall: '10s', memory: '32m' },
        upstream: { method: 'least_conn', servers: ['a:1', { name: 'b:1', down: true }] },
        fetch: { 'http://auth/*': (request) => ({ status: request.method === 'GET' ? 200 : 405 }) },
        now: new Date(0),
      })
      const decision: Decision = await script.balancer({ args: { userId: 7 }, headers: { A: ['b', 'c'] } })
      const peer: string | null = decision.peer
      const error: HookError | null = decision.error
      const request = script.request().rewrite().access()
      const status: number | undefined = (await request).answer?.status
      await script.wsMessage({ from: 'upstream', data: 'x' })
      await script.bodyFilter(['a', new Uint8Array(1)])
      await script.clock.advance('10s')
      script.dispose()
      export { peer, error, status }
    `,
    'wrong.ts': `
      import { testScript } from 'sluice/testing'
      const script = await testScript('x.js', { upstream: 5 })
      await script.balancr({})
      await script.access({ method: 5 })
      export const n: number = (await script.access()).outcome
    `,
  })
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const check = (file: string) =>
    spawnSync(
      process.execPath,
      [tsc, '--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--types', 'node', file],
      { cwd: folder, encoding: 'utf8' },
    )
  const right = check('check.ts')
  assert.is(right.stdout, '')
  assert.is(right.status, 0)
  const wrong = check('wrong.ts')
  const lines = [...wrong.stdout.matchAll(/^wrong\.ts\((\d+),/gm)].map(([, line]) => Number(line))
  assert.equal(lines, [3, 4, 5, 6], wrong.stdout)
})

test.run()
