/** `stub_status`: nginx's page of connection counters, as monitoring agents parse it. */
import type { Exchange } from './exchange.ts'
import { Step } from './step.ts'

export function serveStatus(x: Exchange): Step {
  if (x.method !== 'GET' && x.method !== 'HEAD') {
    x.status = 405
    return Step.ERROR
  }
  const { active, accepted, handled, requests, reading, writing, waiting } = x.generation.services.stats
  const text =
    `Active connections: ${active} \n` +
    'server accepts handled requests\n' +
    ` ${accepted} ${handled} ${requests} \n` +
    `Reading: ${reading} Writing: ${writing} Waiting: ${waiting} \n`
  x.status = 200
  x.headers.contentType = 'text/plain'
  x.headers.contentLength = text.length
  x.parts = [text]
  return Step.HEADER_FILTER
}
