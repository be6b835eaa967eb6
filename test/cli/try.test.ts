// `sluice try`: the way of one request, told without anything being sent. Each test is a configuration, a request, and
// what is printed; only times and the date are left out.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { runSluice } from '../lib/proxy-process.ts'
import { recordingUpstream } from '../lib/recording-upstream.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

type Files = Readonly<Record<string, string>>

/** Runs `sluice try` in a folder with this sluice.conf; what is printed to stdout, with times and dates as N. */
async function dryRun(config: string, args: readonly string[], files: Files = {}): Promise<string> {
  const folder = tempDir()
  writeFiles(folder, { ...files, 'sluice.conf': config })
  const { code, stdout, stderr } = await runSluice(['try', '-c', 'sluice.conf', ...args], folder)
  assert.is(code, 0, stderr)
  assert.is(stderr, '')
  return stdout.replace(/[\d.]+ [µm]s/g, 'N µs').replace(/Date: .*/, 'Date: N')
}

/** Runs `sluice try` to be refused; what is printed to stderr. */
async function refusal(config: string, args: readonly string[], files: Files = {}): Promise<string> {
  const folder = tempDir()
  writeFiles(folder, { ...files, 'sluice.conf': config })
  const { code, stdout, stderr } = await runSluice(['try', '-c', 'sluice.conf', ...args], folder)
  assert.is(code, 1)
  assert.is(stdout, '')
  return stderr.replaceAll(folder, '.')
}

const BALANCED = `upstream app {
    server 127.0.0.1:8001;
    server 127.0.0.1:8002;
    server 127.0.0.1:8003;
}
server {
    listen 127.0.0.1:8080;
    server_name example.com;
    location /chat {
        script balancer.js;
        proxy_pass http://app;
        proxy_set_header Host $host;
    }
    location /plain {
        proxy_pass http://app/inner;
    }
}
`

const BALANCER = `export function balancer(r, upstream) {
  return upstream.hash(r.variables.arg_userId, { consistent: true })
}
`

test('a balancer hook: what it read, what it asked for, the peer, and the head that it would get', async () => {
  const printed = await dryRun(BALANCED, ['GET /chat?userId=7', '-H', 'X-A: b'], { 'balancer.js': BALANCER })
  assert.is(
    printed,
    `GET /chat?userId=7
  listen       127.0.0.1:8080
  server       example.com                         sluice.conf:6
  location     /chat                               sluice.conf:9
  balancer     balancer.js                         chooses 127.0.0.1:8001  N µs, first call N µs
                 $arg_userId = "7"
                 hash("7", consistent) -> 127.0.0.1:8001
  peer         127.0.0.1:8001                      of app, by balancer.js: hash("7", consistent)
  request      GET /chat?userId=7 HTTP/1.1
               Host: localhost
               X-A: b
`,
  )
})

test('without a hook the configured method chooses', async () => {
  const printed = await dryRun(BALANCED, ['/plain/x?a=b'], { 'balancer.js': BALANCER })
  assert.match(printed, /peer +127\.0\.0\.1:8001 +of app, by round_robin\n/)
  assert.match(printed, 'GET /inner/x?a=b HTTP/1.1\n')
})

test('the key of a hash is told', async () => {
  const config =
    'upstream app { hash $remote_addr consistent; server 127.0.0.1:8001; server 127.0.0.1:8002; }\n' +
    'server { listen 127.0.0.1:8080; location / { proxy_pass http://app; } }\n'
  const printed = await dryRun(config, ['/', '--from', '203.0.113.9'])
  assert.match(printed, /peer .* of app, by hash consistent, key "203\.0\.113\.9"\n/)
})

test('nothing is sent, logged or written', async () => {
  const upstream = await recordingUpstream()
  const folder = tempDir()
  const config = `error_log error.log info; pid sluice.pid;
server {
    listen 127.0.0.1:8080;
    access_log access.log;
    location / { access_log other.log; error_log inner.log; proxy_pass http://${upstream.address}; }
}
`
  writeFiles(folder, { 'sluice.conf': config })
  const { code, stdout } = await runSluice(['try', '-c', 'sluice.conf', '/x'], folder)
  assert.is(code, 0)
  assert.match(stdout, `peer         ${upstream.address}`)
  assert.equal(readdirSync(folder), ['sluice.conf'])
  assert.equal(upstream.connections, [])
  await upstream.close()
})

