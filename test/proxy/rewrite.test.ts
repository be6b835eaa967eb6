// The rewrite module beyond the answers of `route-cases.ts`: steps, state of the request, files, logs, hostile input.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Step } from '../../runtime/proxy/step.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { RouteServer } from './route-server.ts'

const SERVER = new RouteServer(`
  absolute_redirect off;
  server {
    location / { }
    location /moved { rewrite ^ /there redirect; }
    location /break { rewrite ^ /other break; return 500; }
    location /stop { rewrite ^ /other; break; }
    location /break-only { break; }
    location /return204 { return 204; }
    location /return200 { return 200; }
    location /return405 { return 405; }
    location /return302 { return 302 "text"; }
    location /page.html { return 404 page; }
    location /444 { return 444; }
    location /split { return 301 $uri; }
    location /query { rewrite ^ /x?u=$uri break; }
    location /setargs { set $args $uri; }
  }`)

test('a status alone, and a redirect, get the page for the status; text is sent as it is', () => {
  assert.is(SERVER.go('GET /return405').step, Step.ERROR)
  assert.is(SERVER.go('GET /return302').step, Step.ERROR)
  assert.is(SERVER.go('GET /moved').step, Step.ERROR)
  assert.is(SERVER.go('GET /page.html').step, Step.HEADER_FILTER)
  assert.is(SERVER.go('GET /return204').step, Step.HEADER_FILTER)
})

test('return takes its type from the extension, and none for 204', () => {
  assert.is(SERVER.go('GET /page.html').x.headers.contentType, 'text/html')
  assert.is(SERVER.go('GET /page.html').x.headers.contentLength, 4)
  assert.is(SERVER.go('GET /return200').x.headers.contentType, 'text/plain')
  assert.is(SERVER.go('GET /return200').x.headers.contentLength, 0)
  assert.is(SERVER.go('GET /return204').x.headers.contentType, null)
})

test('a rewrite marks the request as internal and its target as changed', () => {
  const { x, step } = SERVER.go('GET /break?a=b')
  assert.is(step, Step.LIMIT)
  assert.is(x.path, '/other')
  assert.is(x.args, 'a=b')
  assert.is(x.location.name, '/break')
  assert.ok(x.internal)
  assert.not(x.unparsedValid)
  assert.not(x.locationValid)
})

test('break keeps the location, whose name is no longer in front of the path', () => {
  const { x } = SERVER.go('GET /stop')
  assert.is(x.path, '/other')
  assert.is(x.location.name, '/stop')
  assert.not(x.locationValid)
})

test('break without a rewrite changes nothing', () => {
  const { x } = SERVER.go('GET /break-only')
  assert.ok(x.locationValid)
  assert.ok(x.unparsedValid)
  assert.not(x.internal)
})

test('ten URI changes are served, the eleventh is a cycle', () => {
  const locations = Array.from({ length: 11 }, (_, i) => `location = /${i} { rewrite ^ /${i + 1} last; }`)
  const server = new RouteServer(`server { ${locations.join('\n')} location / { return 200 $uri; } }`)
  assert.is(server.answer('GET /1'), '200 /11')
  assert.is(server.answer('GET /0'), '500')
})

test('a URI change on the server level is none of the ten', () => {
  const server = new RouteServer('server { rewrite ^/a /b; location / { } }')
  const { x, step } = server.go('GET /a')
  assert.is(step, Step.LIMIT)
  assert.is(x.path, '/b')
  assert.is(x.uriChanges, 11)
})

test('an uninitialized variable is empty and warned about once', () => {
  const server = new RouteServer('server { location / { if ($arg_x) { set $c 1; } return 200 "[$c$c]"; } }')
  assert.is(server.answer('GET /'), '200 []')
  assert.equal(server.logged, ['[warn] using uninitialized "c" variable'])
})

