// `limit_req`, `limit_conn` and their zones: what each line means, and what is wrong with those that mean nothing.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LIMITS } from './golden-texts.ts'
import { httpOf, plain, problemsOf } from './parsed.ts'

const ZONES = `limit_req_zone $arg_a zone=one:1m rate=1r/s;
limit_conn_zone $arg_a zone=two:1m;
`
const OWN_LINES = 3

/** Problems of a text in `http`, behind two zones; lines are the text's own. */
function problems(text: string): string[] {
  return problemsOf(`http {\n${ZONES}${text}\n}`).map((problem) =>
    problem.replace(/^(\d+)/, (line) => String(Number(line) - OWN_LINES)),
  )
}

test('zones and limits', () => {
  const { limitZones, settings, servers } = httpOf(LIMITS)
  assert.equal(plain(limitZones), [
    { kind: 'req', name: 'one', key: '$binary_remote_addr', size: 10_485_760, rate: 10_000, sync: false },
    { kind: 'req', name: 'two', key: '$arg_a$arg_b', size: 32_768, rate: 83, sync: true },
    { kind: 'conn', name: 'perserver', key: '$server_name', size: 1_048_576, rate: 0, sync: false },
  ])
  assert.equal(plain(settings.limitReqs), [
    { zone: 'one', burst: 0, delay: 0, store: false },
    { zone: 'two', burst: 20, delay: 8, store: false },
  ])
  assert.equal(
    [settings.limitReqStatus, settings.limitReqLogLevel, settings.limitReqDryRun],
    [429, 'warn', true],
  )
  assert.equal(plain(settings.limitConns), [{ zone: 'perserver', max: 65_535 }])
  assert.equal(
    [settings.limitConnStatus, settings.limitConnLogLevel, settings.limitConnDryRun],
    [429, 'info', true],
  )
  const [server] = servers
  assert.equal(plain(server!.settings.limitReqs), [{ zone: 'two', burst: 5, delay: Infinity, store: true }])
})

test('a rate without its unit is one per second', () => {
  assert.is(httpOf('limit_req_zone $arg_a zone=a:1m rate=7;').limitZones[0]!.rate, 7000)
})

test('what is wrong with a zone', () => {
  const cases: [text: string, problem: string][] = [
    [
      'limit_req_zone $arg_a zone=a:1m rate=1/s;',
      '1:33: invalid parameter "rate=1/s" of "limit_req_zone"; write a number of requests, such as "rate=10r/s" or "rate=30r/m"',
    ],
    [
      'limit_req_zone $arg_a zone=a:1m rate=0r/s;',
      '1:33: invalid parameter "rate=0r/s" of "limit_req_zone"; write a number of requests, such as "rate=10r/s" or "rate=30r/m"',
    ],
    [
      'limit_req_zone $arg_a zone=a rate=1r/s;',
      '1:23: invalid parameter "zone=a" of "limit_req_zone"; write a name and a size, such as "zone=one:10m"',
    ],
    [
      'limit_req_zone $arg_a zone=a:31k rate=1r/s;',
      '1:23: zone "a" is too small; write a size from 32k on, such as "10m"',
    ],
    [
      'limit_req_zone $arg_a zone=a:1m burst=1;',
      '1:33: invalid parameter "burst=1" of "limit_req_zone"; write "zone=NAME:SIZE", "rate=NUMBERr/s" or "sync"',
    ],
    ['limit_req_zone $arg_a rate=1r/s sync;', '1:1: "limit_req_zone" needs a zone; write "zone=NAME:SIZE"'],
    [
      'limit_req_zone $arg_a zone=a:1m;',
      '1:1: invalid number of arguments in "limit_req_zone"; it takes 3 to 4 arguments',
    ],
    [
      'limit_req_zone $nothing zone=a:1m rate=1r/s;',
      '1:16: unknown variable "$nothing"; define it with "set" or "map"',
    ],
    [
      'limit_conn_zone $arg_b zone=one:1m;',
      '1:1: the zone "one" is bound to the key "$arg_a" already, in line 2; choose another name',
    ],
    [
      'limit_conn_zone $arg_b size=1m;',
      '1:24: invalid parameter "size=1m" of "limit_conn_zone"; write "zone=NAME:SIZE"',
    ],
    [
      'server { limit_req_zone $arg_a zone=a:1m rate=1r/s; }',
      '1:10: "limit_req_zone" is not allowed here (in server); write it inside http',
    ],
  ]
  for (const [text, problem] of cases) assert.equal(problems(text), [problem], text)
})

test('what is wrong with a limit', () => {
  const requests = 'a number of requests from 1 to 1000000000'
  const cases: [text: string, problem: string][] = [
    ['limit_req burst=5;', '1:1: "limit_req" needs a zone; write "zone=NAME"'],
    ['limit_req zone=one burst=0;', `1:20: invalid parameter "burst=0" of "limit_req"; write ${requests}`],
    ['limit_req zone=one delay=x;', `1:20: invalid parameter "delay=x" of "limit_req"; write ${requests}`],
    [
      'limit_req zone=one shared;',
      '1:20: invalid parameter "shared" of "limit_req"; write "zone=NAME", "burst=N", "delay=N", "nodelay" or "store"',
    ],
    [
      'limit_req zone=none;',
      '1:1: unknown zone "none"; define it with "limit_req_zone KEY zone=none:10m rate=10r/s;"',
    ],
    // A zone of connections counts no requests.
    [
      'limit_req zone=two;',
      '1:1: unknown zone "two"; define it with "limit_req_zone KEY zone=two:10m rate=10r/s;"',
    ],
    ['limit_conn one 1;', '1:1: unknown zone "one"; define it with "limit_conn_zone KEY zone=one:10m;"'],
    [
      'limit_req zone=one; limit_req zone=one burst=2;',
      '1:21: "limit_req" of the zone "one" is duplicate; remove one',
    ],
    ['limit_conn two 1; limit_conn two 2;', '1:19: "limit_conn" of the zone "two" is duplicate; remove one'],
    [
      'limit_conn two 0;',
      '1:16: invalid value "0" in "limit_conn"; write a number of connections from 1 to 65535',
    ],
    [
      'limit_conn two 65536;',
      '1:16: invalid value "65536" in "limit_conn"; write a number of connections from 1 to 65535',
    ],
    [
      'limit_req_status 200;',
      '1:18: invalid value "200" in "limit_req_status"; write a status from 400 to 599',
    ],
    [
      'limit_conn_status 600;',
      '1:19: invalid value "600" in "limit_conn_status"; write a status from 400 to 599',
    ],
    [
      'limit_req_log_level crit;',
      '1:21: invalid value "crit" in "limit_req_log_level"; write "info", "notice", "warn" or "error"',
    ],
    ['limit_conn_dry_run yes;', '1:20: invalid value "yes" in "limit_conn_dry_run"; write "on" or "off"'],
  ]
  for (const [text, problem] of cases) assert.equal(problems(text), [problem], text)
})

test('a zone may be defined below its use', () => {
  assert.equal(problems('limit_req zone=late; limit_req_zone $arg_a zone=late:1m rate=1r/s;'), [])
})

test.run()
