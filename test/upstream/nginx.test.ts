// A real nginx and our groups, with the same servers and the same keys, choose the same peers.

import { Agent, createServer, get, type Server } from 'node:http'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Method } from '../../runtime/upstream/options.ts'
import { type NginxProcess, startNginx } from '../lib/nginx.ts'
import { freePort, freePorts } from '../lib/ports.ts'
import { group, requests } from './groups.ts'

const KEYS = 400
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
const servers: Server[] = []
let nginx: NginxProcess | undefined
let live: string[]
let withDead: string[]

test.before(async () => {
  const ports = await freePorts(3)
  live = ports.map((port) => `127.0.0.1:${port}`)
  for (const port of ports) servers.push(await answering(port))
  // Nobody listens on the second of these; with max_fails=0 nginx tries it again and again.
  const dead = `127.0.0.1:${await freePort()}`
  withDead = [live[0]!, dead, live[1]!, live[2]!].map((name) => `${name} max_fails=0`)
  nginx = await startNginx(configuration())
})

test.after(async () => {
  agent.destroy()
  await nginx?.stop()
  for (const server of servers) {
    server.close()
    server.closeAllConnections()
  }
})

test('hash', () => compareKeys('/hash', 'hash', weighted()))
test('hash consistent', () => compareKeys('/consistent', 'hash consistent', weighted()))
test('hash, past a peer that refuses connections', () => compareKeys('/hash-dead', 'hash', withDead))
test('hash consistent, past a peer that refuses connections', () =>
  compareKeys('/consistent-dead', 'hash consistent', withDead))

test('ip_hash', async () => {
  for (let i = 0; i < KEYS / 2; i++) {
    const address = i % 4 === 0 ? randomIpv6() : randomIpv4()
    const theirs = await upstreams('/ip', { 'X-Real-IP': address })
    assert.is(theirs, choose('ip_hash', weighted(), address), address)
  }
})

test('round robin', async () => {
  const theirs: string[] = []
  for (let i = 0; i < 30; i++) theirs.push(await upstreams('/round'))
  assert.is(theirs.join(' '), requests(group('round_robin', weighted(5, 1, 1)), 30))
})

test('an empty hash key', async () => {
  const theirs: string[] = []
  for (let i = 0; i < 12; i++) theirs.push(await upstreams('/empty?k='))
  assert.is(theirs.join(' '), requests(group('hash', weighted()), 12))
})

async function compareKeys(path: string, method: Method, lines: readonly string[]): Promise<void> {
  const seen = new Set<string>()
  for (let i = 0; i < KEYS; i++) {
    const key = randomKey()
    const theirs = await upstreams(`${path}?k=${key}`)
    assert.is(choose(method, lines, key), theirs, key)
    seen.add(theirs)
  }
  assert.ok(seen.size >= 3, 'every server was chosen')
}

/** What `$upstream_addr` would be: tries fail until a live peer comes. */
function choose(method: Method, lines: readonly string[], key: string): string {
  const selection = group(method, lines).select(key)
  const tried: string[] = []
  for (;;) {
    const { text } = selection.next()!.address
    tried.push(text)
    if (live.includes(text)) return tried.join(', ')
  }
}

function weighted(...weights: number[]): string[] {
  const [a, b, c] = weights.length === 0 ? [3, 2, 1] : weights
  return [`${live[0]} weight=${a}`, `${live[1]} weight=${b}`, `${live[2]} weight=${c}`]
}

function configuration(): string {
  const block = (name: string, method: string, lines: readonly string[]) =>
    `upstream ${name} { ${method} ${lines.map((line) => `server ${line};`).join(' ')} }`
  const location = (path: string, name: string) =>
    `location = ${path} { proxy_pass http://${name}; add_header X-Upstream $upstream_addr always; }`
  return `
${block('u1', 'hash $arg_k;', weighted())}
${block('u2', 'hash $arg_k consistent;', weighted())}
${block('u3', 'hash $arg_k;', withDead)}
${block('u4', 'hash $arg_k consistent;', withDead)}
${block('u5', 'ip_hash;', weighted())}
${block('u6', '', weighted(5, 1, 1))}
${block('u7', 'hash $arg_k;', weighted())}
server {
  listen 127.0.0.1:%PORT%;
  set_real_ip_from 127.0.0.1;
  real_ip_header X-Real-IP;
  keepalive_requests 100000;
  ${location('/hash', 'u1')}
  ${location('/consistent', 'u2')}
  ${location('/hash-dead', 'u3')}
  ${location('/consistent-dead', 'u4')}
  ${location('/ip', 'u5')}
  ${location('/round', 'u6')}
  ${location('/empty', 'u7')}
}`
}

/** Asks nginx; returns the peers it tried. */
function upstreams(path: string, headers: Record<string, string> = {}): Promise<string> {
  return new Promise((done, fail) => {
    get({ host: '127.0.0.1', port: nginx!.port, path, headers, agent }, (response) => {
      response.resume()
      response.on('end', () => done(String(response.headers['x-upstream'])))
    }).on('error', fail)
  })
}

function answering(port: number): Promise<Server> {
  const server = createServer((_, response) => response.end('ok'))
  return new Promise((done) => server.listen(port, '127.0.0.1', () => done(server)))
}

/** What may stand in a query: also `%`, `+` and `/`, which must not be decoded. */
function randomKey(): string {
  const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%+/:@!$'
  const length = 1 + Math.floor(Math.random() * 40)
  return Array.from({ length }, () => letters[Math.floor(Math.random() * letters.length)]).join('')
}

function randomIpv4(): string {
  return Array.from({ length: 4 }, () => Math.floor(Math.random() * 256)).join('.')
}

function randomIpv6(): string {
  const words = Array.from({ length: 7 }, () => Math.floor(Math.random() * 0x10000).toString(16))
  return `2${words[0]!.padStart(3, '0').slice(-3)}:${words.slice(1, 4).join(':')}::${words[4]}`
}

test.run()