test('hooks that wait, that set variables and that change the request are shown in their order', async () => {
  const config = `server {
    listen 127.0.0.1:8080;
    set $tenant none;
    location / {
        script hooks.js;
        proxy_pass http://127.0.0.1:8001;
    }
}
`
  const hooks = `export function rewrite(r) {
  r.variables.tenant = r.variables.http_x_tenant
  r.uri = '/t' + r.uri
}
export function headerFilter(r) {}
export async function access(r) {
  await new Promise((done) => setTimeout(done, 1))
  if (r.variables.tenant === 'acme') return
  r.return(403, 'no\\n')
}
`
  const printed = await dryRun(config, ['/x', '-H', 'X-Tenant: acme'], { 'hooks.js': hooks })
  assert.is(
    printed,
    `GET /x
  listen       127.0.0.1:8080
  server       (no server_name)                    sluice.conf:1
  location     /                                   sluice.conf:4
  rewrite      hooks.js                            passes  N µs
                 $http_x_tenant = "acme"
                 set $tenant = "acme"
                 uri = "/x"
                 set uri = "/t/x"
  rewrite      /x -> /t/x                          sluice.conf:4
  access       hooks.js                            passes  waited, N µs
                 $tenant = "acme"
  peer         127.0.0.1:8001                      of 127.0.0.1:8001, by round_robin
  request      GET /t/x HTTP/1.1
               Host: 127.0.0.1:8001
               X-Tenant: acme
  later        headerFilter                        with the response
`,
  )
  const refused = await dryRun(config, ['/x'], { 'hooks.js': hooks })
  assert.match(refused, /\$http_x_tenant = \(no value\)\n/)
  assert.match(refused, /answer +403 Forbidden +by access of hooks\.js\n/)
  assert.match(refused, '\n               "no"\n')
})

test('a hook that throws is told with its own words and place', async () => {
  const config =
    'server { listen 127.0.0.1:8080; script bad.js; location / { proxy_pass http://127.0.0.1:8001; } }\n'
  const printed = await dryRun(config, ['/x'], {
    'bad.js': "export function access(r) {\n  throw new Error('out of order')\n}\n",
  })
  assert.match(printed, /access +bad\.js +failed/)
  assert.match(
    printed,
    `                 Error: out of order
                   2 |   throw new Error('out of order')
                     |                  ^
`,
  )
  assert.match(printed, /log +\[error\] .*out of order/)
  assert.match(printed, /bad\.js:2/)
  assert.match(printed, /answer +500 Internal Server Error/)
})

test('a rewrite is shown with the locations before and after it', async () => {
  const config = `server {
    listen 127.0.0.1:8080;
    rewrite ^/very-old/(.*) /old/$1;
    location /old/ { rewrite ^/old/(.*) /new/$1?from=old last; }
    location /new/ { return 200 "$uri $args\\n"; }
}
`
  assert.is(
    await dryRun(config, ['/very-old/x?a=1']),
    `GET /very-old/x?a=1
  listen       127.0.0.1:8080
  server       (no server_name)                    sluice.conf:1
  rewrite      /very-old/x?a=1 -> /old/x?a=1       sluice.conf:1
  location     /old/                               sluice.conf:4
  rewrite      /old/x?a=1 -> /new/x?from=old&a=1   sluice.conf:4
  location     /new/                               sluice.conf:5
  answer       200 OK                              by rewrite
  response     HTTP/1.1 200 OK
               Server: sluice/${await version()}
               Date: N
               Content-Type: text/plain
               Content-Length: 20
               Connection: keep-alive
               "/new/x from=old&a=1"
`,
  )
})

test('an answer of our own is told with the redirect it holds', async () => {
  const config = 'server { listen 127.0.0.1:8080; location /r { return 301 /elsewhere; } }\n'
  const printed = await dryRun(config, ['/r'])
  assert.match(printed, /answer +301 Moved Permanently +by rewrite\n/)
  assert.match(printed, '               Location: http://localhost:8080/elsewhere\n')
})

test('error pages and internal redirects are followed', async () => {
  const config = `server {
    listen 127.0.0.1:8080;
    root nowhere;
    error_page 404 = @fallback;
    location @fallback { proxy_pass http://127.0.0.1:8001; }
}
`
  const printed = await dryRun(config, ['/missing'])
  assert.match(
    printed,
    /log +\[error\] open\(\) ".*nowhere\/missing" failed \(2: No such file or directory\)\n/,
  )
  assert.match(printed, /redirect +@fallback +by error_page\n {2}location +@fallback +sluice\.conf:5\n/)
  assert.match(printed, /peer +127\.0\.0\.1:8001/)
})

test('a small file is shown, a large one is named by its size', async () => {
  const config = 'server { listen 127.0.0.1:8080; root .; }\n'
  const small = await dryRun(config, ['/a.txt'], { 'a.txt': 'hello' })
  assert.match(small, /answer +200 OK +by content\n/)
  assert.match(small, '               Content-Length: 5\n')
  assert.match(small, '               "hello"\n')
  const large = await dryRun(config, ['/b.bin'], { 'b.bin': 'x'.repeat(1_000_000) })
  assert.match(large, '               (1000000 bytes of a file)\n')
})

test('return 444 closes without an answer', async () => {
  const printed = await dryRun('server { listen 127.0.0.1:8080; return 444; }\n', ['/'])
  assert.match(
    printed,
    /closed +the connection is closed without an answer +in rewrite\n|in server rewrite\n/,
  )
})

