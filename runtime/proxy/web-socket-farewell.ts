/** How a WebSocket ends: what its scripts are told, and with what close frame each side is left. */
import type { WebSocketEnd, WebSocketSide } from '../phases.ts'
import { CloseCode } from '../ws/close-codes.ts'

/** What a close frame says. The reason is a byte string. */
export interface Farewell {
  readonly code: number
  readonly reason: string
}

export interface Ending {
  readonly end: WebSocketEnd
  readonly client: Farewell
  readonly upstream: Farewell
}

const LEAVING: Farewell = { code: CloseCode.GOING_AWAY, reason: '' }
const BROKEN: Farewell = { code: CloseCode.INTERNAL_ERROR, reason: '' }
const COMES_BACK: Farewell = { code: CloseCode.SERVICE_RESTART, reason: '' }
const LOST: Farewell = { code: CloseCode.LOST, reason: '' }

/** A side, or a script, has said goodbye: both are told the same. */
export function closedBy(by: WebSocketSide | 'script', farewell: Farewell): Ending {
  return { end: { by, ...farewell }, client: farewell, upstream: farewell }
}

/** A side sends what cannot be understood. */
export function brokenBy(by: WebSocketSide, fault: Farewell): Ending {
  const end = { by: 'proxy', ...fault } as const
  return by === 'client'
    ? { end, client: fault, upstream: LEAVING }
    : { end, client: BROKEN, upstream: fault }
}

/** A side is gone without a close frame. */
export function lostBy(by: WebSocketSide): Ending {
  return { end: { by, ...LOST }, client: BROKEN, upstream: LEAVING }
}

/** The upstream is gone, and no other one could be had: the client may come again. */
export const NO_UPSTREAM: Ending = { end: { by: 'upstream', ...LOST }, client: COMES_BACK, upstream: LEAVING }

/** A hook failed. */
export const HOOK_FAILED: Ending = { end: { by: 'proxy', ...BROKEN }, client: BROKEN, upstream: BROKEN }

/** The proxy stops, or has waited long enough for traffic. */
export const PROXY_LEAVES: Ending = { end: { by: 'proxy', ...LEAVING }, client: LEAVING, upstream: LEAVING }
