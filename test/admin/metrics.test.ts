// The metrics: they parse, and they add up to what was asked of the proxy.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { counter, gauge, histogram, metricsText } from '../../runtime/observe/metrics.ts'
import { TimeHistogram } from '../../runtime/observe/metrics-histogram.ts'
import { type CountedTry, Traffic } from '../../runtime/observe/metrics-traffic.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { handUpstream, openEnd } from '../proxy/ws-tools.ts'
import { AdminSite } from './site.ts'

/** Every sample by its name and labels; fails on a line that is none. */
function samples(text: string): Map<string, number> {
  const found = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const match =
      /^([a-z_:][a-z0-9_:]*)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[\d.e+-]+|NaN|\+Inf)$/i.exec(line)
    assert.ok(match, `no sample: ${line}`)
    const labels = (match[2] ?? '').replace(/,\}$/, '}')
    assert.not.ok(found.has(match[1] + labels), `twice: ${line}`)
    found.set(match[1] + labels, Number(match[3]))
  }
  return found
}

test('times are counted in their bucket, and in every bucket above it', async () => {
  const times = new TimeHistogram()
  for (const ms of [0, 1, 2, 3, 100, 59_999, 60_001, -5]) times.observe(ms)
  const found = samples(await metricsText([[histogram('t_seconds', 'Times.', [[{ a: 'b' }, times]])]]))
  const bucket = (le: string) => found.get(`t_seconds_bucket{le="${le}",a="b"}`)
  assert.equal(
    [bucket('0.001'), bucket('0.002'), bucket('0.005'), bucket('0.1'), bucket('60'), bucket('+Inf')],
    [3, 4, 5, 6, 7, 8],
  )
  assert.is(found.get('t_seconds_count{a="b"}'), 8)
  assert.is(found.get('t_seconds_sum{a="b"}'), 120.106)
})

test('several processes make one: sums, but for what all speak of', async () => {
  const process = (calls: number, generation: number) => [
    counter('calls_total', 'Calls.', [[{ script: 'a "b"\\\n' }, calls]]),
    gauge('open', 'Open.', [[{}, calls]]),
    gauge('generation', 'Generation.', [[{}, generation]], 'max'),
  ]
  const text = await metricsText([process(1, 7), process(2, 8)])
  assert.match(
    text,
    '# HELP calls_total Calls.\n# TYPE calls_total counter\ncalls_total{script="a \\"b\\"\\\\\\n"} 3\n',
  )
  const found = samples(text)
  assert.equal([found.get('open'), found.get('generation')], [3, 8])
})

test('names that requests make are bounded', () => {
  const traffic = new Traffic()
  const tried = (group: string): CountedTry => ({
    group,
    address: '127.0.0.1:1',
    status: 200,
    reused: false,
    connectTime: 1,
    headerTime: 2,
    responseTime: 3,
  })
  for (let i = 0; i < 1500; i++) {
    const tries = [tried(`g${i}`)]
    traffic.count({
      server: { name: 'a' },
      status: 200,
      startedAt: Date.now(),
      bytesSent: 1,
      requestLength: 1,
      parent: null,
      tries,
    })
  }
  assert.is(traffic.upstreams.size, 1001)
  assert.is(traffic.upstreams.get('other')!.classes[2], 500)
  assert.is(traffic.servers.get('a')!.classes[2], 1500)
})

