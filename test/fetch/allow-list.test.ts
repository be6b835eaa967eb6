// Which URLs and which addresses a script may reach; and TLS, which is never taken on trust.
import { createServer } from 'node:https'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { FetchAgents } from '../../runtime/fetch/agents.ts'
import { Allowance, AllowList } from '../../runtime/fetch/allow-list.ts'
import { Lookups } from '../../runtime/fetch/lookups.ts'
import { isPublic, plainAddress } from '../../runtime/fetch/public-addresses.ts'
import { recordingUpstream } from '../lib/recording-upstream.ts'
import { socketUpstream } from '../proxy/journey-tools.ts'
import { group, listening, network, outcome, rules } from './fetching.ts'

test('which URLs an entry allows', () => {
  const cases: [entry: string, allowed: string[], refused: string[]][] = [
    ['upstreams', [], ['http://a.example/', 'http://8.8.8.8/']],
    ['none', [], ['http://a.example/']],
    ['any', ['http://a.example/', 'https://b.example:444/x', 'http://8.8.8.8/'], []],
    [
      'https://a.example',
      ['https://a.example/', 'https://A.EXAMPLE:443/x?y', 'https://a.example./'],
      ['http://a.example/', 'https://a.example:444/', 'https://x.a.example/', 'https://a.example.evil/'],
    ],
    ['http://a.example:8080', ['http://a.example:8080/'], ['http://a.example/', 'https://a.example:8080/']],
    [
      'https://a.example/v1',
      ['https://a.example/v1', 'https://a.example/v1/x', 'https://a.example/x/../v1/y'],
      [
        'https://a.example/v10',
        'https://a.example/v1/../admin',
        'https://a.example/v1/%2e%2e/admin',
        'https://a.example/v1/..%2fadmin',
        'https://a.example/v1/x%2F..%2Fadmin',
        'https://a.example/v1/..;/admin',
        'https://a.example/V1',
      ],
    ],
    ['https://a.example/v1/', ['https://a.example/v1/x'], ['https://a.example/v1']],
    [
      'https://*.a.example',
      ['https://x.a.example/', 'https://y.x.a.example/'],
      ['https://a.example/', 'https://xa.example/', 'https://.a.example/', 'http://x.a.example/'],
    ],
    [
      '*.a.example',
      ['https://x.a.example/', 'http://x.a.example/'],
      ['https://x.a.example:8443/', 'http://a.example/', 'http://x.a.example.evil/'],
    ],
    ['https://b\xc3\xbccher.example', ['https://b\u00fccher.example/', 'https://xn--bcher-kva.example/'], []],
    ['http://[2001:DB8::1]:81', ['http://[2001:db8:0::1]:81/'], ['http://[2001:db8::1]/']],
  ]
  for (const [entry, allowed, refused] of cases) {
    const list = new AllowList(rules(entry))
    for (const url of allowed) assert.ok(list.allows(new URL(url)) >= Allowance.PUBLIC, `${entry}: ${url}`)
    for (const url of refused) {
      assert.is(list.allows(new URL(url)), Allowance.NO, `${entry}: ${url}`)
    }
  }
})

test('at which addresses', () => {
  const PRIVATE = ['10.1.2.3', '127.0.0.1', '169.254.169.254', '192.168.0.1', '::1', 'fd00::1', 'fe80::1']
  const cases: [entries: string, url: string, allowed: string[], refused: string[]][] = [
    ['any', 'http://name/', ['8.8.8.8', '2606:4700::1'], [...PRIVATE, '::ffff:10.0.0.1', '64:ff9b::a00:1']],
    ['any', 'http://127.0.0.1/', [], ['127.0.0.1']],
    ['http://name', 'http://name/', ['8.8.8.8'], PRIVATE],
    ['http://*.name', 'http://a.name/', ['8.8.8.8'], PRIVATE],
    ['http://127.0.0.1', 'http://127.0.0.1/', ['127.0.0.1'], []],
    ['http://localhost', 'http://localhost/', ['127.0.0.1', '::1'], ['10.0.0.1', '8.8.8.8']],
    ['any', 'http://localhost/', [], ['127.0.0.1', '::1']],
    ['10.0.0.0/8', 'http://name/', ['10.1.2.3', '::ffff:10.1.2.3'], ['8.8.8.8', '11.0.0.1', '127.0.0.1']],
    ['10.0.0.0/8', 'http://10.1.2.3:81/', ['10.1.2.3'], []],
    ['http://name 10.1.2.3', 'http://name/', ['10.1.2.3', '8.8.8.8'], ['10.1.2.4']],
    ['fd00::/8', 'http://name/', ['fd00::1'], ['fe80::1', '10.0.0.1', '2606:4700::1']],
    ['::/0', 'http://name/', ['::1', '2606:4700::1'], ['127.0.0.1', '8.8.8.8']],
    ['any 0.0.0.0/0 ::/0', 'http://name/', PRIVATE, ['not an address']],
    ['upstreams', 'http://name/', [], ['8.8.8.8']],
  ]
  for (const [entries, text, allowed, refused] of cases) {
    const list = new AllowList(rules(entries))
    const url = new URL(text)
    const judge = (address: string) => list.allowsAddress(list.allows(url), url, address)
    for (const address of allowed) assert.ok(judge(address), `${entries}: ${text} at ${address}`)
    for (const address of refused) assert.not.ok(judge(address), `${entries}: ${text} at ${address}`)
  }
})

