// Requests in a row and what limits make of them: run on Sluice in `limit-journey.test.ts`, on nginx itself in
// `limit-nginx.test.ts`. Rates are so slow that the time a test takes changes nothing.

import { HttpClient } from '../lib/raw-http.ts'

export interface LimitCases {
  readonly name: string
  /** Path, and what comes of it: status, `$limit_req_status`, `$limit_conn_status`. */
  readonly requests: readonly (readonly [path: string, answer: string])[]
  /** Lines that the error log gets, in order: level and message. */
  readonly log: readonly string[]
}

/** What stands in `http { }`; each case has keys of its own. */
export const LIMIT_CONFIG = `
  limit_req_zone $arg_k zone=plain:1m rate=1r/m;
  limit_req_zone $arg_k zone=burst:1m rate=1r/m;
  limit_req_zone $arg_k zone=first:1m rate=1r/m;
  limit_req_zone $arg_j zone=second:1m rate=1r/m;
  limit_req_zone $arg_k zone=fast:1m rate=1000r/s;
  limit_req_zone $request_uri zone=asked:1m rate=1r/m;
  limit_conn_zone $arg_k zone=open:1m;
  limit_conn_zone $arg_j zone=other:1m;
  add_header X-Limits "$status $limit_req_status $limit_conn_status" always;
  server {
    listen 127.0.0.1:%PORT%;
    location /plain { limit_req zone=plain; try_files /none =204; }
    location /burst { limit_req zone=burst burst=2 nodelay; try_files /none =204; }
    location /status { limit_req zone=plain; limit_req_status 429; limit_req_log_level info; try_files /none =204; }
    location /dry { limit_req zone=plain; limit_req_dry_run on; limit_req_log_level warn; try_files /none =204; }
    location /drydelay { limit_req zone=plain burst=5; limit_req_dry_run on; try_files /none =204; }
    location /two { limit_req zone=first burst=3 nodelay; limit_req zone=second burst=1 nodelay; try_files /none =204; }
    location /page { limit_req zone=plain; error_page 503 /plain?k=$arg_k; try_files /none =204; }
    location /conn { limit_conn open 1; try_files /none =204; }
    location /both { limit_req zone=plain; limit_conn open 1; try_files /none =204; }
    location /denied { limit_req zone=plain; deny all; }
    location /rewritten { limit_req zone=plain; return 204; }
    location /sub { auth_request /auth; try_files /none =204; }
    location /auth { limit_req zone=asked; limit_req_status 403; try_files /none =204; }
  }
`

