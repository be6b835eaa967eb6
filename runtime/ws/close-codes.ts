/** Close codes of RFC 6455 section 7.4 and what a close frame may say. Knows nothing of connections. */
import { isUtf8 } from 'node:buffer'

export const CloseCode = {
  NORMAL: 1000,
  GOING_AWAY: 1001,
  PROTOCOL_ERROR: 1002,
  /** Never on the wire: the close frame gave none. */
  NONE: 1005,
  /** Never on the wire: there was no close frame. */
  LOST: 1006,
  NOT_UTF8: 1007,
  TOO_LARGE: 1009,
  INTERNAL_ERROR: 1011,
  SERVICE_RESTART: 1012,
} as const

/** What a control frame carries at most, the two bytes of a close code included. */
export const MAX_CONTROL = 125
const MAX_REASON = MAX_CONTROL - 2

/** Whether the code may stand in a close frame: the registered ones, and those that libraries and applications own. */
export function isWireCode(code: number): boolean {
  if (!Number.isInteger(code)) return false
  if (code >= 1000 && code <= 1014) return code !== 1004 && code !== CloseCode.NONE && code !== CloseCode.LOST
  return code >= 3000 && code <= 4999
}

/** What a script may not close with, in words for the script; null: it may. The reason is a byte string. */
export function closeFault(code: number, reason: string): string | null {
  if (!isWireCode(code)) return `${code} is not a close code that may be sent: 1000 to 1014 or 3000 to 4999`
  if (reason.length > MAX_REASON) return `a close reason has at most ${MAX_REASON} bytes`
  return isUtf8(Buffer.from(reason, 'latin1')) ? null : 'a close reason is text'
}

/** The payload of a close frame; `CloseCode.NONE` and `LOST` give an empty one. */
export function closePayload(code: number, reason: string): Buffer {
  if (!isWireCode(code)) return Buffer.alloc(0)
  const payload = Buffer.allocUnsafe(2 + reason.length)
  payload.writeUInt16BE(code, 0)
  payload.write(reason, 2, 'latin1')
  return payload
}
