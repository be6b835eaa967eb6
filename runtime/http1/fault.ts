/**
 * What is wrong with a message: the status that the client gets for it (nginx's choice) and the words for the log.
 * A fault is a result, not an exception: the ones below are made once and cost nothing to return.
 */

export class HttpFault {
  /** Tells it from the other members of a union by type alone. */
  readonly kind = 'fault'
  /** Status for the client. 494 is nginx's own: logged as such, sent as 400. */
  readonly status: number
  /** For the error log, in nginx's words. */
  readonly reason: string

  constructor(status: number, reason: string) {
    this.status = status
    this.reason = reason
  }
}

/** Tells a fault from a result. */
export function isFault(value: unknown): value is HttpFault {
  return value instanceof HttpFault
}

/** What clients do wrong. */
export const ClientFault = {
  METHOD: new HttpFault(400, 'client sent invalid method'),
  REQUEST: new HttpFault(400, 'client sent invalid request'),
  VERSION: new HttpFault(505, 'client sent invalid version'),
  METHOD_09: new HttpFault(400, 'client sent invalid method in HTTP/0.9 request'),
  URI_TOO_LONG: new HttpFault(414, 'client sent too long URI'),
  FIELD: new HttpFault(400, 'client sent invalid header line'),
  FIELD_TOO_LONG: new HttpFault(494, 'client sent too long header line'),
  TOO_MANY_FIELDS: new HttpFault(494, 'client sent too many header lines'),
  DUPLICATE: new HttpFault(400, 'client sent duplicate header line'),
  DUPLICATE_HOST: new HttpFault(400, 'client sent duplicate host header'),
  NO_HOST: new HttpFault(400, 'client sent HTTP/1.1 request without "Host" header'),
  HOST: new HttpFault(400, 'client sent invalid host header'),
  HOST_IN_LINE: new HttpFault(400, 'client sent invalid host in request line'),
  CONNECT: new HttpFault(405, 'client sent CONNECT method'),
  TRACE: new HttpFault(405, 'client sent TRACE method'),
  MISDIRECTED: new HttpFault(
    421,
    'client attempted to request the server name for which the negotiated protocol is disabled',
  ),
  LENGTH: new HttpFault(400, 'client sent invalid "Content-Length" header'),
  ENCODING_10: new HttpFault(400, 'client sent HTTP/1.0 request with "Transfer-Encoding" header'),
  ENCODING: new HttpFault(501, 'client sent unknown "Transfer-Encoding"'),
  BOTH_LENGTHS: new HttpFault(
    400,
    'client sent "Content-Length" and "Transfer-Encoding" headers at the same time',
  ),
  CHUNKED: new HttpFault(400, 'client sent invalid chunked body'),
  TRAILER: new HttpFault(400, 'client sent invalid trailer'),
} as const

/** What upstreams do wrong. */
export const UpstreamFault = {
  STATUS_LINE: new HttpFault(502, 'upstream sent no valid HTTP/1.0 header'),
  EARLY_HINTS_10: new HttpFault(502, 'upstream sent HTTP/1.0 response with early hints'),
  FIELD: new HttpFault(502, 'upstream sent invalid header'),
  TOO_BIG: new HttpFault(502, 'upstream sent too big header'),
  TOO_MANY_FIELDS: new HttpFault(502, 'upstream sent too many header lines'),
  DUPLICATE: new HttpFault(502, 'upstream sent duplicate header line'),
  LENGTH: new HttpFault(502, 'upstream sent invalid "Content-Length" header'),
  ENCODING: new HttpFault(502, 'upstream sent unknown "Transfer-Encoding"'),
  BOTH_LENGTHS: new HttpFault(
    502,
    'upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time',
  ),
  CHUNKED: new HttpFault(502, 'upstream sent invalid chunked response'),
  TRAILER: new HttpFault(502, 'upstream sent invalid trailer'),
} as const
