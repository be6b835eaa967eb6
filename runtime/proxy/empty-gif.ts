/** `empty_gif`: a transparent GIF of one pixel. */
import type { Exchange } from './exchange.ts'
import { Step } from './step.ts'

/** GIF89a: 1x1, two colours (black, white), white transparent, one image of two-bit LZW codes. */
const GIF = Buffer.from('R0lGODlhAQABAIABAAAAAP///yH5BAEAAAEALAAAAAABAAEAAAICTAEAOw==', 'base64')

/** nginx gives it this date, so that it can be asked for conditionally. */
const LAST_MODIFIED = 'Mon, 28 Sep 1970 06:00:00 GMT'

export function serveGif(x: Exchange): Step {
  if (x.method !== 'GET' && x.method !== 'HEAD') {
    x.status = 405
    return Step.ERROR
  }
  x.status = 200
  x.headers.contentType = 'image/gif'
  x.headers.lastModified = LAST_MODIFIED
  x.headers.contentLength = GIF.length
  x.parts = [GIF]
  return Step.HEADER_FILTER
}
