// What every block means: whole configurations against literal models.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import * as texts from './golden-texts.ts'
import { httpOf, plain } from './parsed.ts'

const LISTEN = {
  defaultServer: false,
  backlog: 511,
  ipv6only: true,
  reuseport: false,
  proxyProtocol: false,
  http2: false,
}
const EMPTY = { settings: {}, rules: [], locations: [] }
const SERVER = {
  weight: 1,
  maxFails: 1,
  failTimeout: 10000,
  maxConns: 0,
  backup: false,
  down: false,
  drain: false,
  route: '',
  resolve: false,
  service: '',
}
const UPSTREAM = {
  servers: [{ name: 'a', ...SERVER }],
  method: 'round_robin',
  hashKey: null,
  zone: null,
  keepalive: { size: 32, local: true, requests: 1000, timeout: 60000, time: 3600000 },
  sticky: null,
  state: null,
  stateDigest: null,
  resolver: null,
  resolverTimeout: null,
  fromStore: null,
  scripts: [],
  scriptLimits: null,
  scriptOnError: null,
  scriptAllowFetch: null,
  scriptEjectAfter: null,
}

test('addresses to listen on', () => {
  assert.equal(plain(httpOf(texts.SERVERS).servers[0]!.listens), [
    {
      ...LISTEN,
      text: '127.0.0.1:8080',
      address: { host: '127.0.0.1', port: 8080 },
      defaultServer: true,
      backlog: 128,
      reuseport: true,
    },
    { ...LISTEN, text: '[::1]:8080', address: { host: '::1', port: 8080 }, ipv6only: false },
    { ...LISTEN, text: 'unix:/run/sluice.sock', address: { path: '/run/sluice.sock' }, proxyProtocol: true },
    { ...LISTEN, text: '9000', address: { host: '0.0.0.0', port: 9000 }, http2: true },
    { ...LISTEN, text: '9001', address: { host: '0.0.0.0', port: 9001 }, http2: true },
  ])
})

test('names of servers', () => {
  assert.equal(plain(httpOf(texts.SERVERS).servers[0]!.names), [
    { text: 'example.com', pattern: null, kind: 'exact', name: 'example.com' },
    { text: '*.example.com', pattern: null, kind: 'leading', name: '.example.com' },
    { text: 'www.example.*', pattern: null, kind: 'trailing', name: 'www.example.' },
    { text: 'both.com', pattern: null, kind: 'exact', name: 'both.com' },
    { text: 'both.com', pattern: null, kind: 'leading', name: '.both.com' },
    {
      kind: 'pattern',
      text: '~^(?<Sub>\\w+)\\.dev$',
      name: '^(?<Sub>\\w+)\\.dev$',
      pattern: '/^(?<sub>\\w+)\\.dev(?=\\n?$)/i',
    },
    { text: '', pattern: null, kind: 'exact', name: '' },
  ])
})

test('locations of all kinds', () => {
  assert.equal(plain(httpOf(texts.SERVERS).servers[0]!.locations), [
    {
      match: { kind: 'exact', path: '/exact', pattern: null },
      settings: {},
      rules: [],
      locations: [],
      content: { internal: true },
    },
    {
      match: { kind: 'priority', path: '/static/', pattern: null },
      settings: {},
      rules: [],
      locations: [],
      content: { alias: '/files/' },
    },
    {
      match: { kind: 'pattern', path: '\\.(GIF|png)$', pattern: '/\\.(GIF|png)(?=\\n?$)/i' },
      settings: {},
      rules: [],
      locations: [],
      content: { emptyGif: true },
    },
    {
      match: { kind: 'prefix', path: '/outer/', pattern: null },
      settings: {
        tryFiles: { files: ['$uri', '$uri/'], fallback: '/index.php?$args', status: null },
      },
      rules: [],
      locations: [
        {
          match: { kind: 'prefix', path: '/outer/inner', pattern: null },
          settings: {},
          rules: [],
          locations: [],
          content: { stubStatus: true },
        },
      ],
      content: {
        limitExcept: {
          methods: ['GET', 'POST', 'HEAD'],
          settings: {
            access: [{ allow: false, cidr: { kind: 'all' } }],
            accessLogs: [],
          },
          content: {
            proxyPass: {
              template: 'http://127.0.0.1:1',
              fixed: { scheme: 'http', host: '127.0.0.1:1', uri: null },
            },
          },
        },
      },
    },
    {
      match: { kind: 'named', path: '@named', pattern: null },
      settings: { tryFiles: { files: ['a', 'b'], fallback: null, status: 404 } },
      rules: [],
      locations: [],
      content: {},
    },
  ])
})