export const LIMIT_CASES: readonly LimitCases[] = [
  {
    name: 'one a minute',
    requests: [
      ['/plain?k=a', '204 PASSED -'],
      ['/plain?k=a', '503 REJECTED -'],
      ['/plain?k=b', '204 PASSED -'],
    ],
    log: ['error limiting requests, excess: 1.000 by zone "plain"'],
  },
  {
    name: 'a request without a key is not counted',
    requests: [
      ['/plain', '204 - -'],
      ['/plain?k=', '204 - -'],
    ],
    log: [],
  },
  {
    name: 'a burst that does not wait',
    requests: [
      ['/burst?k=c', '204 PASSED -'],
      ['/burst?k=c', '204 PASSED -'],
      ['/burst?k=c', '204 PASSED -'],
      ['/burst?k=c', '503 REJECTED -'],
    ],
    log: ['error limiting requests, excess: 3.000 by zone "burst"'],
  },
  {
    name: 'status and level',
    requests: [
      ['/status?k=d', '204 PASSED -'],
      ['/status?k=d', '429 REJECTED -'],
    ],
    log: ['info limiting requests, excess: 1.000 by zone "plain"'],
  },
  {
    name: 'a dry run refuses nobody',
    requests: [
      ['/dry?k=e', '204 PASSED -'],
      ['/dry?k=e', '204 REJECTED_DRY_RUN -'],
      ['/drydelay?k=e', '204 DELAYED_DRY_RUN -'],
    ],
    log: [
      'warn limiting requests, dry run, excess: 1.000 by zone "plain"',
      'warn delaying request, dry run, excess: 1.000, by zone "plain"',
    ],
  },
  {
    name: 'what one limit refuses does not count in the others',
    requests: [
      ['/two?k=f&j=f', '204 PASSED -'],
      ['/two?k=f&j=f', '204 PASSED -'],
      ['/two?k=f&j=f', '503 REJECTED -'],
      ['/two?k=f', '204 PASSED -'],
      ['/two?k=f', '204 PASSED -'],
      ['/two?k=f', '503 REJECTED -'],
    ],
    log: [
      'error limiting requests, excess: 2.000 by zone "second"',
      'error limiting requests, excess: 4.000 by zone "first"',
    ],
  },
  {
    name: 'the first limit that refuses is told of',
    requests: [
      ['/two?k=g', '204 PASSED -'],
      ['/two?k=g', '204 PASSED -'],
      ['/two?k=g', '204 PASSED -'],
      ['/two?k=g', '204 PASSED -'],
      ['/two?k=g&j=g', '503 REJECTED -'],
    ],
    log: ['error limiting requests, excess: 4.000 by zone "first"'],
  },
  {
    name: 'a request is judged once, wherever it is redirected to',
    requests: [
      ['/page?k=h', '204 PASSED -'],
      ['/page?k=h', '204 REJECTED -'],
    ],
    log: ['error limiting requests, excess: 1.000 by zone "plain"'],
  },
  {
    name: 'connections one after the other',
    requests: [
      ['/conn?k=i', '204 - PASSED'],
      ['/conn?k=i', '204 - PASSED'],
      ['/conn', '204 - -'],
      [`/conn?k=${'x'.repeat(255)}`, '204 - PASSED'],
      // Too long to be counted.
      [`/conn?k=${'x'.repeat(256)}`, '204 - -'],
    ],
    log: [],
  },
  {
    name: 'requests are judged before connections',
    requests: [
      ['/both?k=j', '204 PASSED PASSED'],
      ['/both?k=j', '503 REJECTED -'],
    ],
    log: ['error limiting requests, excess: 1.000 by zone "plain"'],
  },
  {
    name: 'before access rules, and after return',
    requests: [
      ['/denied?k=k', '403 PASSED -'],
      ['/denied?k=k', '503 REJECTED -'],
      ['/rewritten?k=k', '204 - -'],
    ],
    log: ['error access forbidden by rule', 'error limiting requests, excess: 1.000 by zone "plain"'],
  },
  {
    name: 'a subrequest is judged where it goes',
    requests: [
      ['/sub?k=l', '204 PASSED -'],
      ['/sub?k=l', '403 REJECTED -'],
      ['/sub?k=m', '204 PASSED -'],
    ],
    log: ['error limiting requests, excess: 1.000 by zone "asked"'],
  },
]

/** The answers of one case, as it writes them. */
export async function answersOf({ requests }: LimitCases, port: number): Promise<[string, string][]> {
  const client = new HttpClient(port)
  const answers: [string, string][] = []
  for (const [path] of requests) {
    const { status, header } = await client.get(path)
    const [, requestsSaid, connectionsSaid] = (header('X-Limits') ?? '').split(' ')
    answers.push([path, `${status} ${requestsSaid || '-'} ${connectionsSaid || '-'}`])
  }
  client.close()
  return answers
}

/** Level and message of the lines that are about limits or access; what drains while a slow machine runs a case is put back. */
export function limitLines(log: string): string[] {
  const lines = log.matchAll(/\[(\w+)\] \d+#\d+: \*\d+ ((?:limiting|delaying|access) .*?), client: /g)
  const full = (excess: string) => Number(excess).toFixed(1).padEnd(5, '0')
  return [...lines].map(([, level, message]) => `${level} ${message.replace(/\d\.\d{3}/, full)}`)
}