test('requests, answers, failures, scripts, swaps and connections add up', async () => {
  let fail = 0
  const upstream = await recordingUpstream(() => (fail-- > 0 ? null : ok('fine')))
  const site = await AdminSite.start(
    (port, admin) => `admin ${admin};
    upstream chat { server ${upstream.address}; server 127.0.0.1:1 down; keepalive 4; }
    session_map users;
    server { listen 127.0.0.1:${port}; server_name site.example;
      proxy_http_version 1.1; proxy_set_header Connection "";
      location / { proxy_pass http://chat; script a.js; }
      location /gone { return 404; } }`,
    {
      'a.js': `export function access(r) { if (r.args.bad) throw new Error('bad'); if (r.args.no) r.return(403) }
        export function log(r) {}`,
    },
  )
  const client = new HttpClient(site.port)
  for (let i = 0; i < 20; i++) await client.get('/')
  for (let i = 0; i < 3; i++) await client.get('/gone')
  for (let i = 0; i < 2; i++) await client.get('/?no=1')
  const { status } = await client.get('/?bad=1')
  assert.is(status, 500)
  client.close()
  fail = 1
  const lost = new HttpClient(site.port)
  assert.is((await lost.get('/')).status, 502)
  lost.close()
  await site.push('a.js', `export function access(r) {}\nexport function log(r) {}\n`)
  await site.push('a.js', 'no script')
  await site.get('/')

  const answer = await site.ask('GET', '/metrics')
  assert.is(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8')
  const found = samples(answer.text)
  const one = (name: string) => found.get(name)
  const requests = (status: string) => one(`sluice_requests_total{server="site.example",status="${status}"}`)
  assert.equal([requests('2xx'), requests('4xx'), requests('5xx')], [21, 5, 2])
  assert.is(one('sluice_request_duration_seconds_count{server="site.example"}'), 28)
  assert.is(one('sluice_request_duration_seconds_bucket{le="+Inf",server="site.example"}'), 28)
  assert.is(one('sluice_upstream_responses_total{upstream="chat",status="2xx"}'), 21)
  assert.is(one('sluice_upstream_header_seconds_count{upstream="chat"}'), 21)
  const opened = one('sluice_upstream_connections_total{upstream="chat",connection="new"}')!
  const reused = one('sluice_upstream_connections_total{upstream="chat",connection="reused"}')!
  assert.is(opened + reused, 21 + one('sluice_upstream_failures_total{upstream="chat"}')!)
  assert.is(one('sluice_upstream_no_peer_total{upstream="chat"}'), 1)
  assert.ok(opened < 5 && opened >= 1)
  assert.is(one(`sluice_upstream_peer_up{upstream="chat",peer="${upstream.address}"}`), 1)
  assert.is(one('sluice_upstream_peer_up{upstream="chat",peer="127.0.0.1:1"}'), 0)
  assert.is(one(`sluice_upstream_peer_connections{upstream="chat",peer="${upstream.address}"}`), 0)
  const script = `script="${site.path('a.js')}"`
  // 20 requests, two refused, one failed, one lost, and one of the version after.
  assert.is(one(`sluice_script_calls_total{${script},hook="access"}`), 25)
  assert.is(one(`sluice_script_errors_total{${script},hook="access"}`), 1)
  assert.ok(one(`sluice_script_memory_bytes{${script}}`)! > 0)
  assert.equal(
    [one('sluice_swaps_total{result="served"}'), one('sluice_swaps_total{result="refused"}')],
    [2, 1],
  )
  assert.is(one('sluice_generation'), 2)
  assert.is(one('sluice_connections_accepted_total'), 3)
  assert.is(one('sluice_store_breaker{store="memory"}'), 0)
  assert.is(one('sluice_session_map_total{map="users",what="hits"}'), 0)
  assert.ok(one('process_cpu_seconds_total')! > 0)
  await site.close()
  await upstream.close()
})

test('WebSockets, and their messages where scripts read them', async () => {
  const upstream = await handUpstream()
  const site = await AdminSite.start(
    (port, admin) => `admin ${admin}; server { listen 127.0.0.1:${port};
      location / { proxy_pass http://${upstream.address}; script a.js; ws_close_timeout 300ms; } }`,
    { 'a.js': 'export function wsMessage(r, msg, ws) {}' },
  )
  const client = await openEnd(site.port, '/')
  const peer = await upstream.next(1)
  client.text('one')
  client.text('two')
  await peer.seen(2)
  peer.text('three')
  await client.seen(1)
  const count = async (name: string) => samples((await site.ask('GET', '/metrics')).text).get(name)
  assert.is(await count('sluice_websockets_open'), 1)
  assert.is(await count('sluice_websocket_messages_total{from="client"}'), 2)
  assert.is(await count('sluice_websocket_messages_total{from="upstream"}'), 1)
  await site.close()
  await upstream.close()
})

test('nothing is counted where nobody can read it', async () => {
  const site = await AdminSite.start((port) => `server { listen 127.0.0.1:${port}; return 200 a; }`)
  await site.get()
  assert.is(site.gateway.services.traffic, null)
  await site.close()
})

test.run()