test('a server without listen and server_name has the default port and the empty name', () => {
  const port = process.getuid?.() === 0 ? 80 : 8000
  assert.equal(plain(httpOf(texts.SERVERS).servers[1]), {
    ...EMPTY,
    listens: [{ ...LISTEN, text: `*:${port}`, address: { host: '0.0.0.0', port } }],
    names: [{ kind: 'exact', text: '', name: '', pattern: null }],
  })
})

test('the rewrite module', () => {
  const { servers, variables } = httpOf(texts.RULES)
  assert.equal(plain(servers[0]!.rules), [
    { kind: 'set', variable: 'tier', value: 'gold' },
    {
      kind: 'rewrite',
      pattern: '/^/old/([^\\n]*)(?=\\n?$)/',
      replacement: '/new/$1',
      dropArgs: false,
      flag: 'last',
    },
    {
      kind: 'if',
      condition: { kind: 'match', variable: 'http_cookie', pattern: '/id=([^;]+)/i', negate: false },
      rules: [{ kind: 'set', variable: 'id', value: '$1' }],
      settings: {},
      content: {},
    },
  ])
  assert.equal(plain(servers[0]!.locations[0]!.rules), [
    { kind: 'rewrite', pattern: '/^/', replacement: '/x', dropArgs: true, flag: 'break' },
    {
      kind: 'rewrite',
      pattern: '/([^\\n]*)/',
      replacement: 'https://$host$1',
      dropArgs: false,
      flag: 'permanent',
    },
    {
      kind: 'rewrite',
      pattern: '/a/',
      replacement: 'http://b',
      dropArgs: false,
      flag: 'redirect',
    },
    { kind: 'break' },
    {
      kind: 'if',
      condition: { kind: 'equal', variable: 'tier', value: 'gold', negate: false },
      rules: [{ kind: 'return', status: 204, body: null }],
      settings: {},
      content: {},
    },
    {
      kind: 'if',
      condition: { kind: 'equal', variable: 'id', value: '', negate: true },
      rules: [],
      settings: {},
      content: {
        proxyPass: {
          template: 'http://127.0.0.1:1',
          fixed: { scheme: 'http', host: '127.0.0.1:1', uri: null },
        },
      },
    },
    {
      kind: 'if',
      condition: { kind: 'file', test: 'file', path: '$request_filename', negate: true },
      rules: [],
      settings: { limitRate: '1k', addHeaders: [{ name: 'X-No', value: '1', always: false }] },
      content: {},
    },
    {
      kind: 'if',
      condition: { kind: 'match', variable: 'id', pattern: '/x/', negate: true },
      rules: [{ kind: 'break' }],
      settings: {},
      content: {},
    },
    {
      kind: 'if',
      condition: { kind: 'true', variable: 'args' },
      rules: [{ kind: 'return', status: 301, body: '/$args' }],
      settings: {},
      content: {},
    },
    {
      kind: 'if',
      condition: { kind: 'file', test: 'executable', path: '$document_root', negate: false },
      rules: [{ kind: 'return', status: 302, body: 'http://example.com/' }],
      settings: {},
      content: {},
    },
    { kind: 'return', status: 200, body: 'hello $tier' },
  ])
  assert.equal(variables, ['tier', 'id'])
})

test('map', () => {
  assert.equal(plain(httpOf(texts.VARIABLES).maps), [
    {
      source: '$http_upgrade',
      variable: 'connection_upgrade',
      hostnames: false,
      volatile: false,
      default: 'upgrade',
      exact: [{ key: '', value: 'close' }],
      wildcards: [],
      patterns: [],
    },
    {
      source: '$host:$server_port',
      variable: 'site',
      hostnames: true,
      volatile: true,
      default: null,
      exact: [
        { key: 'a.example.com', value: '1' },
        { key: 'default', value: '4' },
      ],
      wildcards: [
        { key: '*.example.com', value: '2' },
        { key: '.example.org', value: '3' },
        { key: 'mail.*', value: '$host' },
      ],
      patterns: [
        { pattern: '/^(?<who>[^\\n]+)\\.dev(?=\\n?$)/', value: 'dev-$who' },
        { pattern: '/\\.TEST(?=\\n?$)/i', value: 'test' },
      ],
    },
  ])
})

