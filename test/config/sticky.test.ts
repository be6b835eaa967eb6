// `sticky` as the model has it, and what is wrong with one that means nothing.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { STICKY } from './golden-texts.ts'
import { httpOf, plain, problemsOf } from './parsed.ts'

test('every kind of sticky', () => {
  const { upstreams, sessionMaps } = httpOf(STICKY)
  const cookie = { kind: 'cookie', name: 'peer', domain: null, path: null, httpOnly: false, secure: false }
  assert.equal(
    upstreams.map(({ sticky }) => plain(sticky)),
    [
      { kind: 'map', map: 'users', key: '$arg_user-$arg_room' },
      {
        ...cookie,
        expires: 3600,
        domain: '.$host',
        path: '/app',
        httpOnly: true,
        secure: true,
        sameSite: 'Lax',
      },
      { ...cookie, expires: 'max', sameSite: '$arg_s' },
      { kind: 'route', lookups: ['$cookie_route', `$${'{arg_route}'}`] },
      {
        kind: 'learn',
        creates: ['$upstream_cookie_s'],
        lookups: ['$cookie_s', '$arg_s'],
        header: true,
        map: 'sticky:sessions',
      },
    ],
  )
  const [one, two] = upstreams[0]!.servers
  assert.equal([one!.route, one!.drain, two!.route, two!.drain], ['one', false, '', true])
  // Learned sessions live in a map that no script's can be named like.
  assert.equal(
    sessionMaps.map(({ name, ttl, max, onError }) => [name, ttl, max, onError]),
    [
      ['sticky:sessions', 3_600_000, 8000, 'stale'],
      ['users', 3_600_000, 1_000_000, 'hash'],
    ],
  )
})

test('what is wrong with a sticky', () => {
  const cases: [sticky: string, problem: RegExp][] = [
    ['sticky', /"sticky".*at least 1 argument/],
    ['sticky nonsense', /invalid parameter "nonsense".*write "cookie NAME", "route \$VARIABLE"/],
    ['sticky map=users', /sticky needs a key; write "key=\$arg_userId"/],
    ['sticky map=users key=', /invalid parameter "key="/],
    ['sticky map=users key=$arg_a more=b', /invalid parameter "more=b"/],
    ['sticky map=others key=$arg_a', /unknown session map "others"; define it with "session_map others;"/],
    ['sticky cookie', /write the name of a cookie/],
    ['sticky cookie "a b"', /write the name of a cookie/],
    ['sticky cookie a expires=soon', /invalid parameter "expires=soon"/],
    ['sticky cookie a "path=/;b"', /invalid parameter "path=\/;b"/],
    ['sticky cookie a samesite=maybe', /invalid parameter "samesite=maybe"/],
    ['sticky cookie a secure secure', /the parameter "secure" is duplicate/],
    ['sticky cookie a domain=$nonsense', /nonsense/],
    ['sticky route', /variables behind it/],
    ['sticky route cookie_a', /invalid parameter "cookie_a".*write a variable/],
    [
      'sticky learn',
      /sticky learn needs "create=\$VARIABLE" and "lookup=\$VARIABLE" and "zone=NAME:SIZE"; add it/,
    ],
    ['sticky learn create=$arg_a lookup=$arg_a zone=z:1k', /invalid parameter "zone=z:1k"/],
    ['sticky learn create=a lookup=$arg_a zone=z:1m', /invalid parameter "create=a"/],
    ['sticky learn create=$arg_a lookup=$arg_a zone=z:1m timeout=0', /invalid parameter "timeout=0"/],
    ['sticky route $arg_a; sticky route $arg_b', /duplicate/],
    [`server b route=${'x'.repeat(33)}`, /invalid parameter "route=x+"/],
    ['server b route=', /invalid parameter "route="/],
  ]
  for (const [text, expected] of cases) {
    const problems = problemsOf(`http { session_map users; upstream u { server a; ${text}; } }`)
    assert.match(problems.join('\n'), expected, text)
  }
})

test.run()
