// Every line of nginx-balancing.txt (what nginx 1.31 itself computes) must come out of our groups.

import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { UpstreamGroup } from '../../runtime/upstream/group.ts'
import type { Method } from '../../runtime/upstream/options.ts'
import { group } from './groups.ts'

// Compiled files lie in DIR/test/upstream of the repository.
const file = new URL('../../../test/upstream/nginx-balancing.txt', import.meta.url)
const lines = readFileSync(file, 'latin1')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))

const METHODS: Readonly<Record<string, Method>> = {
  hash: 'hash',
  chash: 'hash consistent',
  ip_hash: 'ip_hash',
  ip_hash6: 'ip_hash',
}

for (const line of lines) test(line, () => check(line))

function check(line: string): void {
  const order = /^(hash|chash|ip_hash6?) (?:w(\d{3}) )?(\S+) -> (.+)$/.exec(line)
  const ring = /^chash(?:-mixed| w(\d{3})) points=(\d+) first=(\S+) (\S+) (\S+) (?:last=(\S+))?$/.exec(line)
  if (order !== null) {
    const [, method, weights = '111', key, expected] = order
    assert.is(threeTries(servers(METHODS[method!]!, weights), key!), expected)
  } else if (ring !== null) {
    const [, weights, points, ...named] = ring
    checkRing(weights === undefined ? mixed() : servers('hash consistent', weights), Number(points), named)
  } else if (line.startsWith('swrr')) {
    assert.is(smooth(line.includes('max_fails')), line.split(' -> ')[1])
  } else throw new Error('a line of a kind that this test does not know')
}

function servers(method: Method, weights: string): UpstreamGroup {
  const lines = [...weights].map((weight, i) => `10.0.0.${i + 1}:8080 weight=${weight}`)
  return group(method, lines)
}

function mixed(): UpstreamGroup {
  return group('hash consistent', ['backend.example.com', 'unix:/tmp/a.sock', '[::1]:9000'])
}

function threeTries(from: UpstreamGroup, key: string): string {
  const selection = from.select(key)
  return [1, 2, 3].map(() => selection.next()?.address.text).join(' ')
}

function checkRing(
  { ring }: UpstreamGroup,
  count: number,
  [first, second, third, last]: (string | undefined)[],
): void {
  const point = (i: number) => `${ring.points[i]!.toString(16).padStart(8, '0')}@${ring.at(i)[0]!.name}`
  assert.is(ring.points.length, count)
  assert.equal([point(0), point(1), point(2)], [first, second, third])
  if (last !== undefined) assert.is(point(count - 1).split('@')[0], last)
}

/** 14 picks of weights 5, 1, 1; with a failure of `a` at the first pick, and a's effective weight after each. */
function smooth(failing: boolean): string {
  const options = failing ? 'max_fails=3' : ''
  const from = group('round_robin', [`a weight=5 ${options}`, 'b', 'c'])
  const picks: string[] = []
  for (let i = 0; i < 14; i++) {
    const selection = from.select('')
    const peer = selection.next()!
    selection.release(peer, failing && i === 0 ? 'failed' : 'ok')
    picks.push(failing ? `${peer.name}(ew${from.peers[0]!.effectiveWeight})` : peer.name)
  }
  return picks.join(' ')
}

test.run()
