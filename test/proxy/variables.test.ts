// Variables that `route-cases.ts` does not reach: of the response, of the tries at upstreams, of the process; and how
// names become getters.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { BUILTIN_VARIABLES, VARIABLE_PREFIXES } from '../../runtime/config/variables-list.ts'
import { FieldBlock } from '../../runtime/http1/fields.ts'
import type { Exchange } from '../../runtime/proxy/exchange.ts'
import { RequestBody } from '../../runtime/proxy/request-body.ts'
import type { UpstreamCall } from '../../runtime/proxy/upstream-call.ts'
import { UpstreamTry } from '../../runtime/proxy/upstream-try.ts'
import { type FakeRequest, RouteServer } from './route-server.ts'

const SERVER = new RouteServer('server { server_name localhost; }')

function value(name: string, x: Exchange): string | undefined {
  return SERVER.binder.required(name)(x)
}

function fresh(name: string, line = 'GET /', request: FakeRequest = {}): string | undefined {
  return value(name, SERVER.request(line, request))
}

test('every built-in name and prefix of the language has a getter', () => {
  const x = SERVER.request('GET /')
  for (const name of BUILTIN_VARIABLES) {
    const result = value(name, x)
    assert.ok(result === undefined || typeof result === 'string', name)
  }
  for (const prefix of VARIABLE_PREFIXES) assert.is(value(`${prefix}x`, x), undefined, prefix)
})

// ---- the request ----

test('fields of one name are joined', () => {
  const fields = [
    ['X-Multi', '1'],
    ['User-Agent', 'a'],
    ['x-multi', '2'],
    ['User-Agent', 'b'],
    ['Cookie', 'a=1'],
    ['Cookie', 'b=2; c=3'],
  ] as const
  assert.is(fresh('http_x_multi', 'GET /', { fields }), '1, 2')
  assert.is(fresh('http_user_agent', 'GET /', { fields }), 'a, b')
  assert.is(fresh('http_cookie', 'GET /', { fields }), 'a=1; b=2; c=3')
  assert.is(fresh('cookie_c', 'GET /', { fields }), '3')
  assert.is(fresh('http_absent', 'GET /', { fields }), undefined)
})

test('fields and cookies are seen as scripts left them', () => {
  const fields = [
    ['X-A', '1'],
    ['X-B', '2'],
    ['Cookie', 'a=1'],
  ] as const
  const x = SERVER.request('GET /', { fields })
  x.requestHeaders.delete('x-a')
  x.requestHeaders.append('X-B', '3')
  x.requestHeaders.set('Cookie', 'a=2')
  assert.is(value('http_x_a', x), undefined)
  assert.is(value('http_x_b', x), '2, 3')
  assert.is(value('cookie_a', x), '2')
})

test('addresses as bytes', () => {
  assert.is(
    fresh('binary_remote_addr', 'GET /', { client: { remoteAddress: '192.0.2.255' } }),
    '\xc0\x00\x02\xff',
  )
  const v6 = fresh('binary_remote_addr', 'GET /', { client: { remoteAddress: '2001:db8::1' } })
  assert.is(v6, `\x20\x01\x0d\xb8${'\0'.repeat(11)}\x01`)
  assert.is(fresh('binary_remote_addr', 'GET /', { client: { remoteAddress: 'unix:' } }), 'unix:')
})

test('the connection', () => {
  const client = { openedAt: Date.now() - 1500 }
  assert.is(fresh('connection'), '7')
  assert.is(fresh('connection_requests'), '3')
  assert.match(fresh('connection_time', 'GET /', { client }) as string, /^1\.5\d\d$/)
  assert.is(fresh('server_addr'), '127.0.0.2')
  assert.is(fresh('server_port'), '8080')
  assert.is(fresh('remote_port'), '1024')
  assert.is(fresh('server_protocol', 'GET /', { version: 10 }), 'HTTP/1.0')
  assert.is(fresh('server_protocol', 'GET /', { version: 9 }), undefined)
})

test('the host, or the name of the server when there is none', () => {
  assert.is(fresh('host'), 'localhost')
  const fields = [['Host', 'example.com:81']] as const
  assert.is(fresh('host', 'GET /', { fields }), 'example.com')
  assert.is(fresh('request_port', 'GET /', { fields }), '81')
  assert.is(fresh('is_request_port', 'GET /', { fields }), ':')
  assert.is(fresh('is_request_port'), '')
})

test('a request has one id, of 32 hexadecimal digits', () => {
  const x = SERVER.request('GET /')
  const id = value('request_id', x) as string
  assert.match(id, /^[0-9a-f]{32}$/)
  assert.is(value('request_id', x), id)
  assert.is.not(fresh('request_id'), id)
})

