/**
 * What routing and variables cost a request: nanoseconds for `$arg_userId`, a header, templates, a location search
 * among 30 prefixes, a server name, a map, a short rewrite program. Run it alone:
 *
 *   node dist/test/bench/micro-variables.js
 */
import type { Exchange } from '../../runtime/proxy/exchange.ts'
import { RouteServer } from '../proxy/route-server.ts'

const ROUNDS = 500_000

const prefixes = Array.from({ length: 30 }, (_, i) => `location /service-${i}/api/ { return 200 ${i}; }`)
const server = new RouteServer(`
  map $arg_userId $group { default other; 41 a; 42 b; ~^9 nine; }
  server {
    ${prefixes.join('\n')}
    location / { return 200 root; }
    location /rules { set $key "$arg_userId"; if ($http_upgrade) { return 400; } rewrite ^/rules/(.*)$ /$1 break; }
  }
  server { server_name www.example.com; }
  server { server_name *.example.org; }`)

const target = '/service-17/api/users?room=lobby&userId=42&last=1'
const fields = [
  ['Host', 'localhost'],
  ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64)'],
  ['Accept', '*/*'],
  ['Accept-Encoding', 'gzip, deflate, br'],
  ['Cookie', 'session=0123456789abcdef; theme=dark'],
  ['X-Request-Tag', 'seven'],
] as const
const x = server.request(`GET ${target}`, { fields })
const rules = server.go('GET /rules/x?userId=42', { fields }).x.location.rules

/** Best of five, so that what else the machine does counts little. */
function measure(name: string, run: (x: Exchange) => unknown): void {
  let best = Number.POSITIVE_INFINITY
  let sink = 0
  for (let pass = 0; pass < 5; pass++) {
    const started = performance.now()
    for (let i = 0; i < ROUNDS; i++) if (run(x) === null) sink++
    best = Math.min(best, performance.now() - started)
  }
  if (sink === ROUNDS * 5) throw new Error(`${name} found nothing`)
  process.stdout.write(`${name.padEnd(40)} ${((best * 1e6) / ROUNDS).toFixed(0).padStart(5)} ns\n`)
}

const { binder } = server
const variable = (name: string) => ({ variable: name })
measure('an empty call', () => undefined)
measure('$arg_userId', binder.required('arg_userId'))
measure('$http_user_agent', binder.required('http_user_agent'))
measure('$http_x_request_tag', binder.required('http_x_request_tag'))
measure('$cookie_theme', binder.required('cookie_theme'))
measure(
  '$scheme://$host$request_uri',
  binder.bindParts([variable('scheme'), '://', variable('host'), variable('request_uri')]),
)
measure('$proxy_add_x_forwarded_for', binder.required('proxy_add_x_forwarded_for'))
measure('map, not cached', (one) => {
  one.values.length = 0
  return binder.required('group')(one)
})
measure('location among 32 prefixes', (one) => one.server.locations.find(one))
measure('server rules, location, location rules', (one) => {
  one.path = '/rules/x'
  return rules!.run(one)
})