test('uninitialized_variable_warn off is silent', () => {
  const server = new RouteServer(`uninitialized_variable_warn off;
    server { location / { if ($arg_x) { set $c 1; } return 200 "[$c]"; } }`)
  assert.is(server.answer('GET /'), '200 []')
  assert.equal(server.logged, [])
})

test('rewrite_log tells what matched', () => {
  const server = new RouteServer('server { rewrite_log on; location / { rewrite ^/(a) /b/$1?x break; } }')
  server.answer('GET /a')
  server.answer('GET /c')
  assert.equal(server.logged, [
    '[notice] "^/(a)" matches "/a"',
    '[notice] rewritten data: "/b/a", args: "x"',
    '[notice] "^/(a)" does not match "/c"',
  ])
})

test('an empty path is an error', () => {
  const server = new RouteServer('server { location / { rewrite ^/zero(.*) $1; } }')
  assert.is(server.answer('GET /zero'), '500')
  assert.equal(server.logged, ['[error] the rewritten URI has a zero length'])
})

// ---- what a client sent encoded ----

test('a decoded line break never becomes one in Location', () => {
  assert.is(SERVER.answer('GET /split/%0d%0aSet-Cookie:x'), '301 /split/%0D%0ASet-Cookie:x')
})

test('a decoded blank or line break never ends the request line of an upstream', () => {
  assert.is(SERVER.go('GET /query/a%20b%0d%0aX:1').x.args, 'u=/query/a%20b%0D%0AX:1')
  assert.is(SERVER.go('GET /setargs/a%20b%0d%0aX:1').x.args, '/setargs/a%20b%0D%0AX:1')
})

// ---- if ----

test('a true if is a location: its settings and content hold from there on', () => {
  const server = new RouteServer(`server { location / {
    root /outer;
    if ($arg_a) { root /inner; }
    if ($arg_b) { proxy_pass http://127.0.0.1:9; }
    if ($arg_c) { root /stopped; break; }
    set $reached yes;
  } }`)
  const root = (line: string) => server.go(line).x.location.settings.root.text
  assert.is(root('GET /'), '/outer')
  assert.is(root('GET /?a=1'), '/inner')
  // the last one that is true counts, whatever the ones before it gave
  assert.is(root('GET /?a=1&b=1'), '/outer')
  assert.is(root('GET /?a=1&c=1'), '/stopped')
  assert.is(server.go('GET /').x.location.content.kind, 'static')
  assert.is(server.go('GET /?b=1').x.location.content.kind, 'proxy')
  const slot = server.binder.slot('reached')
  assert.is(server.go('GET /?a=1').x.values[slot], 'yes')
  assert.is(server.go('GET /?c=1').x.values[slot], undefined)
})

test('if tests files', () => {
  const folder = tempDir()
  writeFiles(folder, { file: '', 'dir/x': '' })
  const tests = { plain: '-f', dir: '-d', exist: '-e', exec: '-x' }
  const locations = Object.entries(tests).map(
    ([name, test]) => `
      location /${name} { if (${test} ${folder}/$arg_c) { return 204; } }
      location /not_${name} { if (!${test} ${folder}/$arg_c) { return 204; } }`,
  )
  const server = new RouteServer(`server { ${locations.join('')} }`)
  const holds = (target: string) => server.answer(`GET ${target}`).startsWith('204')
  const cases: [string, string, boolean][] = [
    ['plain', 'file', true],
    ['plain', 'dir', false],
    ['dir', 'file', false],
    ['dir', 'dir', true],
    ['exist', 'file', true],
    ['exist', 'dir', true],
    ['exist', 'nx', false],
    ['exist', 'file/below', false],
    ['exist', 'x'.repeat(300), false],
    ['exec', 'file', false],
    ['exec', 'dir', true],
  ]
  for (const [name, file, truth] of cases) {
    assert.is(holds(`/${name}?c=${file}`), truth, `${name} ${file}`)
    assert.is(holds(`/not_${name}?c=${file}`), !truth, `not ${name} ${file}`)
  }
  assert.equal(server.logged, [])
})

test.run()
