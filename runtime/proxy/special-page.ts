/**
 * The built-in pages for statuses that nobody else gave a body: nginx's structure, so that clients and tests which
 * know nginx's recognize them.
 */

import { closeParts } from './body-parts.ts'
import type { Exchange } from './exchange.ts'
import { serverName } from './response-writer.ts'

/** What a page says. Where it differs from the reason phrase, this is nginx's wording. */
const TITLES: Readonly<Record<number, string>> = {
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Authorization Required',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Not Allowed',
  406: 'Not Acceptable',
  407: 'Proxy Authentication Required',
  408: 'Request Time-out',
  409: 'Conflict',
  410: 'Gone',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Request Entity Too Large',
  414: 'Request-URI Too Large',
  415: 'Unsupported Media Type',
  416: 'Requested Range Not Satisfiable',
  421: 'Misdirected Request',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Temporarily Unavailable',
  504: 'Gateway Time-out',
  505: 'HTTP Version Not Supported',
  507: 'Insufficient Storage',
}

/** nginx's own statuses: a 400 to the client, with the reason on the page. */
const BAD_REQUESTS: Readonly<Record<number, string>> = {
  494: 'Request Header Or Cookie Too Large',
  495: 'The SSL certificate error',
  496: 'No required SSL certificate was sent',
  497: 'The plain HTTP request was sent to HTTPS port',
}

/**
 * Makes the response the page of this status (494 to 497 become 400): sets `x.status`, type, length and `x.parts`.
 * A status without a page gets an empty body. Of the head so far, what described another body goes.
 */
export function specialPage(x: Exchange, status: number): void {
  const { headers } = x
  closeParts(x.parts)
  const page = pageOf(status, x)
  x.status = status in BAD_REQUESTS ? 400 : status
  x.parts = page === '' ? [] : [page]
  x.allowRanges = false
  headers.contentType = page === '' ? null : 'text/html'
  headers.contentLength = page.length
  headers.lastModified = null
  headers.remove('etag')
  headers.remove('accept-ranges')
}

function pageOf(status: number, x: Exchange): string {
  const reason = BAD_REQUESTS[status]
  if (reason !== undefined)
    return page(`400 ${reason}`, '400 Bad Request', `<center>${reason}</center>\r\n`, x)
  const title = TITLES[status]
  return title === undefined ? '' : page(`${status} ${title}`, `${status} ${title}`, '', x)
}

function page(title: string, heading: string, more: string, x: Exchange): string {
  return (
    `<html>\r\n<head><title>${title}</title></head>\r\n` +
    `<body>\r\n<center><h1>${heading}</h1></center>\r\n${more}` +
    `<hr><center>${escapeHtml(serverName(x))}</center>\r\n</body>\r\n</html>\r\n`
  )
}

/** `server_tokens` may hold variables, and so what a client sent. */
function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
