// What every directive means: whole configurations against literal models. Settings and processes here, blocks in
// `golden-blocks.test.ts`.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { knownNames } from '../../runtime/config/directive-table.ts'
import * as texts from './golden-texts.ts'
import { httpOf, locationOf, modelOf, parse, plain, problemsOf } from './parsed.ts'

const SCRIPT_FILES = {
  '/etc/sluice/a.js': '',
  '/etc/sluice/lib/b.js': '',
  '/etc/sluice/lib/c.js': '',
  '/etc/sluice/lib/d.js': '',
}

const PREFIXED_LOG = {
  path: '/srv/logs/access.log',
  format: 'combined',
  condition: null,
  buffer: 0,
  flush: 0,
  gzip: 0,
}

test('every directive of the table stands in one of the texts', () => {
  const words = new Set(
    Object.values(texts)
      .join(' ')
      .split(/[\s{};]+/),
  )
  const elsewhere = new Set(['events', 'http', 'include'])
  assert.equal(
    [...knownNames()].filter((name) => !words.has(name) && !elsewhere.has(name)),
    [],
  )
})

test('the process', () => {
  assert.equal(modelOf(texts.MAIN), {
    main: {
      workerProcesses: 4,
      daemon: false,
      masterProcess: false,
      pid: '/srv/run/sluice.pid',
      errorLog: [
        { path: 'stderr', level: 'notice' },
        { path: '/srv/logs/debug.log', level: 'debug' },
      ],
      workerConnections: 2048,
      workerShutdownTimeout: 30000,
      env: ['HOME', 'MODE=test'],
    },
    http: null,
  })
})

test('the process without any directive', () => {
  assert.equal(modelOf('').main, {
    workerProcesses: 1,
    daemon: true,
    masterProcess: true,
    pid: '/srv/logs/sluice.pid',
    errorLog: [{ path: 'stderr', level: 'error' }],
    workerConnections: 512,
    workerShutdownTimeout: 0,
    env: [],
  })
})

