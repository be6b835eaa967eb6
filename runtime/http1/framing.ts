/**
 * Where a message's body ends: one function a direction, the steps of RFC 9112 section 6.3 in order, made strict: a
 * message whose length two readers could see differently is refused, never repaired.
 */
import { ClientFault, HttpFault, UpstreamFault } from './fault.ts'
import { Field, type FieldBlock } from './fields.ts'
import type { RequestHead } from './request-reader.ts'
import type { ResponseHead } from './response-reader.ts'

/** How a body is delimited. `length` counts bytes; `close`: it ends with the connection. */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' }

const NONE: Framing = { kind: 'none' }
const EMPTY: Framing = { kind: 'length', length: 0 }
const CHUNKED: Framing = { kind: 'chunked' }
const CLOSE: Framing = { kind: 'close' }

/** 1*DIGIT (RFC 9110 section 8.6), few enough for an exact number. */
const LENGTH = /^[0-9]{1,16}$/

interface FramingFaults {
  readonly DUPLICATE: HttpFault
  readonly LENGTH: HttpFault
  readonly ENCODING: HttpFault
  readonly BOTH_LENGTHS: HttpFault
}

/** The framing of a request's body. */
export function requestFraming(head: RequestHead): Framing | HttpFault {
  const fields = head.fields
  const given = declaredFraming(fields, ClientFault)
  // Step 1 of section 6.3 with section 6.1: HTTP/1.0 knows no transfer codings.
  if (head.version < 11 && fields.has(Field.TRANSFER_ENCODING)) return ClientFault.ENCODING_10
  // Step 7: a request without either field has no body.
  return given ?? NONE
}

/**
 * The framing of a response's body.
 * @param method of the request that was sent upstream
 */
export function responseFraming(method: string, head: ResponseHead): Framing | HttpFault {
  const given = declaredFraming(head.fields, UpstreamFault)
  if (given instanceof HttpFault) return given
  const status = head.status
  // Step 1: never a body, whatever the fields say.
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return NONE
  // Step 2: a tunnel.
  if (method === 'CONNECT' && status < 300) return NONE
  // Step 8: until the upstream closes.
  return given ?? CLOSE
}

/** Steps 3 to 6: what the fields say; null if they say nothing. */
function declaredFraming(fields: FieldBlock, faults: FramingFaults): Framing | HttpFault | null {
  const coded = fields.has(Field.TRANSFER_ENCODING)
  const sized = fields.has(Field.CONTENT_LENGTH)
  if (!coded && !sized) return null
  if (isRepeated(fields, Field.TRANSFER_ENCODING) || isRepeated(fields, Field.CONTENT_LENGTH))
    return faults.DUPLICATE
  // Step 5: an invalid length is an unrecoverable error, even where step 3 would ignore it.
  const length = sized ? contentLength(fields) : null
  if (sized && length === null) return faults.LENGTH
  if (!coded) return length === 0 ? EMPTY : { kind: 'length', length: length as number }
  // Step 4: chunked is the only coding known, and the final one.
  if (!isChunked(fields)) return faults.ENCODING
  // Step 3 allows to prefer the coding; it is what request smuggling lives on.
  return sized ? faults.BOTH_LENGTHS : CHUNKED
}

function isRepeated(
  fields: FieldBlock,
  id: typeof Field.TRANSFER_ENCODING | typeof Field.CONTENT_LENGTH,
): boolean {
  const first = fields.find(id)
  return first !== -1 && fields.find(id, first + 1) !== -1
}

function contentLength(fields: FieldBlock): number | null {
  const i = fields.find(Field.CONTENT_LENGTH)
  const value = fields.value(i)
  if (!LENGTH.test(value) || hasTab(fields, i)) return null
  const length = Number(value)
  return Number.isSafeInteger(length) ? length : null
}

function isChunked(fields: FieldBlock): boolean {
  const i = fields.find(Field.TRANSFER_ENCODING)
  const value = fields.value(i)
  return value.length === 7 && value.toLowerCase() === 'chunked' && !hasTab(fields, i)
}

/** RFC 9110 allows a tab around a value, nginx and others take it for a part of it: refused here. */
function hasTab(fields: FieldBlock, i: number): boolean {
  return !fields.isCanonical(i) && fields.rawValue(i).includes('\t')
}
