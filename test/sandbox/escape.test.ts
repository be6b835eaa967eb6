// Scripts that look for a way out find nothing; what the engine itself gets wrong stays within its sandbox.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Outcome } from '../../runtime/phases.ts'
import { releaseRequest } from '../../runtime/script/engine.ts'
import { FakeHost, FakeRequest, load } from '../script/fake-request.ts'
import { fight, HONEST, honest, Stalls } from './arena.ts'
import { ENGINE_BUGS, PROBES, RETURNS } from './cases-escape.ts'

const stalls = new Stalls()

for (const { name, top = '', probe, phase = 'access', finds } of PROBES) {
  test(`probe: ${name}`, async () => {
    const body = /\breturn\b/.test(probe) ? probe : `return ${probe}`
    const host = new FakeHost()
    const script = await load(
      `${top}\nexport async function ${phase}(r, upstream) { const found = (() => { ${body} })(); r.variables.found = String(await found) }`,
      { host },
    )
    const request = new FakeRequest({ args: 'a=1&b=2', headers: [['Host', 'example.com']] })
    assert.is(await request.run(script, phase), Outcome.PASS, request.logged.join())
    assert.is(request.variables.found, finds)
    releaseRequest(request)
    assert.equal(host.logged, [])
    script.dispose()
  })
}

for (const one of RETURNS) test(one.name, () => fight(one, stalls).then(() => {}))

test('what the engine itself gets wrong hurts no other script', async () => {
  const bystander = await load(HONEST)
  let served = 0
  for (const one of ENGINE_BUGS) {
    await fight(one, stalls)
    await honest(bystander, ++served)
  }
  bystander.dispose()
})

test('one script sees nothing of another', async () => {
  const first = await load(
    'globalThis.secret = "s3cret"; Array.prototype.x = 1; export function access(r) { r.ctx.a = secret }',
  )
  const second = await load(
    'export function access(r) { r.log(typeof secret, [].x, Object.keys(r.ctx).length, Object.getOwnPropertyNames(globalThis).includes("secret")) }',
  )
  const request = new FakeRequest()
  await request.run(first, 'access')
  await request.run(second, 'access')
  releaseRequest(request)
  assert.equal(request.logged, ['info hooks.js: undefined undefined 0 false'])
  first.dispose()
  second.dispose()
})

test('fresh memory holds nothing of anybody', async () => {
  const first = await load(
    'export function access(r) { const a = []; for (let i = 0; i < 100; i++) a.push("tops3cret" + i) }',
  )
  await new FakeRequest({ headers: [['Cookie', 'tops3cret']] }).run(first, 'access')
  first.dispose()
  const second = await load(`
    export function access(r) {
      const seen = new Set()
      for (const word of new Int32Array(5e4)) seen.add(word)
      r.log([...seen].join())
    }`)
  const request = new FakeRequest()
  assert.is(await request.run(second, 'access'), Outcome.PASS, request.logged.join())
  assert.equal(request.logged, ['info hooks.js: 0'])
  second.dispose()
})

test('none of them stalls the event loop for longer than it may', () => {
  process.stdout.write(`\n${stalls.table('escapes')}`)
  stalls.assertBounded()
})

test.run()
