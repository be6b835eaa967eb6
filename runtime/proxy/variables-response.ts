/** Variables of the response: `$status`, what was sent, `$sent_http_NAME`. */
import type { Exchange } from './exchange.ts'
import { gzipRatio } from './gzip-filter.ts'
import type { VariableGetter } from './plan.ts'
import { BodyFraming, chooseFraming } from './response-writer.ts'
import { ssiDate } from './ssi-filter.ts'
import { editedField, isUnderscored } from './variables-named.ts'

export const RESPONSE_VARIABLES: Readonly<Record<string, VariableGetter>> = {
  status: statusText,
  bytes_sent: (x) => String(x.bytesSent),
  body_bytes_sent: (x) => String(x.bodyBytesSent),
  gzip_ratio: gzipRatio,
  date_local: (x) => ssiDate(x, false),
  date_gmt: (x) => ssiDate(x, true),

  // fields that have a slot of their own, or that the writer of the head makes
  sent_http_content_type: (x) => x.headers.contentType ?? undefined,
  sent_http_content_length: (x) =>
    x.headers.contentLength < 0 ? undefined : String(x.headers.contentLength),
  sent_http_last_modified: (x) => x.headers.lastModified ?? undefined,
  sent_http_location: (x) => x.headers.location ?? undefined,
  sent_http_server: (x) => x.headers.server || undefined,
  sent_http_date: (x) => x.headers.date || undefined,
  sent_http_connection: (x) => (x.status === 101 ? 'upgrade' : x.keepAlive ? 'keep-alive' : 'close'),
  sent_http_keep_alive: keepAlive,
  sent_http_transfer_encoding: transferEncoding,
}

/** `$sent_http_NAME` for every other field. */
export function sentFieldVariable(name: string): VariableGetter {
  return (x) => editedField(x.headers, name)
}

/** `$sent_trailer_NAME` */
export function sentTrailerVariable(name: string): VariableGetter {
  return (x) => {
    const values = x.trailers?.filter(([field]) => isUnderscored(field, name)).map(([, value]) => value) ?? []
    return values.length === 0 ? undefined : values.join(', ')
  }
}

/** Three digits; nginx's `009` for HTTP/0.9, `000` before there is a status. */
function statusText(x: Exchange): string {
  const status = x.errorStatus > 0 ? x.errorStatus : x.status
  if (status >= 100) return String(status)
  return String(status === 0 && x.head.version === 9 ? 9 : status).padStart(3, '0')
}

function keepAlive(x: Exchange): string | undefined {
  const { keepaliveHeader } = x.location.settings
  return x.keepAlive && keepaliveHeader > 0 ? `timeout=${Math.floor(keepaliveHeader / 1000)}` : undefined
}

function transferEncoding(x: Exchange): string | undefined {
  return x.headSent && chooseFraming(x) === BodyFraming.CHUNKED ? 'chunked' : undefined
}