test('geo', () => {
  assert.equal(plain(httpOf(texts.VARIABLES).geos), [
    {
      source: null,
      default: 'none',
      ranges: [{ cidr: { kind: 'ip', bytes: [10, 1, 0, 0], bits: 16 }, value: 'office' }],
      proxies: [{ kind: 'ip', bytes: [192, 0, 2, 1], bits: 32 }],
      proxyRecursive: true,
      variable: 'region',
    },
    {
      source: 'arg_ip',
      default: '',
      ranges: [
        {
          cidr: {
            kind: 'ip',
            bytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            bits: 128,
          },
          value: 'self',
        },
      ],
      proxies: [],
      proxyRecursive: false,
      variable: 'geo',
    },
  ])
})

test('split_clients, in bounds of a 32-bit hash', () => {
  assert.equal(plain(httpOf(texts.VARIABLES).splitClients), [
    {
      source: '$remote_addr$arg_x',
      variable: 'variant',
      parts: [
        { percent: 21474836, value: 'a' },
        { percent: 1452987435, value: 'b' },
        { percent: null, value: 'c' },
      ],
    },
    {
      source: '$uri',
      variable: 'half',
      parts: [
        { percent: 2147483647, value: 'x' },
        { percent: null, value: '$y' },
      ],
    },
  ])
})

test('variables that blocks define are listed', () => {
  assert.equal(httpOf(texts.VARIABLES).variables, [
    'connection_upgrade',
    'site',
    'who',
    'region',
    'geo',
    'variant',
    'half',
  ])
})

test('upstreams', () => {
  const files = {
    '/etc/sluice/a.js': '',
    '/etc/sluice/b.js': '',
    '/srv/logs/t.servers': 'server 10.0.0.1:80 weight=2;\nserver "unix:/a b" down;\n',
  }
  assert.equal(plain(httpOf(texts.UPSTREAMS, files).upstreams), [
    { ...UPSTREAM, name: 'defaults' },
    {
      ...UPSTREAM,
      name: 'all',
      servers: [
        { ...SERVER, name: '10.0.0.1:80', weight: 5, maxFails: 3, failTimeout: 30000, maxConns: 100 },
        { ...SERVER, name: 'unix:/run/a.sock', backup: true },
        { ...SERVER, name: '[::1]:81', down: true },
      ],
      method: 'least_conn',
      zone: 'all',
      resolver: { servers: ['127.0.0.1'], valid: 5000, ipv4: true, ipv6: true },
      resolverTimeout: 5000,
      keepalive: { size: 16, local: true, requests: 10, timeout: 20000, time: 600000 },
    },
    {
      ...UPSTREAM,
      name: 'h',
      method: 'hash consistent',
      hashKey: '$arg_userId',
      scripts: [
        {
          file: '/etc/sluice/a.js',
          params: { mode: 'fast' },
          canary: {
            file: '/etc/sluice/b.js',
            percent: 1250,
            key: null,
            maxErrors: 100,
            maxLatency: null,
            minCalls: 50,
          },
        },
      ],
      scriptLimits: { cpu: 10 },
      scriptOnError: 'open',
      scriptEjectAfter: 0,
      scriptAllowFetch: [
        { kind: 'url', scheme: 'https:', host: 'a.example', wildcard: false, port: '', path: '' },
      ],
    },
    {
      ...UPSTREAM,
      name: 'm',
      method: 'hash',
      hashKey: '$request_uri',
      keepalive: { size: 0, local: false, requests: 1000, timeout: 60000, time: 3600000 },
    },
    { ...UPSTREAM, name: 'i', method: 'ip_hash' },
    { ...UPSTREAM, name: 'r', method: 'random two' },
    { ...UPSTREAM, name: 's', method: 'random' },
    {
      ...UPSTREAM,
      name: 't',
      state: '/srv/logs/t.servers',
      stateDigest: 'a1620cdbce971a617a7f4b8d495d465fc81859f07fb4cf85724b0fb1a637fb2d',
      servers: [
        { ...SERVER, name: '10.0.0.1:80', weight: 2 },
        { ...SERVER, name: 'unix:/a b', down: true },
      ],
    },
    {
      ...UPSTREAM,
      name: 'n',
      servers: [
        { ...SERVER, name: 'a:81', resolve: true },
        { ...SERVER, name: 'b', resolve: true, service: 'http', backup: true },
        { ...SERVER, name: 'c', resolve: true, service: '_x._udp.eu' },
      ],
    },
    { ...UPSTREAM, name: 'f', fromStore: 'chat.eu-1', servers: [] },
  ])
})

test.run()
