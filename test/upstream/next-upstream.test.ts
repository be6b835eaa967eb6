// When another peer may be tried, and what is left to answer when none may.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  eventOfStatus,
  finalStatus,
  mayRetry,
  type RetryQuestion,
  type TryEvent,
  verdictOf,
} from '../../runtime/upstream/next-upstream.ts'

const DEFAULT = new Set(['error', 'timeout'])

function ask(changes: Partial<RetryQuestion>): boolean {
  return mayRetry({
    event: 'error',
    configured: DEFAULT,
    method: 'GET',
    requestSent: true,
    replayable: true,
    triesLeft: 1,
    startedAt: 1000,
    now: 1500,
    timeout: 0,
    ...changes,
  })
}

test('by default errors and timeouts are retried, answers are not', () => {
  assert.ok(ask({ event: 'error' }))
  assert.ok(ask({ event: 'timeout' }))
  for (const event of ['invalid_header', 'http_502', 'http_404'] as const) assert.not(ask({ event }))
})

test('what is configured is retried', () => {
  assert.ok(ask({ event: 'http_503', configured: new Set(['http_503']) }))
  assert.not(ask({ event: 'error', configured: new Set(['http_503']) }))
  assert.not(ask({ event: 'error', configured: new Set() }))
})

test('without tries left or live peers there is no other try', () => {
  assert.not(ask({ triesLeft: 0 }))
  assert.not(ask({ event: 'no_live', configured: new Set(['no_live']) }))
})

test('proxy_next_upstream_timeout ends the tries; 0 does not', () => {
  assert.ok(ask({ timeout: 501 }))
  assert.not(ask({ timeout: 500 }))
  assert.ok(ask({ timeout: 0, now: 1e9 }))
})

test('POST, LOCK and PATCH once sent need non_idempotent', () => {
  const allowed = new Set(['error', 'non_idempotent'])
  for (const method of ['POST', 'LOCK', 'PATCH']) {
    assert.not(ask({ method }))
    assert.ok(ask({ method, requestSent: false }))
    assert.ok(ask({ method, configured: allowed }))
  }
  for (const method of ['PUT', 'DELETE', 'post']) assert.ok(ask({ method }))
})

test('a body that was sent and cannot be sent again ends the tries', () => {
  assert.not(ask({ replayable: false }))
  assert.ok(ask({ replayable: false, requestSent: false }))
})

test('statuses that may lead on, what they mean for the peer, and the answer when they do not', () => {
  const table: [number, TryEvent, 'failed' | 'next'][] = [
    [403, 'http_403', 'next'],
    [404, 'http_404', 'next'],
    [429, 'http_429', 'failed'],
    [500, 'http_500', 'failed'],
    [502, 'http_502', 'failed'],
    [503, 'http_503', 'failed'],
    [504, 'http_504', 'failed'],
  ]
  for (const [status, event, verdict] of table) {
    assert.is(eventOfStatus(status), event)
    assert.is(verdictOf(event), verdict)
    assert.is(finalStatus(event), status)
  }
  for (const status of [200, 301, 400, 401, 501, 505]) assert.is(eventOfStatus(status), null)
})

test('the other events', () => {
  assert.equal(
    (['error', 'timeout', 'invalid_header', 'no_live'] as const).map(finalStatus),
    [502, 504, 502, 502],
  )
  assert.equal((['error', 'timeout', 'invalid_header'] as const).map(verdictOf), [
    'failed',
    'failed',
    'failed',
  ])
})

test.run()