test('the body, once it is there', () => {
  const fields = [['Content-Type', 'text/x']] as const
  const x = SERVER.request('POST /', { fields })
  assert.is(value('request_body', x), undefined)
  x.body = new RequestBody(-1)
  assert.is(value('content_length', x), undefined)
  x.body.buffer({ memory: 100, folder: '/nonexistent', inFileOnly: 'off', max: 0 }, () => {})
  x.body.push(Buffer.from('3\r\nabc\r\n0\r\n\r\n'))
  assert.is(value('content_length', x), '3')
  assert.is(value('request_body', x), 'abc')
  assert.is(value('request_body_file', x), undefined)
  assert.is(value('content_type', x), 'text/x')
})

test('set $limit_rate takes sizes, and logs what is none', () => {
  const server = new RouteServer('server { location / { set $limit_rate $arg_l; return 200 $limit_rate; } }')
  assert.is(server.answer('GET /?l=2m'), '200 2097152')
  assert.is(server.answer('GET /?l=9'), '200 9')
  assert.is(server.answer('GET /?l=1g'), '200 0')
  assert.equal(server.logged, ['[error] invalid $limit_rate "1g"'])
})

test('a realpath that cannot be followed is no value', () => {
  const server = new RouteServer('server { root /nonexistent/x; return 200 "[$realpath_root]"; }')
  assert.is(server.answer('GET /'), '200 []')
  assert.equal(server.logged, ['[crit] realpath() "/nonexistent/x" failed (2: No such file or directory)'])
})

// ---- the response ----

test('the status', () => {
  const x = SERVER.request('GET /')
  assert.is(value('status', x), '000')
  x.status = 200
  assert.is(value('status', x), '200')
  x.errorStatus = 404
  assert.is(value('status', x), '404')
  assert.is(fresh('status', 'GET /', { version: 9 }), '009')
})

test('fields sent, those with a slot and the others', () => {
  const x = SERVER.request('GET /')
  assert.is(value('sent_http_content_length', x), undefined)
  x.headers.contentType = 'text/x'
  x.headers.contentLength = 0
  x.headers.location = '/there'
  x.headers.lastModified = 'yesterday'
  x.headers.block = FieldBlock.from([
    ['X-Up', '1'],
    ['X-Hidden', '1'],
    ['x-up', '2'],
  ])
  x.headers.hide(1)
  x.headers.add('X-Up', '3')
  assert.is(value('sent_http_content_type', x), 'text/x')
  assert.is(value('sent_http_content_length', x), '0')
  assert.is(value('sent_http_location', x), '/there')
  assert.is(value('sent_http_last_modified', x), 'yesterday')
  assert.is(value('sent_http_x_up', x), '1, 2, 3')
  assert.is(value('sent_http_x_hidden', x), undefined)
})

test('framing and connection fields sent', () => {
  const x = SERVER.request('GET /')
  assert.is(value('sent_http_connection', x), 'close')
  x.keepAlive = true
  assert.is(value('sent_http_connection', x), 'keep-alive')
  assert.is(value('sent_http_transfer_encoding', x), undefined)
  x.headSent = true
  assert.is(value('sent_http_transfer_encoding', x), 'chunked')
  x.headers.contentLength = 1
  assert.is(value('sent_http_transfer_encoding', x), undefined)
  x.status = 101
  assert.is(value('sent_http_connection', x), 'upgrade')
})

test('trailers sent', () => {
  const x = SERVER.request('GET /')
  assert.is(value('sent_trailer_x_sum', x), undefined)
  x.trailers = [
    ['X-Sum', '1'],
    ['X-Sum', '2'],
  ]
  assert.is(value('sent_trailer_x_sum', x), '1, 2')
})

// ---- upstreams ----

function tryOf(address: string, changes: Partial<UpstreamTry> = {}): UpstreamTry {
  return Object.assign(new UpstreamTry(address), changes)
}

test('lists over tries: a comma between them, a colon for an internal redirect', () => {
  const x = SERVER.request('GET /')
  assert.is(value('upstream_addr', x), undefined)
  x.tries = [
    tryOf('10.0.0.1:80', { status: 502, responseTime: 7 }),
    tryOf('10.0.0.2:80', {
      status: 200,
      connectTime: 0,
      headerTime: 12,
      responseTime: 1234,
      responseLength: 9,
      bytesReceived: 99,
      bytesSent: 70,
    }),
    tryOf('unix:/s', { redirectBefore: true }),
  ]
  assert.is(value('upstream_addr', x), '10.0.0.1:80, 10.0.0.2:80 : unix:/s')
  assert.is(value('upstream_status', x), '502, 200 : -')
  assert.is(value('upstream_connect_time', x), '-, 0.000 : -')
  assert.is(value('upstream_header_time', x), '-, 0.012 : -')
  assert.is(value('upstream_response_time', x), '0.007, 1.234 : -')
  assert.is(value('upstream_response_length', x), '0, 9 : 0')
  assert.is(value('upstream_bytes_received', x), '0, 99 : 0')
  assert.is(value('upstream_bytes_sent', x), '0, 70 : 0')
})

