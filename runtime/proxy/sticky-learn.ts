/**
 * nginx's `sticky learn`: an upstream's answer names a session (`create`), later requests name it again (`lookup`), and go
 * to the peer that it began at. Sessions live in a map of the store, so that all workers and machines know them.
 */
import { createHash } from 'node:crypto'
import { Outcome } from '../phases.ts'
import type { SessionMap } from '../store/session-map.ts'
import type { Exchange } from './exchange.ts'
import type { Getter } from './plan.ts'
import { type AtResponse, namesOf, Sticky, takeById } from './sticky.ts'
import { firstOf } from './sticky-cookie.ts'

export interface StickyLearnOptions {
  readonly sessions: SessionMap
  readonly creates: readonly Getter[]
  readonly lookups: readonly Getter[]
  /** Sessions are learned from the head of a response; else once it is over, as a later one of the same session may be then. */
  readonly header: boolean
}

export function stickyLearn({ sessions, creates, lookups, header }: StickyLearnOptions): Sticky {
  const learns: AtResponse = (call, peer) =>
    learn(sessions, namesOf(call.group).id(peer), firstOf(call.x, creates), firstOf(call.x, lookups))
  return new Sticky(
    (request) => {
      const x = request as Exchange
      const session = firstOf(x, lookups)
      if (session === '') return Outcome.PASS
      const key = keyOf(session)
      const known = sessions.peek(key)
      if (known !== undefined) return known === null ? Outcome.PASS : takeById(x.call!, idOf(known))
      void look(x, sessions, key)
      return Outcome.SUSPENDED
    },
    header ? { answered: learns } : { ended: learns },
  )
}

/** A store that is away costs the request its peer, and nothing else. */
async function look(x: Exchange, sessions: SessionMap, key: string): Promise<void> {
  const call = x.call!
  const value = await sessions.get(key).catch(() => null)
  if (x.call === call) x.hookSettled(value === null ? Outcome.PASS : takeById(call, idOf(value)))
}

/** A session that is known begins its time anew; where it has moved, it stays. */
function learn(sessions: SessionMap, peerId: string, created: string, looked: string): void {
  if (created === '' && looked === '') return
  const id = JSON.stringify(peerId)
  const key = keyOf(created === '' ? looked : created)
  const done = created === '' ? renew(sessions, key, id) : sessions.set(key, id)
  done.catch(() => undefined)
}

/** A session that has ended meanwhile is not begun again by who only looks it up. */
async function renew(sessions: SessionMap, key: string, id: string): Promise<void> {
  const there = await sessions.get(key)
  if (there === id) await sessions.touch(key)
  else if (there !== null) await sessions.compareAndSet(key, there, id)
}

function idOf(value: string | Uint8Array): string {
  return typeof value === 'string' ? value.slice(1, -1) : ''
}

/** Sessions are secrets: the store knows their hashes. */
function keyOf(session: string): string {
  return createHash('sha256').update(session, 'latin1').digest('base64url')
}
