/** How a dry run ended: the peer that the request would go to and why, the answer it would get, or neither. */
import { Outcome } from '../phases.ts'
import type { BodyPart, Exchange } from '../proxy/exchange.ts'
import { chooseFraming, responseHead } from '../proxy/response-writer.ts'
import { Step } from '../proxy/step.ts'
import type { DryClient } from './try-client.ts'
import type { HookTrace } from './try-recorder.ts'

export type TraceEnd =
  | {
      readonly kind: 'peer'
      /** `$upstream_addr`, and the name it was configured by. */
      readonly address: string
      readonly name: string
      readonly group: string
      /** How the group balances, with the key where it has one. */
      readonly method: string
      readonly key: string | null
      /** The hook that chose instead; null: the method did. */
      readonly hook: HookTrace | null
      /** What that hook had asked for to get this peer; null: its own choice. */
      readonly asked: string | null
      /** Phases whose hooks would run once there is a response. */
      readonly later: readonly string[]
      /** The head that the peer would get. */
      readonly head: string
      /** What the client would get of the response that was given; null: none was. */
      readonly response: SentResponse | null
    }
  | {
      readonly kind: 'answer'
      readonly status: number
      /** Step that decided on it. */
      readonly step: string
      /** The hook that gave it; null: the configuration. */
      readonly hook: HookTrace | null
      readonly head: string
      readonly body: readonly BodySummary[]
      readonly cut?: boolean
    }
  /** The connection is closed without an answer (`return 444`). */
  | { readonly kind: 'closed'; readonly step: string }

export interface SentResponse {
  readonly head: string
  readonly body: readonly BodySummary[]
  /** It ends before it is complete. */
  readonly cut: boolean
}

/** Text of a body's part, or how long a file's part is. */
export type BodySummary = { readonly text: string } | { readonly bytes: number }

const LATER = ['headerFilter', 'bodyFilter', 'wsOpen', 'wsMessage', 'wsClose', 'log'] as const

/** Gives up what the exchange holds: the peer it took, files it opened. */
export function describeEnd(
  x: Exchange,
  step: Step,
  answeredIn: string,
  hooks: readonly HookTrace[],
): TraceEnd {
  const sent = sentTo(x.client as DryClient)
  if (step !== Step.RELAY && sent === null) return { kind: 'closed', step: answeredIn }
  const body = (x.parts ?? []).map(summarize)
  return {
    kind: 'answer',
    status: x.status,
    step: answeredIn,
    hook:
      hooks.findLast((hook) => hook.outcome === Outcome.ANSWER || hook.outcome === Outcome.FAILED) ?? null,
    head: responseHead(x, chooseFraming(x)),
    body: x.headOnly ? [] : body,
    ...sent,
  }
}

/** What the client has been sent; null: nothing. */
export function sentTo({ head, sent, cut }: DryClient): SentResponse | null {
  return head === null ? null : { head, body: sent === '' ? [] : [{ text: sent }], cut }
}

/** Gives up the peer that the exchange took. */
export function describePeer(x: Exchange, hooks: readonly HookTrace[]): Extract<TraceEnd, { kind: 'peer' }> {
  const call = x.call!
  const peer = call.peer!
  const { group } = call
  const { key } = call.target
  const last = hooks.findLast(({ phase }) => phase === 'balancer')
  const hook = last?.outcome === Outcome.PEER ? last : null
  const end: Extract<TraceEnd, { kind: 'peer' }> = {
    kind: 'peer',
    address: peer.address.text,
    name: peer.name,
    group: group.name,
    method: group.method,
    key: key === null ? null : key(x),
    hook,
    asked: hook?.asked.findLast(({ index }) => index === peer.index)?.what ?? null,
    later: LATER.filter((phase) => x.location.hooks[phase] !== null),
    head: call.plan.request.head(x, call.target),
    response: null,
  }
  call.abandon()
  return end
}

function summarize(part: BodyPart): BodySummary {
  if (typeof part === 'string') return { text: part }
  if (part instanceof Uint8Array) return { text: Buffer.from(part).toString('latin1') }
  part.file.close()
  return { bytes: part.end - part.start }
}
