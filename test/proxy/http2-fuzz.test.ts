// Frames in orders that no decent client sends them, by a seeded generator: whatever they do to their own connection,
// the process goes on, and has all connections back when they have left. (Node's HTTP/2 can be driven into endless
// loops by some ways of closing a stream.)

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../lib/ports.ts'
import { startSluice } from '../lib/proxy-process.ts'
import { ok, recordingUpstream } from '../lib/recording-upstream.ts'
import { askOnce, Frame, frame, headerBlock, PREFACE, pseudo, RawHttp2 } from './http2-client.ts'

const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 60)
const CONNECTIONS = 8
const SEED = Number(process.env.FUZZ_SEED ?? 1)

const upstream = await recordingUpstream(() => ok('x'.repeat(3000)))
const port = await freePort()
const sluice = await startSluice(
  `
http {
  client_body_temp_path temp;
  lingering_timeout 500ms;
  server {
    listen 127.0.0.1:${port};
    http2 on;
    root files;
    client_max_body_size 50;
    location = /status { stub_status; }
    location = /short { return 200 short; }
    location = /close { return 444; }
    location = /empty { return 204; }
    location /trailers/ { alias files/; add_trailer X-Sum $uri; }
    location /up/ { proxy_pass http://${upstream.address}; }
    location /through/ { proxy_pass http://${upstream.address}; proxy_request_buffering off; }
    location /gone/ { proxy_pass http://127.0.0.1:1; proxy_request_buffering off; }
  }
}
`,
  { 'files/big': 'b'.repeat(300_000), 'files/small': 'small' },
)
test.after(async () => {
  await upstream.close()
  await sluice.stop()
})

/** Numbers below `limit`, the same in every run of a seed (Numerical Recipes' generator). */
let state = SEED
function random(limit: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * limit)
}

const pick = <T>(list: readonly T[]): T => list[random(list.length)]
const PATHS = [
  '/short',
  '/close',
  '/empty',
  '/trailers/small',
  '/trailers/big',
  '/up/',
  '/through/',
  '/gone/',
  '/big',
  '/none',
]
const number = (value: number): string =>
  String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)

function head(stream: number): Buffer {
  const fields = pseudo(pick(PATHS), pick(['GET', 'POST', 'HEAD', 'PUT']))
  if (random(3) === 0) fields.push(['content-length', pick(['0', '3', '5', '60', 'x'])])
  if (random(6) === 0) fields.push(['expect', '100-continue'])
  return frame(Frame.HEADERS, 4 | random(2), stream, headerBlock(fields))
}

/** A frame for one of the streams begun so far, or something about the connection. */
function other(stream: number): Buffer {
  const id = Math.max(1, stream - 2 * random(3))
  switch (random(9)) {
    case 0:
    case 1:
    case 2:
      return frame(Frame.DATA, random(2), id, 'x'.repeat(pick([0, 0, 3, 5, 60])))
    case 3:
    case 4:
      return frame(Frame.RST_STREAM, 0, id, number(pick([0, 2, 5, 8])))
    case 5:
      return frame(Frame.WINDOW_UPDATE, 0, pick([0, id]), number(pick([1, 1000, 100_000])))
    case 6:
      return frame(Frame.SETTINGS, 0, 0, pick(['', `\0\x04${number(pick([0, 1, 70_000]))}`]))
    case 7:
      return frame(Frame.HEADERS, 5, id, headerBlock([['x-sum', '1']]))
    default:
      return frame(Frame.PING, 0, 0, '12345678')
  }
}

const turn = () =>
  new Promise<void>((next) => (random(3) === 0 ? setTimeout(next, random(4)) : setImmediate(next)))

async function misbehave(): Promise<void> {
  const first = random(3) === 0 ? [PREFACE] : [PREFACE, frame(Frame.SETTINGS, 0, 0)]
  const client = await RawHttp2.open(port, ...first)
  let stream = -1
  for (let i = 0; i < 12 && !client.closed; i++) {
    const frames: Buffer[] = []
    for (let k = random(4); k >= 0; k--)
      frames.push(stream < 0 || random(3) === 0 ? head((stream += 2)) : other(stream))
    client.send(...frames)
    await turn()
  }
  if (random(2) === 0) client.socket.end()
  await turn()
  client.socket.destroy()
}

/** Waits until the connection that asks is the only one. */
async function allHaveLeft(): Promise<void> {
  const deadline = Date.now() + 5000
  for (;;) {
    const { body } = await askOnce(port, '/status')
    if (body.startsWith('Active connections: 1 ')) return
    if (Date.now() > deadline) throw new Error(`they have left, but:\n${body}`)
  }
}

test(`the process lives on (seed ${SEED})`, async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const before = state
    await Promise.all(Array.from({ length: CONNECTIONS }, misbehave))
    const alive = askOnce(port, '/short')
    const late = new Promise<null>((done) => setTimeout(done, 5000, null))
    const answer = await Promise.race([alive, late])
    assert.is(answer?.body, 'short', `round ${round}, which began with state ${before}`)
  }
  await allHaveLeft()
  assert.not.match(sluice.errorLog(), /\[(alert|emerg|crit)\]/)
  assert.not.match(sluice.errorLog(), /client: unix:/)
})

test.run()