test('fields, cookies and trailers of the last answer', () => {
  const x = SERVER.request('GET /')
  x.tries = [
    tryOf('a', { fields: FieldBlock.from([['X-A', 'old']]) }),
    tryOf('b', {
      fields: FieldBlock.from([
        ['X-A', '1'],
        ['X-A', '2'],
        ['Set-Cookie', 'idx=0'],
        ['Set-Cookie', 'ID = 7 ; Path=/'],
      ]),
      trailers: FieldBlock.from([['X-T', 't']]),
    }),
  ]
  assert.is(value('upstream_http_x_a', x), '1, 2')
  assert.is(value('upstream_cookie_id', x), '7 ')
  assert.is(value('upstream_cookie_path', x), undefined)
  assert.is(value('upstream_trailer_x_t', x), 't')
  x.tries.push(tryOf('c'))
  assert.is(value('upstream_http_x_a', x), undefined)
})

test('the host and port that proxy_pass names', () => {
  const x = SERVER.request('GET /')
  assert.is(value('proxy_host', x), undefined)
  x.call = { target: { host: 'backend', port: '80' } } as UpstreamCall
  assert.is(value('proxy_host', x), 'backend')
  assert.is(value('proxy_port', x), '80')
})

// ---- the process ----

test('time, counters and names of the process', () => {
  assert.match(fresh('msec') as string, /^\d{10}\.\d{3}$/)
  assert.match(fresh('time_iso8601') as string, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/)
  assert.match(fresh('time_local') as string, /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$/)
  assert.is(fresh('pid'), String(process.pid))
  assert.is(fresh('sluice_generation'), '12')
  const counters = ['active', 'reading', 'writing', 'waiting'].map((name) => fresh(`connections_${name}`))
  assert.equal(counters, ['6', '1', '2', '3'])
})

// ---- names ----

test('names are case-insensitive, unknown ones are named', () => {
  const { binder } = SERVER
  assert.is(binder.getter('nothing'), null)
  assert.is(binder.variable('nothing'), null)
  assert.throws(() => binder.required('nothing'), 'unknown variable "$nothing"')
  assert.is(value('ARG_A', SERVER.request('GET /?a=1')), '1')
})

test('scripts may set what set defines, the arguments, and nothing else', () => {
  const server = new RouteServer('server { set $mine 1; location / { return 200 "$mine $args"; } }')
  const x = server.request('GET /?a')
  for (const name of ['host', 'uri', 'arg_a', 'http_x', 'status', '1']) {
    assert.is(server.binder.variable(name)?.set, null, name)
  }
  server.binder.variable('mine')?.set?.(x, 'theirs')
  server.binder.variable('args')?.set?.(x, 'b c')
  assert.is(server.binder.variable('mine')?.get(x), 'theirs')
  assert.is(x.args, 'b%20c')
  assert.not(x.unparsedValid)
})

test('templates of any length', () => {
  const parts = (...names: string[]) => names.flatMap((name) => [`<${name}`, { variable: name }, '>'])
  const x = SERVER.request('GET /p?a=1')
  const expand = (...names: string[]) => SERVER.binder.bindParts(parts(...names))(x)
  assert.is(expand(), '')
  assert.is(expand('uri'), '<uri/p>')
  assert.is(expand('uri', 'args'), '<uri/p><argsa=1>')
  assert.is(expand('uri', 'args', 'arg_a'), '<uri/p><argsa=1><arg_a1>')
  assert.is(expand('uri', 'arg_x', 'arg_a', '1'), '<uri/p><arg_x><arg_a1><1>')
  assert.is(expand('uri', 'uri', 'uri', 'uri', 'uri'), '<uri/p>'.repeat(5))
  assert.is(SERVER.binder.bindParts([{ variable: 'arg_a' }])(x), '1')
  assert.is(SERVER.binder.bindParts(['a', 'b'])(x), 'ab')
})

test('constants are known as such', () => {
  const where = { file: '', line: 1, column: 1 }
  assert.is(SERVER.binder.constant({ text: 'ab', parts: ['a', 'b'], where }), 'ab')
  assert.is(SERVER.binder.constant({ text: '', parts: [], where }), '')
  assert.is(SERVER.binder.constant({ text: '$uri', parts: [{ variable: 'uri' }], where }), null)
})

test('maps that name each other in a circle end, with a line on the log', () => {
  const server = new RouteServer(`
    map $uri $a { default "a$b"; }
    map $uri $b { default "b$a"; }
    server { return 200 $a; }`)
  assert.ok(server.answer('GET /').length <= 110)
  assert.is(server.logged.length, 1)
  assert.match(server.logged[0], /^\[error\] cycle while evaluating variable "[ab]"$/)
})

test.run()
