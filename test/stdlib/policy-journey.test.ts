// sluice:policy on the way through the whole proxy: what needs a configuration around it to mean anything.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Application, http } from '../examples/example.ts'
import { freePort } from '../lib/ports.ts'
import { type SluiceProcess, startSluice } from '../lib/proxy-process.ts'

let old: Application
let fresh: Application
let sluice: SluiceProcess
const port = await freePort()

const scripts = {
  'canary.js': `
    import { canary } from 'sluice:policy'
    export const rewrite = canary('$arg_userId', { percent: sluice.params.percent, to: '@fresh', header: 'X-Canary' })`,
  'pool.js': `
    import { canary, headers } from 'sluice:policy'
    export const rewrite = canary('$arg_userId', { percent: 100, set: { pool: 'fresh' } })
    export const headerFilter = headers({ set: { 'X-Pool': '$pool', 'X-Path': '$uri' } })`,
  'ab.js': `
    import { abTest } from 'sluice:policy'
    export const { rewrite, headerFilter } =
      abTest('$arg_userId', { variants: { blue: 1, green: 1 }, set: 'variant', header: 'X-Variant', cookie: 'ab' })`,
  'down.js': `
    import { maintenance } from 'sluice:policy'
    export const access = maintenance({ unless: '$arg_staff', retryAfter: 60 })`,
  'gate.js': `
    import { denyIf } from 'sluice:policy'
    export const access = denyIf('$arg_how', ['page', 'fields', 'away'], sluice.params.how === 'fields'
      ? { status: 429, headers: { 'Retry-After': '7' } }
      : sluice.params.how === 'away' ? { redirect: 'http://$host/sorry' } : {})`,
}

const config = `
  upstream old { server 127.0.0.1:OLD; }
  upstream fresh { server 127.0.0.1:FRESH; }
  server {
    listen 127.0.0.1:${port};
    set $pool old;
    set $variant none;
    script scripts/canary.js percent=100;
    location / { proxy_pass http://old; }
    location @fresh { proxy_pass http://fresh; }
    location /pool { script scripts/pool.js; proxy_pass http://$pool; }
    location /ab { script scripts/ab.js; proxy_pass http://old; add_header X-Variant $variant; }
    location /down { script scripts/down.js; proxy_pass http://old; }
    location /gate/ {
      script scripts/gate.js how=page;
      proxy_pass http://old;
      location /gate/fields { script scripts/gate.js how=fields; proxy_pass http://old; }
      location /gate/away { script scripts/gate.js how=away; proxy_pass http://old; }
    }
  }`

test.before(async () => {
  old = await Application.start((_, response) => response.end('old'))
  fresh = await Application.start((_, response) => response.end('fresh'))
  const ports = config.replace('OLD', String(old.port)).replace('FRESH', String(fresh.port))
  const files = Object.entries(scripts).map(([name, text]) => [`scripts/${name}`, text])
  sluice = await startSluice(ports, Object.fromEntries(files))
})

test.after(async () => {
  await sluice.stop()
  await old.stop()
  await fresh.stop()
})

const get = (path: string, headers: Record<string, string> = {}) => http(port, path, { headers })

test('canary: a rule of the server leads to a named location once, not in a circle', async () => {
  assert.is((await get('/?userId=7')).body, 'fresh')
  assert.is((await get('/')).body, 'old')
  assert.is((await get('/?userId=7', { 'X-Canary': 'never' })).body, 'old')
  assert.is((await get('/', { 'X-Canary': 'always' })).body, 'fresh')
})

test('canary: a variable chooses the group of servers', async () => {
  const chosen = await get('/pool?userId=7')
  assert.equal([chosen.body, chosen.headers['x-pool']], ['fresh', 'fresh'])
  const other = await get('/pool')
  assert.equal([other.body, other.headers['x-pool']], ['old', 'old'])
})

test('headers: a decoded line break of the path splits no header', async () => {
  const { status, headers } = await get('/pool%0d%0aX-Evil:%201')
  assert.equal([status, headers['x-path'], headers['x-evil']], [200, '/pool%0D%0AX-Evil: 1', undefined])
})

test('abTest: variable, request header and cookie agree', async () => {
  const first = await get('/ab?userId=7')
  const variant = String(first.headers['x-variant'])
  assert.match(variant, /^(blue|green)$/)
  assert.is(old.requests.at(-1)!.headers['x-variant'], variant)
  assert.equal(first.headers['set-cookie'], [`ab=${variant}; Path=/; Max-Age=2592000; SameSite=Lax`])
  const kept = variant === 'blue' ? 'green' : 'blue'
  const second = await get('/ab?userId=7', { Cookie: `ab=${kept}` })
  assert.equal([second.headers['x-variant'], second.headers['set-cookie']], [kept, undefined])
})

test('maintenance: 503 with Retry-After, but for the staff', async () => {
  const { status, headers, body } = await get('/down')
  assert.equal([status, headers['retry-after'], body], [503, '60', 'Down for maintenance.\n'])
  assert.is(headers['content-type'], 'text/plain; charset=utf-8')
  assert.is((await get('/down?staff=1')).body, 'old')
})

test('denyIf: the error page, fields, or a redirect', async () => {
  const page = await get('/gate/?how=page')
  assert.is(page.status, 403)
  assert.match(page.body, '403 Forbidden')
  const fields = await get('/gate/fields?how=fields')
  assert.equal([fields.status, fields.headers['retry-after'], fields.body], [429, '7', ''])
  const away = await get('/gate/away?how=away')
  assert.equal([away.status, away.headers.location], [302, 'http://127.0.0.1/sorry'])
  assert.is((await get('/gate/')).body, 'old')
})

test('a variable that nobody declared is refused at load', async () => {
  const script = `import { canary } from 'sluice:policy'; export const rewrite = canary('$uri', { percent: 1, set: { pol: 'x' } })`
  let message = ''
  try {
    await startSluice('server { listen 127.0.0.1:1; script a.js; }', { 'a.js': script })
  } catch (error) {
    message = (error as Error).message
  }
  assert.match(message, /a\.js:1:\d+: .*unknown variable "\$pol"/)
})

test.run()
