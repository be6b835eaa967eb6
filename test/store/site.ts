// Running proxies with session maps, by `sticky map=` and by a script, in front of three applications that name themselves.
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { type SluiceProcess, startSluice } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { ok, type RecordingUpstream, recordingUpstream } from '../lib/recording-upstream.ts'
import type { RedisServer } from '../lib/redis.ts'

export const STORE_TIMEOUT = 250
/** ms that the machine may be busy with something else. */
const MARGIN = 1750
/** ms of `store_timeout` where nothing is away, and no answer may be made up. */
export const PATIENCE = 5000
const SCRIPT = `import { map } from 'sluice:store'
const users = map('users')
export async function balancer(r, u) {
  const key = r.variables.arg_u
  const name = await users.getOrSet(key, () => u.leastConn().name)
  const peer = u.peers.find((each) => each.name === name)
  if (peer !== undefined && !peer.down && peer.fails === 0) return peer
  const next = u.leastConn()
  return next === null ? null : await users.replace(key, name, next.name)
}`

const CONNECTED = `import { map } from 'sluice:store'
export async function content(r) {
  try { await map('users').delete('warm'); r.return(200, 'yes') } catch (error) { r.return(200, error.message) }
}`

/** Three applications that name themselves, and Sluices in front of them. */
export class Site {
  readonly apps: RecordingUpstream[] = []
  readonly machines: { port: number; sluice: SluiceProcess }[] = []

  static async start(
    store: string,
    machines = 1,
    map = 'on_error=hash',
    timeout = STORE_TIMEOUT,
  ): Promise<Site> {
    const site = new Site()
    for (const name of ['a', 'b', 'c']) site.apps.push(await recordingUpstream(() => ok(name)))
    const servers = site.apps
      .map(({ address }) => `server ${address} max_fails=1 fail_timeout=60s;`)
      .join(' ')
    for (let i = 0; i < machines; i++) {
      const port = await freePort()
      const sluice = await startSluice(
        `store ${store};
        store_timeout ${timeout}ms;
        session_map users ttl=1h ${map};
        upstream sticky { ${servers} sticky map=users key=$arg_u; }
        upstream scripted { ${servers} script users.js; }
        server {
          listen 127.0.0.1:${port};
          location /connected { script connected.js; }
          location /sticky { proxy_pass http://sticky; }
          location /script { proxy_pass http://scripted; }
        }`,
        { 'users.js': SCRIPT, 'connected.js': CONNECTED },
      )
      site.machines.push({ port, sluice })
      if (store !== 'memory') await connected(port)
    }
    return site
  }

  async stop(): Promise<void> {
    for (const { sluice } of this.machines) await sluice.stop()
    for (const app of this.apps) await app.close()
  }
}

/** Requests of many users, some at a time; every one ends before its time is over, and none is refused. */
export async function visit(
  port: number,
  path: string,
  users: readonly string[],
  width = 16,
): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  const left = [...users]
  const worker = async () => {
    const client = new HttpClient(port)
    for (let user = left.shift(); user !== undefined; user = left.shift()) {
      // The request comes before the timer that begins with it.
      const timer = new Promise<null>((late) => setTimeout(late, STORE_TIMEOUT + MARGIN, null).unref())
      const answer = await Promise.race([client.get(`${path}?u=${user}`), timer])
      assert.ok(answer !== null, `${user} waited for more than ${STORE_TIMEOUT + MARGIN} ms`)
      assert.is(answer!.status, 200, `${user} was refused`)
      found.set(user, answer!.body)
    }
    client.close()
  }
  await Promise.all(Array.from({ length: width }, worker))
  return found
}

/** Sluice serves before it has reached the store; a script tells. */
async function connected(port: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    const client = new HttpClient(port)
    const { body } = await client.get('/connected')
    client.close()
    if (body === 'yes') return
    assert.ok(tries < 500, body)
    await new Promise((next) => setTimeout(next, 10))
  }
}

export const names = (count: number, prefix = 'u') => Array.from({ length: count }, (_, i) => `${prefix}${i}`)
export const spread = (found: ReadonlyMap<string, string>) => [...new Set(found.values())].sort()

/** What differs between two. */
export function moved(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...before].filter(([user, app]) => after.get(user) !== app).map(([user]) => user)
}

/** Users that Redis knows. */
export function written(redis: RedisServer, start = ''): number {
  return redis.command('keys', `sluice:m:users{}${start}*`).split('\n').filter(Boolean).length
}
