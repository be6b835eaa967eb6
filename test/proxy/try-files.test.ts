// `try_files` over real files: which URI, file or status a request ends at.

import { writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { mapPath } from '../../runtime/proxy/map-path.ts'
import { Step } from '../../runtime/proxy/step.ts'
import { tryFiles } from '../../runtime/proxy/try-files.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import { RouteServer } from './route-server.ts'

const FOLDER = tempDir()
writeFiles(FOLDER, {
  'found.html': '',
  'directory/alias-re.html': '',
  'a b%c.html': '',
})
// A name that is no UTF-8: paths are bytes.
writeFileSync(Buffer.from(`${FOLDER}/caf\xe9`, 'latin1'), '')

const SERVER = new RouteServer(`
  root ${FOLDER};
  server {
    location / { try_files $uri $uri/ /fallback; }
    location /status/ { try_files /nothing =410; }
    location /named/ { try_files /nothing @else; }
    location /args/ { try_files /nothing /f?u=$uri&$args; }
    location /encoded/ { try_files /nothing /f$uri?u; }
    location /file-file/ { try_files /found.html =404; }
    location /file-dir/ { try_files /found.html/ =404; }
    location /dir-dir/ { try_files /directory/ =404; }
    location /dir-file/ { try_files /directory =404; }
    location /short/ { try_files /short $uri =404; }
    location /arg/ { try_files /$arg_f =404; }
    location /below-file/ { try_files /found.html/x $uri =404; }
    location ~ /alias-re.html { alias ${FOLDER}/directory; try_files $uri =404; }
    location /alias/ { alias ${FOLDER}/; try_files $uri =404; location ~ html { try_files $uri =404; } }
    location /alias-constant/ { alias ${FOLDER}/; try_files found.html =404; }
    location /alias-rewritten/ { alias ${FOLDER}/; rewrite ^ /other break; try_files $uri =404; }
    location @else { }
  }`)

/** Where the request goes on, and with what: the file, the redirect or the status. */
async function end(line: string): Promise<string> {
  const { x, step } = SERVER.go(line)
  assert.is(step, Step.LIMIT)
  const resumed = SERVER.resumed()
  const first = tryFiles(x)
  const next = first === Step.SUSPENDED ? await resumed : first
  if (next === Step.REDIRECT) return `to ${x.redirectTarget}`
  if (next === Step.ERROR) return String(x.status)
  assert.is(next, Step.CONTENT)
  assert.ok(x.unparsedValid)
  return `${x.path} ${mapPath(x).slice(FOLDER.length)}`
}

const CASES: readonly [line: string, result: string][] = [
  ['GET /found.html', '/found.html /found.html'],
  ['GET /directory/', '/directory/ /directory/'],
  ['GET /directory', '/directory /directory'],
  ['GET /missing', 'to /fallback'],
  ['GET /status/x', '410'],
  ['GET /named/x', 'to @else'],
  ['GET /args/x?a=b', 'to /f?u=/args/x&a=b'],
  ['GET /encoded/a%20b%25', 'to /f/encoded/a%20b%25?u'],
  ['GET /a%20b%25c.html', '/a b%c.html /a b%c.html'],
  ['GET /caf%e9', '/caf\xe9 /caf\xe9'],
  ['GET /file-file/', '/found.html /found.html'],
  ['GET /file-dir/', '404'],
  ['GET /dir-dir/', '/directory /directory'],
  ['GET /dir-file/', '404'],
  ['GET /short/long', '404'],
  ['GET /below-file/x', '404'],
  ['GET /arg/?f=found.html', '/found.html /found.html'],
  ['GET /alias-re.html', '/alias-re.html /directory/alias-re.html'],
  ['GET /alias/directory', '404'],
  ['GET /alias/found.html', '/alias/found.html /found.html'],
  ['GET /alias-constant/x', '/alias-constant/found.html /found.html'],
  // what leads out of the root is not there
  ['GET /arg/?f=../../../../../../etc/passwd', '404'],
  ['GET /arg/?f=directory/../found.html', '404'],
]
for (const [line, result] of CASES) {
  test(`${line}: ${result}`, async () => {
    assert.is(await end(line), result)
  })
}

test('an alias cannot be used once the URI was rewritten', async () => {
  assert.is(await end('GET /alias-rewritten/x'), '500')
  assert.match(SERVER.logged[0], /^\[alert\] "alias" cannot be used in location "\/alias-rewritten\/"/)
})

test.run()
