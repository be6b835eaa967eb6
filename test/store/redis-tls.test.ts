// `store rediss://…` against a real Redis that speaks TLS: who is believed, and who is not.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseConfig } from '../../runtime/config/parse.ts'
import { StoreError } from '../../runtime/store/store.ts'
import { Stores } from '../../runtime/stores.ts'
import { freePort } from '../lib/ports.ts'
import { RedisServer } from '../lib/redis.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'

const folder = tempDir()

function openssl(words: string): void {
  const { status, stderr, error } = spawnSync('openssl', words.split(' '), { cwd: folder, encoding: 'utf8' })
  if (error !== undefined) throw new Error('openssl not found; type: sudo apt-get install -y openssl')
  if (status !== 0) throw new Error(stderr)
}

/** An authority of our own, and a certificate of it for 127.0.0.1. */
function certify(authority: string, server: string): void {
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
  openssl(`req -x509 ${key} -keyout ${authority}.key -out ${authority}.pem -days 2 -subj /CN=${authority}`)
  openssl(`req ${key} -keyout ${server}.key -out ${server}.csr -subj /CN=${server}`)
  writeFiles(folder, { 'san.txt': 'subjectAltName=IP:127.0.0.1' })
  openssl(
    `x509 -req -in ${server}.csr -CA ${authority}.pem -CAkey ${authority}.key -CAcreateserial -out ${server}.pem -days 2 -extfile san.txt`,
  )
}

/** What a call of the store that this line configures comes to. */
async function ask(line: string): Promise<string> {
  const text = `http { ${line} store_timeout 2s; }`
  const { model, problems } = parseConfig({ file: join(folder, 'sluice.conf'), prefix: folder, text })
  if (model?.http == null) throw new Error(JSON.stringify(problems))
  const stores = new Stores({ log: () => undefined })
  const set = await stores.prepare(model.http)
  try {
    await set.ready(() => undefined)
    await set.store.set('users', 'ann', '"app1"', 60_000)
    return String((await set.store.get('users', 'ann'))?.value)
  } catch (error) {
    return error instanceof StoreError ? `StoreError ${error.code}` : String(error)
  } finally {
    set.release()
    stores.close()
  }
}

test('over TLS the server is believed if the authority of tls_ca has signed its certificate, and else told nothing', async () => {
  certify('ours', 'redis')
  certify('theirs', 'other')
  const port = await freePort()
  const words = ['--tls-port', String(port), '--tls-auth-clients', 'no', '--requirepass', 'secret']
  const file = (name: string): string => join(folder, name)
  const server = await RedisServer.start([
    ...words,
    ...['--tls-cert-file', file('redis.pem')],
    ...['--tls-key-file', file('redis.key')],
    ...['--tls-ca-cert-file', file('ours.pem')],
  ])
  assert.is(await ask(`store rediss://:secret@127.0.0.1:${port}/0 tls_ca=ours.pem;`), '"app1"')
  assert.is(
    await ask(`store rediss://:secret@127.0.0.1:${port}/0 tls_ca=theirs.pem;`),
    'StoreError unavailable',
  )
  assert.is(await ask(`store rediss://:secret@127.0.0.1:${port}/0;`), 'StoreError unavailable')
  // A server without TLS, and TLS without a client's.
  assert.is(
    await ask(`store rediss://:secret@127.0.0.1:${server.port}/0 tls_ca=ours.pem;`),
    'StoreError unavailable',
  )
  assert.is(await ask(`store redis://:secret@127.0.0.1:${port}/0;`), 'StoreError unavailable')
  const stats = server.command('-a', 'secret', '--no-auth-warning', 'dbsize')
  assert.is(stats, '1')
  await server.stop()
})

test.run()
