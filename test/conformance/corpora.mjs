// Reads the public corpora of malformed requests that a user has fetched. Knows their file formats, and for each case how
// many requests an upstream may get to see.

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isChunkedExactly } from './readings.mjs'

/**
 * @typedef {object} Case
 * @property {string} corpus
 * @property {string} name
 * @property {string} bytes latin1, as the client sends them
 * @property {number} most requests that the upstream may see
 */

/** A path that only the hidden request of a case asks for. */
export const HIDDEN = '/hidden'

/** @param {string} folder a copy of nodejs/llhttp or defparam/smuggler @returns {Case[]} */
export function readCorpus(folder) {
  const markdown = findFolder(folder, 'test/request', 'transfer-encoding.md')
  if (markdown !== undefined) return readLlhttp(markdown)
  const configs = findFolder(folder, 'configs', 'default.py')
  if (configs !== undefined) return readSmuggler(configs)
  throw new Error(`${folder} holds neither llhttp's test/request/*.md nor smuggler's configs/*.py`)
}

function findFolder(folder, below, file) {
  return [join(folder, below), folder].find((path) => existsSync(join(path, file)))
}

function readLlhttp(folder) {
  const cases = []
  for (const file of readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .sort()) {
    const text = readFileSync(join(folder, file), 'latin1')
    const example = /<!-- meta=(\{.*?\}) -->\s*```http\n([\s\S]*?)```(?:[^`]*?```log\n([\s\S]*?)```)?/g
    for (const match of text.matchAll(example)) {
      const line = text.slice(0, match.index).split('\n').length
      const bytes = unescapeBlock(match[2])
      const most = llhttpLimit(JSON.parse(match[1]), match[3] ?? '')
      cases.push({ corpus: 'llhttp', name: `${file}:${line}`, bytes, most })
      // Most cases lack a Host and would be refused for that alone.
      if (!/^host[ \t]*:/im.test(bytes) && /^[^\r\n]+\r\n/.test(bytes)) {
        const withHost = bytes.replace('\r\n', '\r\nHost: localhost\r\n')
        cases.push({ corpus: 'llhttp with Host', name: `${file}:${line}`, bytes: withHost, most })
      }
    }
  }
  return cases
}

/**
 * Requests that llhttp itself sees. No limit where it is told to be lenient, stops at an upgrade, or stops at a lone LF,
 * which RFC 9112 section 2.2 allows as the end of a line.
 */
function llhttpLimit(meta, log) {
  if (meta.type !== 'request' || /upgrade|pause|Missing expected CR/i.test(log))
    return Number.POSITIVE_INFINITY
  return log.match(/message begin/g)?.length ?? Number.POSITIVE_INFINITY
}

function unescapeBlock(block) {
  return block
    .replace(/\n$/, '')
    .replace(/\\\n/g, '')
    .replace(/\r?\n/g, '\r\n')
    .replace(/\\r/g, '\r')
    .replace(/\\n/g, '\n')
    .replace(/\\t/g, '\t')
    .replace(/\\f/g, '\f')
    .replace(/\\x([0-9a-fA-F]+)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replace(/\\([0-7]{1,3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
}

// The lists are Python programs that fill `mutations`; each entry is a head with places to fill in.
const RENDER = `
import json, sys
class Payload:
    header = None
    body = None
found = []
for path in sys.argv[1:]:
    scope = {'mutations': {}, 'Payload': Payload, 'RN': '\\r\\n'}
    exec(open(path, encoding='utf-8').read(), scope)
    for name, payload in scope['mutations'].items():
        found.append([path.rsplit('/', 1)[-1] + ' ' + name, payload.header])
print(json.dumps(found))
`

function readSmuggler(folder) {
  const files = ['default.py', 'doubles.py', 'exhaustive.py']
    .map((file) => join(folder, file))
    .filter(existsSync)
  const { status, stdout, stderr, error } = spawnSync('python3', ['-c', RENDER, ...files], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  if (error) throw new Error(`the smuggler lists need python3: ${error.message}`)
  if (status !== 0) throw new Error(`python3 could not read the smuggler lists:\n${stderr}`)
  return JSON.parse(stdout).flatMap(([name, template]) => [
    hiddenBehindLength(name, template),
    hiddenInChunk(name, template),
  ])
}

/** The length covers everything; a reader of chunks would find the hidden request after the last chunk. */
function hiddenBehindLength(name, template) {
  const body = `0\r\n\r\n${hiddenRequest()}`
  const bytes = fillIn(template, body, body.length)
  const exact = isChunkedExactly(bytes.slice(0, bytes.indexOf('\r\n\r\n')))
  return { corpus: 'smuggler, length covers', name, bytes, most: exact ? 2 : 1 }
}

/** A chunk covers everything; a reader of the length would find the hidden request after four bytes. */
function hiddenInChunk(name, template) {
  const chunk = hiddenRequest()
  const size = chunk.length.toString(16)
  const bytes = fillIn(template, `${size}\r\n${chunk}\r\n0\r\n\r\n`, size.length + 2)
  return { corpus: 'smuggler, chunk covers', name, bytes, most: 2 }
}

function hiddenRequest() {
  return `GET ${HIDDEN} HTTP/1.1\r\nHost: localhost\r\n\r\n`
}

function fillIn(template, body, length) {
  const head = template
    .replace('__METHOD__', 'POST')
    .replace('__ENDPOINT__', '/case')
    .replace('__RANDOM__', '1')
    .replace('__HOST__', 'localhost')
    .replace('__REPLACE_CL__', String(length))
  return `${head}\r\n${body}`
}
