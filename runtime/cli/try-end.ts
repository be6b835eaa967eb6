/** How a dry run ended: the peer that the request would go to and why, the answer it would get, or neither. */
import { Outcome } from '../phases.ts'
import type { BodyPart, Exchange } from '../proxy/exchange.ts'
import { chooseFraming, responseHead } from '../proxy/response-writer.ts'
import { Step } from '../proxy/step.ts'
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
    }
  /** The connection is closed without an answer (`return 444`). */
  | { readonly kind: 'closed'; readonly step: string }

/** Text of a body's part, or how long a file's part is. */
export type BodySummary = { readonly text: string } | { readonly bytes: number }

/** Gives up what the exchange holds: the peer it took, files it opened. */
export function describeEnd(
  x: Exchange,
  step: Step,
  answeredIn: string,
  hooks: readonly HookTrace[],
): TraceEnd {
  if (step === Step.CONNECT) return describePeer(x, hooks)
  if (step !== Step.RELAY) return { kind: 'closed', step: answeredIn }
  const body = (x.parts ?? []).map(summarize)
  return {
    kind: 'answer',
    status: x.status,
    step: answeredIn,
    hook:
      hooks.findLast((hook) => hook.outcome === Outcome.ANSWER || hook.outcome === Outcome.FAILED) ?? null,
    head: responseHead(x, chooseFraming(x)),
    body: x.headOnly ? [] : body,
  }
}

function describePeer(x: Exchange, hooks: readonly HookTrace[]): TraceEnd {
  const call = x.call!
  const peer = call.peer!
  const { group, key } = call.target
  const last = hooks.findLast(({ phase }) => phase === 'balancer')
  const hook = last?.outcome === Outcome.PEER ? last : null
  const end: TraceEnd = {
    kind: 'peer',
    address: peer.address.text,
    name: peer.name,
    group: group.name,
    method: group.method,
    key: key === null ? null : key(x),
    hook,
    asked: hook?.asked.findLast(({ index }) => index === peer.index)?.what ?? null,
    later: (['headerFilter', 'log'] as const).filter((phase) => x.location.hooks[phase] !== null),
    head: call.plan.request.head(x, call.target),
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
