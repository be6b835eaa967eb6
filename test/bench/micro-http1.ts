/**
 * What the HTTP/1.1 codec costs: nanoseconds for a head, a target, a chunk. Run it alone on an idle machine:
 *
 *   node dist/test/bench/micro-http1.js
 */
import { ChunkedDecoder } from '../../runtime/http1/chunked.ts'
import { isFault } from '../../runtime/http1/fault.ts'
import { requestFraming } from '../../runtime/http1/framing.ts'
import { RequestReader } from '../../runtime/http1/request-reader.ts'
import { ResponseReader } from '../../runtime/http1/response-reader.ts'
import { parseTarget, validateHost } from '../../runtime/http1/uri.ts'

const REQUEST = Buffer.from(
  'GET /chat/rooms/42?userId=1001&lang=en HTTP/1.1\r\n' +
    'Host: chat.example.com\r\n' +
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n' +
    'Accept: text/html,application/json\r\n' +
    'Accept-Language: en-US,en;q=0.5\r\n' +
    'Accept-Encoding: gzip, deflate, br\r\n' +
    'Connection: keep-alive\r\n' +
    'Cookie: session=8f14e45fceea167a\r\n' +
    'Cache-Control: max-age=0\r\n' +
    'X-Request-Start: 1700000000\r\n\r\n',
  'latin1',
)

const RESPONSE = Buffer.from(
  'HTTP/1.1 200 OK\r\n' +
    'Server: nginx\r\n' +
    'Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n' +
    'Content-Type: application/json; charset=utf-8\r\n' +
    'Content-Length: 43\r\n' +
    'Connection: keep-alive\r\n' +
    'Cache-Control: no-store\r\n\r\n',
  'latin1',
)

const CHUNKS = Buffer.from(`${`400\r\n${'x'.repeat(1024)}\r\n`.repeat(16)}0\r\n\r\n`, 'latin1')

const LIMITS = {
  headerBuffer: 1024,
  largeCount: 4,
  largeSize: 8192,
  underscores: false,
  ignoreInvalid: true,
  maxFields: 1000,
}

/** Runs `work` for a while to warm up, then measures the best of five rounds. */
function measure(name: string, times: number, work: () => number): void {
  let best = Number.POSITIVE_INFINITY
  let sum = 0
  for (let round = 0; round < 8; round++) {
    const start = process.hrtime.bigint()
    for (let i = 0; i < times; i++) sum += work()
    const each = Number(process.hrtime.bigint() - start) / times
    if (round >= 3 && each < best) best = each
  }
  if (sum === 0) throw new Error(`${name}: did no work`)
  process.stdout.write(`${name.padEnd(48)} ${best.toFixed(0).padStart(6)} ns\n`)
}

const requests = new RequestReader(LIMITS)
measure(`request head, 9 fields, ${REQUEST.length} bytes`, 300_000, () => {
  requests.push(REQUEST)
  const head = requests.next()
  return head === null || isFault(head) ? 0 : head.fields.count
})

measure('the same, its framing, target and host', 300_000, () => {
  requests.push(REQUEST)
  const head = requests.next()
  if (head === null || isFault(head) || isFault(requestFraming(head))) return 0
  const target = parseTarget(head.method, head.target, true)
  const host = validateHost(head.fields.value(head.fields.find(1)))
  return isFault(target) || isFault(host) ? 0 : target.path.length + host.host.length
})

measure('the same head in two pieces', 300_000, () => {
  requests.push(REQUEST.subarray(0, 150))
  requests.next()
  requests.push(REQUEST.subarray(150))
  const head = requests.next()
  return head === null || isFault(head) ? 0 : head.fields.count
})

const responses = new ResponseReader(4096)
measure(`response head, 6 fields, ${RESPONSE.length} bytes`, 300_000, () => {
  responses.push(RESPONSE)
  const head = responses.next()
  return head === null || isFault(head) ? 0 : head.fields.count
})

measure('target with escapes and dots', 300_000, () => {
  const target = parseTarget('GET', '/a/./b/../%7Euser//x%20y.html?q=1', true)
  return isFault(target) ? 0 : target.path.length
})

measure(`chunked body, 16 chunks of 1 KiB, framed`, 100_000, () => {
  const decoder = new ChunkedDecoder('framed', 'upstream')
  decoder.push(CHUNKS)
  return decoder.dataBytes
})