test('public addresses', () => {
  const yes = ['1.1.1.1', '100.63.255.255', '172.32.0.1', '192.0.1.1', '223.255.255.255', '2606:4700::1111']
  const no = ['0.0.0.0', '100.64.0.1', '172.31.255.255', '198.18.0.1', '224.0.0.1', '255.255.255.255']
  const six = [
    '::',
    '::1',
    'fc00::1',
    'ff02::1',
    '2001:db8::1',
    '2001::1',
    '2002:a00:1::',
    '::10.0.0.1',
    '3fff::1',
  ]
  for (const address of yes) assert.ok(isPublic(address), address)
  for (const address of [...no, ...six]) assert.not.ok(isPublic(address), address)
  assert.equal(['::ffff:7f00:1', '64:ff9b::127.0.0.1', '1.2.3.4', 'fd00::1', 'x'].map(plainAddress), [
    '127.0.0.1',
    '127.0.0.1',
    '1.2.3.4',
    'fd00::1',
    'x',
  ])
})

test('odd spellings of an address are that address', async () => {
  const fetch = network('any')
  for (const host of ['127.1', '2130706433', '0x7f.1', '0177.0.0.1', '[::ffff:127.0.0.1]', '127.0.0.1.']) {
    assert.match(
      await outcome(fetch, { url: `http://${host}:1/` }),
      /^TypeError: .* which is not allowed;/,
      host,
    )
  }
})

test('a name that changes its mind is connected to where it was when it was judged', async () => {
  const upstream = await recordingUpstream()
  let asked = 0
  const names = { 'evil.example': () => (asked++ === 0 ? ['127.0.0.2', '127.0.0.1'] : ['127.0.0.1']) }
  const url = `http://evil.example:${upstream.port}/`
  const fetch = network(`http://evil.example:${upstream.port} 127.0.0.2`, { names })
  // Nobody listens at 127.0.0.2, which is allowed; 127.0.0.1 is never tried in its place.
  assert.match(await outcome(fetch, { url }), /^TypeError: .*connection refused$/)
  assert.match(
    await outcome(fetch, { url }),
    /evil\.example has the address 127\.0\.0\.1, which is not allowed/,
  )
  assert.is(upstream.connections.length, 0)
  assert.is(asked, 2)
  await upstream.close()
})

test('a name at an address that is named is fetched there, under its own name', async () => {
  const upstream = await recordingUpstream()
  const fetch = network('127.0.0.0/8', { names: { 'inside.example': () => ['10.255.0.1', '127.0.0.1'] } })
  assert.is(await outcome(fetch, { url: `http://inside.example:${upstream.port}/` }), '200 ok')
  assert.is(upstream.requests[0].header('host'), `inside.example:${upstream.port}`)
  await upstream.close()
})