test('a server is found by name, and an address by the port of the Host or by --at', async () => {
  const config = `server { listen 127.0.0.1:8080; return 200 first; }
server { listen 127.0.0.1:8081; return 200 second; }
server { listen 127.0.0.1:8081; server_name *.example.com; return 200 third; }
`
  const shown = async (...args: string[]) => /"(.*)"\n$/.exec(await dryRun(config, args))![1]
  assert.is(await shown('/'), 'first')
  assert.is(await shown('/', '--at', '8081'), 'second')
  assert.is(await shown('/', '--at', '127.0.0.1:8081', '-H', 'Host: a.example.com'), 'third')
  assert.is(await shown('/', '-H', 'Host: a.example.com:8081'), 'third')
  assert.is(await shown('GET http://b.example.com:8081/'), 'third')
  assert.is(
    await refusal(config, ['/', '--at', '9999']),
    'sluice: try: no server listens on "9999"; addresses are 127.0.0.1:8080, 127.0.0.1:8081\n',
  )
})

test('a body reaches the hooks that read it', async () => {
  const config = 'server { listen 127.0.0.1:8080; script form.js; }\n'
  const printed = await dryRun(config, ['/login', '-d', 'user=ann'], {
    'form.js':
      'export async function content(r) {\n  r.return(200, r.method + " " + (await r.readForm()).user)\n}\n',
  })
  assert.match(printed, /^POST \/login\n/)
  assert.match(printed, /answer +200 OK +by content of form\.js\n/)
  assert.match(printed, '\n               "POST ann"\n')
})

test('control characters of a request are shown, not obeyed', async () => {
  const printed = await dryRun('server { listen 127.0.0.1:8080; return 200 "$http_x\\n"; }\n', [
    '/',
    '-H',
    'X: a\x9bb',
  ])
  assert.match(printed, '"a\\x9bb"')
  assert.not.match(printed, '\x9b')
})

test('a request that is none, and headers that cannot be given, are refused with a sentence', async () => {
  const config = 'server { listen 127.0.0.1:8080; return 204; }\n'
  const cases: [string[], string][] = [
    [[], "no request given; write it as 'GET /path?key=1'"],
    [['GET /a b c'], '"GET /a b c" is not a request; write it as \'GET /path?key=1\''],
    [['foo'], '"foo" is not a request; write it as \'GET /path?key=1\''],
    [['/', '-H', 'no colon'], '"no colon" is not a header; write it as \'Name: value\''],
    [['/', '-H', 'A: b\r\nX: c'], '"A: b\\r\\nX: c" is not a header; write it as \'Name: value\''],
    [
      ['/', '-H', 'Content-Length: 5'],
      'Content-Length follows from the body; give the body with -d or --response-body',
    ],
    [
      ['/', '-H', 'Host: a', '-H', 'Host: b'],
      'the request is refused with 400: client sent duplicate host header',
    ],
    [['/', '--from', 'here'], '"--from here" is not an address; write one like 203.0.113.7'],
    [['/', '-n', '5'], '-n needs the argument that differs: -n 1000 --vary userId'],
    [['/', '-n', '0', '--vary', 'a'], '"-n 0" is not a number from 1 to 1000000'],
    [['/', '--vary', 'a-b'], '"--vary a-b" cannot be the name of a variable $arg_NAME'],
  ]
  for (const [args, sentence] of cases) assert.is(await refusal(config, args), `sluice: try: ${sentence}\n`)
  assert.match(
    await refusal(config, ['/', '--bogus']),
    /^sluice: try: there is no option "--bogus"; see try -h\n$/,
  )
})

test('a request that the proxy refuses is answered as the proxy would', async () => {
  const printed = await dryRun('server { listen 127.0.0.1:8080; return 204; }\n', ['/../..'])
  assert.match(printed, /answer +400 Bad Request/)
})

test('a configuration that is wrong is located, and so is a script', async () => {
  assert.match(
    await refusal('server { lissen 80; }\n', ['/']),
    'sluice: [emerg] ./sluice.conf:1:10: unknown directive "lissen"',
  )
  const scripted = 'server { listen 127.0.0.1:8080; script a.js; return 204; }\n'
  assert.match(
    await refusal(scripted, ['/'], { 'a.js': 'export function access(r) {\n  return (\n}\n' }),
    /^sluice: \[emerg\] .*a\.js:3:1: SyntaxError: .*\n {4}3 \| }\n {6}\| \^\n$/,
  )
})

test('--help says how it is used', async () => {
  const { code, stdout } = await runSluice(['try', '--help'], tempDir())
  assert.is(code, 0)
  assert.match(stdout, /^Usage: sluice try /)
})

async function version(): Promise<string> {
  const { stderr } = await runSluice(['-v'], join(tempDir()))
  return /sluice\/([\d.]+)/.exec(stderr)![1]
}

test.run()
