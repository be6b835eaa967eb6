/** The words of the opening handshake, RFC 6455 section 4: keys, their proof, subprotocols. */
import { createHash, randomBytes } from 'node:crypto'
import * as ws from 'ws'

const { subprotocol } = ws as unknown as { subprotocol: { parse(field: string): Set<string> } }

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
/** 16 bytes as base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/

export function isKey(text: string): boolean {
  return KEY.test(text)
}

export function newKey(): string {
  return randomBytes(16).toString('base64')
}

/** What proves that a server has read the key: `Sec-WebSocket-Accept`. */
export function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64')
}

/** The subprotocols that a client offers; null when the field is malformed. */
export function offeredProtocols(field: string | undefined): ReadonlySet<string> | null {
  if (field === undefined) return NONE
  try {
    return subprotocol.parse(field)
  } catch {
    return null
  }
}

const NONE: ReadonlySet<string> = new Set()