test('sixty-four names are looked up at the same time', async () => {
  const waiting: (() => void)[] = []
  const lookups = new Lookups({
    cached: () => null,
    lookUp: (name, _port, done) => void waiting.push(() => done([{ text: name, host: name }])),
  })
  const found: string[] = []
  const ask = (name: string) =>
    new Promise<void>((next) => {
      lookups.lookUp(name, 80, ([address]) => {
        found.push(`${name}: ${address?.text}`)
        next()
      })
    })
  for (let i = 0; i < 64; i++) ask(`n${i}`)
  ask('n0')
  await ask('n64')
  assert.equal(found, ['n64: undefined'])
  waiting[0]()
  ask('n65')
  assert.is(waiting.length, 66)
  waiting[65]()
  assert.equal(found, ['n64: undefined', 'n0: n0', 'n65: n65'])
})

test('one group alone can be allowed', async () => {
  const upstream = await recordingUpstream()
  const groups = [group('chat', [upstream.port]), group('billing', [upstream.port])]
  const fetch = network('http://chat', { groups })
  assert.is(await outcome(fetch, { url: 'http://chat/' }), '200 ok')
  assert.match(
    await outcome(fetch, { url: 'http://billing/' }),
    /^TypeError: http:\/\/billing is not allowed;/,
  )
  assert.match(
    await outcome(network('any', { groups }), { url: 'http://chat/' }),
    /^TypeError: chat could not be resolved/,
  )
  await upstream.close()
})

test('TLS: a certificate must be of a known authority and of that name', async () => {
  const server = createServer({ key: KEY, cert: CERTIFICATE }, (_request, response) => response.end('secret'))
  const port = await listening(server)
  const names = { 'secure.example': () => ['127.0.0.1'], 'other.example': () => ['127.0.0.1'] }
  const trusting = new FetchAgents({ ca: CERTIFICATE })
  const url = `https://secure.example:${port}/`
  assert.is(await outcome(network('127.0.0.1', { names, agents: trusting }), { url }), '200 secret')
  assert.is(
    await outcome(network('127.0.0.1', { names, agents: trusting }), { url: `https://127.0.0.1:${port}/` }),
    '200 secret',
  )
  assert.is(
    await outcome(network('127.0.0.1', { names }), { url }),
    `TypeError: ${url}: the certificate is refused: self-signed certificate`,
  )
  assert.is(
    await outcome(network('127.0.0.1', { names, agents: trusting }), {
      url: `https://other.example:${port}/`,
    }),
    `TypeError: https://other.example:${port}/: the certificate is for another name`,
  )
  assert.is(
    await outcome(network('127.0.0.1', { names }), { url: `http://secure.example:${port}/` }),
    `TypeError: http://secure.example:${port}/: the connection was closed before a complete answer`,
  )
  const plain = await socketUpstream((socket) => {
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  })
  assert.is(
    await outcome(network('127.0.0.1', { names }), { url: `https://secure.example:${plain.port}/` }),
    `TypeError: https://secure.example:${plain.port}/: the TLS handshake failed`,
  )
  await plain.close()
  trusting.close()
  server.close()
  server.closeAllConnections()
})

// Of nobody: made for this test, for secure.example and 127.0.0.1.
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/Cw1jnXS1Gi9npap
z+74dSeAN+P+NNoT3fZykrIWKjehRANCAATsnV/o6RV0BNcNqoiGunf0yZieEhyH
nvvIriCpdwu2joHiuufpMvgTPBlM7oH4or4wsD8FrdB7vlHfQjJb+2J3
-----END PRIVATE KEY-----
`
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBoDCCAUagAwIBAgIUPQS8K26kSVogHry8OoqrgQpxCr8wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTEzNDk1OVoYDzIxMjYxMDI4
MTM0OTU5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATsnV/o6RV0BNcNqoiGunf0yZieEhyHnvvIriCpdwu2joHiuufpMvgT
PBlM7oH4or4wsD8FrdB7vlHfQjJb+2J3o3QwcjAdBgNVHQ4EFgQUULu9V1EQu0rj
eNcR7Kg2WOHs8JowHwYDVR0jBBgwFoAUULu9V1EQu0rjeNcR7Kg2WOHs8JowDwYD
VR0TAQH/BAUwAwEB/zAfBgNVHREEGDAWgg5zZWN1cmUuZXhhbXBsZYcEfwAAATAK
BggqhkjOPQQDAgNIADBFAiEAgpl3h7awIvmL6FT44922JkldZomNz9Zx9vRrUv6C
D6QCICAV7z9ZzfynN98A6caCbmrq267fA07yv0tzsSEyAFKR
-----END CERTIFICATE-----
`

test.run()