test('requests, connections, responses, files, headers and access', () => {
  assert.equal(plain(httpOf(texts.CORE).settings), {
    accessLogs: [PREFIXED_LOG],
    ...{
      clientMaxBodySize: 2147483648,
      clientBodyBufferSize: 32768,
      clientBodyInFileOnly: 'clean',
      clientBodyInSingleBuffer: true,
      clientBodyTempPath: '/tmp/body',
      clientHeaderTimeout: 10000,
      clientBodyTimeout: 20000,
      clientHeaderBufferSize: 2048,
      largeClientHeaderBuffers: { count: 8, size: 16384 },
      maxHeaders: 50,
      underscoresInHeaders: true,
      ignoreInvalidHeaders: false,
      mergeSlashes: false,
      http2: true,
      http2MaxConcurrentStreams: 64,
      http2BodyPrereadSize: 32768,
      sendTimeout: 5000,
      keepaliveTimeout: 65000,
      keepaliveHeader: 60,
      keepaliveRequests: 100,
      keepaliveTime: 1800000,
      keepaliveMinTimeout: 1000,
      keepaliveDisable: ['msie6', 'safari'],
      lingeringClose: 'always',
      lingeringTime: 10000,
      lingeringTimeout: 2000,
      resetTimedoutConnection: true,
      tcpNodelay: false,
      limitRate: '100k',
      limitRateAfter: '$arg_after',
      chunkedTransferEncoding: false,
      serverTokens: 'build',
      absoluteRedirect: false,
      portInRedirect: false,
      serverNameInRedirect: true,
      recursiveErrorPages: true,
      logNotFound: false,
      logSubrequest: true,
      msiePadding: false,
      ssi: true,
      gzip: true,
      gzipTypes: ['text/html', 'text/plain', 'text/css', 'application/json'],
      gzipMinLength: 1000,
      gzipCompLevel: 6,
      gzipHttpVersion: '1.0',
      gzipProxied: ['expired', 'no-cache'],
      gzipVary: true,
      satisfy: 'any',
      realIpHeader: 'X-Client-IP',
      realIpRecursive: true,
      realIpFrom: [{ kind: 'ip', bytes: [10, 0, 0, 0], bits: 8 }, { kind: 'unix' }],
      rewriteLog: true,
      uninitializedVariableWarn: false,
      root: '/srv/html',
      index: ['index.html', '$arg_index', '/last.html'],
      etag: false,
      ifModifiedSince: 'before',
      maxRanges: 5,
      defaultType: 'application/octet-stream',
      types: { html: 'text/html', htm: 'text/html', png: 'image/png', css: 'text/css' },
      expires: { kind: 'access', seconds: 3600, template: null },
      addHeaders: [
        { name: 'X-A', value: '$host', always: false },
        { name: 'X-B', value: 'b', always: true },
      ],
      addTrailers: [{ name: 'X-T', value: 't', always: false }],
      addHeaderInherit: 'merge',
      addTrailerInherit: 'off',
      errorPages: [
        { statuses: [500, 502], status: null, target: '/50x.html' },
        { statuses: [404], status: 'answer', target: '@missing' },
        { statuses: [403, 494], status: 200, target: 'http://$host/denied?x' },
        { statuses: [497, 495], status: 400, target: '/tls.html' },
      ],
      access: [
        { allow: true, cidr: { kind: 'ip', bytes: [192, 0, 2, 0], bits: 24 } },
        {
          allow: true,
          cidr: {
            kind: 'ip',
            bytes: [32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            bits: 32,
          },
        },
        { allow: false, cidr: { kind: 'all' } },
      ],
      resolver: { servers: ['127.0.0.1', '[::1]:5353'], valid: 30000, ipv4: true, ipv6: false },
      resolverTimeout: 5000,
      openLogFileCache: { max: 10, inactive: 60000, minUses: 2 },
    },
  })
})

test('what works on bodies, and who is asked', () => {
  const { settings, servers, variables } = httpOf(texts.FILTERS)
  const {
    root: _,
    accessLogs: __,
    clientBodyTempPath: ___,
    ...given
  } = plain(settings) as Record<string, unknown>
  assert.equal(given, {
    subrequestOutputBufferSize: 8192,
    gzipDisable: ['msie6', '/^curl/i'],
    ssiTypes: ['text/html', 'text/plain'],
    ssiSilentErrors: true,
    ssiValueLength: 100,
    ssiLastModified: true,
    subFilters: [
      { text: 'a $host', replacement: 'b' },
      { text: 'c', replacement: '' },
    ],
    subFilterTypes: ['text/html', '*'],
    subFilterOnce: false,
    subFilterLastModified: true,
    addBeforeBody: '/before',
    addAfterBody: '/after',
    additionTypes: ['text/html', 'text/css'],
    authRequest: '/auth',
    mirrors: ['/a', '/b'],
    mirrorRequestBody: false,
    authRequestSets: [{ variable: 'user', value: '$upstream_http_x_user' }],
  })
  assert.equal(servers[0]!.settings, { authRequest: '', addAfterBody: '', mirrors: [] })
  assert.ok(variables.includes('user'))
})

test('script_watch is a setting of http', () => {
  assert.is(httpOf(texts.CORE).scriptWatch, false)
  assert.is(httpOf('').scriptWatch, true)
})

test('script_generations is a setting of http', () => {
  assert.is(httpOf(texts.CORE).scriptGenerations, 3)
  assert.is(httpOf('').scriptGenerations, 10)
})

test('the admin interface is a setting of http', () => {
  const admin = (text: string) => plain(httpOf(`admin ${text};`).admin)
  assert.equal(plain(httpOf(texts.CORE).admin), {
    address: { host: '0.0.0.0', port: 9145 },
    tokenFile: '/etc/sluice/token',
    hosts: ['admin.example'],
  })
  assert.equal(admin('9145'), { address: { host: '127.0.0.1', port: 9145 }, tokenFile: null, hosts: [] })
  assert.equal(admin('[::1]:9145'), { address: { host: '::1', port: 9145 }, tokenFile: null, hosts: [] })
  assert.equal(admin('unix:/run/a.sock'), { address: { path: '/run/a.sock' }, tokenFile: null, hosts: [] })
  assert.is(httpOf('').admin, null)
})

test('the store, its deadline and its maps are settings of http', () => {
  const { store, storeTimeout, sessionMaps } = httpOf(texts.CORE)
  assert.equal(plain(store), {
    kind: 'redis',
    mode: 'cluster',
    addresses: [
      { host: '::1', port: 7000 },
      { host: 'cache.example', port: 6379 },
    ],
    path: null,
    sentinel: null,
    username: 'app',
    password: 's/ecret',
    passwordFile: null,
    database: 0,
    tls: true,
    tlsCa: '/etc/sluice/ca.pem',
    prefix: 'app:',
    allowEval: true,
  })
  assert.is(storeTimeout, 80)
  assert.equal(
    sessionMaps.map(({ where, ...map }) => map),
    [
      { name: 'users', ttl: 1_800_000, max: 1000, onError: 'stale' },
      { name: 'rooms', ttl: 3_600_000, max: 1_000_000, onError: 'hash' },
    ],
  )
  assert.equal(httpOf('').store, { kind: 'memory', size: 64 * 1024 * 1024 })
  assert.is(httpOf('').storeTimeout, 50)
})

test('who shares scripts, and by which key, are settings of http', () => {
  const { scriptFleet, scriptSignKey } = httpOf(texts.CORE)
  assert.equal(plain(scriptFleet), { on: true, name: 'edge-1', state: '/srv/run/fleet.json' })
  assert.equal(plain(scriptSignKey), { file: '/etc/sluice/fleet.key' })
  assert.equal(plain(httpOf('').scriptFleet), { on: true, name: null, state: null })
  assert.is(httpOf('').scriptSignKey, null)
})

test('paths that are not given are below the prefix', () => {
  assert.equal(plain(httpOf('').settings), {
    root: '/srv/html',
    accessLogs: [PREFIXED_LOG],
    clientBodyTempPath: '/srv/client_body_temp',
  })
})

test('logs', () => {
  const { logFormats, settings, servers } = httpOf(texts.LOGS)
  assert.equal(plain(logFormats), [
    {
      name: 'combined',
      escape: 'default',
      template:
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"',
    },
    { name: 'plain', escape: 'default', template: '$remote_addr $status' },
    { name: 'structured', escape: 'json', template: '{"uri":"$uri"}' },
  ])
  assert.equal(plain(settings.accessLogs), [
    {
      path: '/srv/logs/a.log',
      format: 'combined',
      buffer: 0,
      flush: 0,
      gzip: 0,
      condition: null,
    },
    {
      path: '/var/log/$host.log',
      format: 'plain',
      buffer: 0,
      flush: 0,
      gzip: 0,
      condition: '$arg_log',
    },
    {
      path: '/srv/logs/z.log',
      format: 'structured',
      buffer: 65536,
      flush: 5000,
      gzip: 1,
      condition: null,
    },
    {
      path: '/srv/logs/b.log',
      format: 'plain',
      buffer: 32768,
      flush: 0,
      gzip: 0,
      condition: null,
    },
  ])
  assert.equal(settings.errorLogs, [{ path: '/srv/logs/http.log', level: 'crit' }])
  assert.equal(servers[0]!.settings, { accessLogs: [] })
})

test('proxying', () => {
  const { settings, content } = locationOf(texts.PROXY)
  assert.equal(plain(settings), {
    proxySetHeaders: [
      { name: 'Host', value: '$host' },
      { name: 'X-Empty', value: '' },
    ],
    proxyHttpVersion: '1.0',
    proxyMethod: '$request_method',
    proxySetBody: 'body $arg_b',
    proxyPassRequestHeaders: false,
    proxyPassRequestBody: false,
    proxyRequestBuffering: false,
    proxyBind: { address: '$remote_addr', transparent: true },
    proxySocketKeepalive: true,
    proxyIgnoreClientAbort: true,
    proxyWebsocket: false,
    proxyConnectTimeout: 1000,
    proxySendTimeout: 2000,
    proxyReadTimeout: 180000,
    proxyNextUpstream: ['error', 'http_502', 'non_idempotent'],
    proxyNextUpstreamTries: 3,
    proxyNextUpstreamTimeout: 10000,
    proxyHideHeaders: ['X-Secret'],
    proxyPassHeaders: ['Server'],
    proxyIgnoreHeaders: ['Expires', 'X-Accel-Redirect'],
    proxyPassTrailers: true,
    proxyInterceptErrors: true,
    proxyForceRanges: true,
    proxyRedirects: [
      'default',
      { from: 'http://a/', to: '/b/' },
      { from: '/^http://([^/]+)(/[^\\n]*)(?=\\n?$)/', to: '$scheme://$1$2' },
      { from: '/^HTTP:/i', to: 'http:' },
    ],
    proxyCookieDomains: [
      { from: 'a.com', to: 'b.com' },
      { from: '/^c(\\d)(?=\\n?$)/i', to: 'd$1' },
    ],
    proxyCookiePaths: [{ from: '/a', to: '/b' }],
    proxyLimitRate: '10k',
    proxyBuffering: false,
    proxyBufferSize: 8192,
    proxyBuffers: { count: 16, size: 8192 },
    proxyBusyBuffersSize: 32768,
    proxyMaxTempFileSize: 0,
  })
  assert.equal(plain(content), {
    proxyPass: {
      template: 'http://app:8080/api/?a=b',
      fixed: { scheme: 'http', host: 'app:8080', uri: '/api/?a=b' },
    },
  })
})

test('WebSockets whose messages hooks read', () => {
  assert.equal(locationOf(texts.WEB_SOCKETS).settings, {
    wsPermessageDeflate: false,
    wsMaxMessageSize: 2 * 1024 * 1024,
    wsSendQueue: 512 * 1024,
    wsCloseTimeout: 2000,
    wsPingInterval: 0,
    wsReconnectTries: 5,
  })
  assert.is(locationOf('ws_reconnect on;').settings.wsReconnectTries, 3)
  assert.is(locationOf('ws_reconnect off;').settings.wsReconnectTries, 0)
})

test('proxy_pass to a unix socket, with variables, and switched off lists', () => {
  assert.equal(locationOf('proxy_pass http://unix:/run/a.sock:/x;').content.proxyPass?.fixed, {
    scheme: 'http',
    host: 'unix:/run/a.sock',
    uri: '/x',
  })
  assert.equal(locationOf('proxy_pass http://$host/;').content.proxyPass?.fixed, null)
  assert.equal(locationOf('proxy_pass http://[::1]:80;').content.proxyPass?.fixed, {
    scheme: 'http',
    host: '[::1]:80',
    uri: null,
  })
  const off =
    'proxy_redirect off; proxy_cookie_domain off; proxy_cookie_path off; proxy_next_upstream off; proxy_bind off;'
  assert.equal(locationOf(off).settings, {
    proxyRedirects: [],
    proxyCookieDomains: [],
    proxyCookiePaths: [],
    proxyNextUpstream: [],
    proxyBind: 'off',
  })
})

test('scripts', () => {
  const { scripts, scriptLimits, scriptOnError, scriptEjectAfter } = httpOf(
    texts.SCRIPTS,
    SCRIPT_FILES,
  ).settings
  assert.equal(plain(scripts), [
    { file: '/etc/sluice/a.js', params: {} },
    {
      file: '/etc/sluice/lib/b.js',
      params: { key: '$arg_k', empty: '', path: '/x=y' },
      canary: {
        file: '/etc/sluice/lib/c.js',
        percent: 500,
        key: '$arg_userId',
        maxErrors: 50,
        maxLatency: 20,
        minCalls: 100,
      },
      shadow: { file: '/etc/sluice/lib/d.js', sample: 1000 },
      record: {
        file: 'logs/hooks.journal',
        sample: 50,
        max: 1048576,
        mask: ['cookie', 'x-secret'],
        maskArgs: [],
      },
    },
  ])
  assert.is(scriptEjectAfter, 3)
  assert.equal(scriptLimits, { memory: 67108864, stack: 131072, cpu: 20, load: 200, wall: 2000 })
  assert.is(scriptOnError, 'open')
})

test('what scripts may fetch', () => {
  const { settings, servers } = httpOf(texts.SCRIPTS, SCRIPT_FILES)
  const url = { kind: 'url', scheme: null, host: '', wildcard: false, port: '', path: '' }
  assert.equal(plain(settings.scriptAllowFetch), [
    { kind: 'upstreams' },
    { kind: 'any' },
    { ...url, scheme: 'https:', host: 'api.example', port: '8443', path: '/v1/%7euser' },
    { ...url, scheme: 'http:', host: '.xn--bcher-kva.example', wildcard: true },
    { ...url, host: '.example.com', wildcard: true },
    { ...url, scheme: 'http:', host: '[::1]' },
    { kind: 'block', cidr: { kind: 'ip', bytes: [10, 0, 0, 0], bits: 8 } },
    {
      kind: 'block',
      cidr: { kind: 'ip', bytes: [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], bits: 128 },
    },
  ])
  assert.equal(servers[0].locations[0].settings.scriptAllowFetch, [])
  const upstreams = httpOf(texts.UPSTREAMS, { '/etc/sluice/a.js': '', '/etc/sluice/b.js': '' }).upstreams
  assert.equal(upstreams.find(({ name }) => name === 'h')?.scriptAllowFetch, [
    { ...url, scheme: 'https:', host: 'a.example' },
  ])
})

test('what tunes nginx itself is accepted and leaves no trace; what could be missed is told once', () => {
  assert.equal(httpOf(texts.INERT), httpOf(''))
  assert.equal(problemsOf(`http {${texts.INERT}}`), [
    '17:1: accepted, but without effect in Sluice: "http2_idle_timeout", "http2_max_concurrent_pushes", "http2_max_field_size", "http2_max_header_size", "http2_max_requests", "http2_recv_timeout"',
  ])
  assert.equal(problemsOf(texts.MAIN), [
    '2:1: accepted, but without effect in Sluice: "user", "worker_rlimit_nofile", "worker_rlimit_core", "working_directory", "load_module"',
  ])
  assert.equal(parse('worker_processes 1; events { worker_connections 10; }').problems, [])
})

test('expires in all its forms', () => {
  const forms: [string, unknown][] = [
    ['off', { kind: 'off', seconds: 0, template: null }],
    ['epoch', { kind: 'epoch', seconds: 0, template: null }],
    ['max', { kind: 'max', seconds: 0, template: null }],
    ['-1h', { kind: 'access', seconds: -3600, template: null }],
    ['+1d', { kind: 'access', seconds: 86400, template: null }],
    ['@15h30m', { kind: 'daily', seconds: 55800, template: null }],
    ['modified 1h', { kind: 'modified', seconds: 3600, template: null }],
    ['$arg_e', { kind: 'variable', seconds: 0, template: '$arg_e' }],
    ['modified $arg_e', { kind: 'modified', seconds: 0, template: '$arg_e' }],
  ]
  for (const [text, expected] of forms)
    assert.equal(plain(locationOf(`expires ${text};`).settings.expires), expected)
})

test.run()
