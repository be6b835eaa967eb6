// What the tests of journals share: a site that serves some requests and leaves their journal behind, and its entries.

import { readFileSync } from 'node:fs'
import { type JournalEntry, parseEntry } from '../../runtime/replay/journal-entry.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { Site } from '../swap/site.ts'

/**
 * Serves these requests with a script, and leaves their journal behind.
 * @param requests `GET /a`, or all the bytes of one
 * @param server more of the location @param http more of the http block
 */
export async function recorded(
  script: string,
  requests: readonly string[],
  server = '',
  http = '',
): Promise<Site> {
  const site = await Site.start(
    `set $group none; location / { script a.js; script_record hooks.journal sample=100%; ${server} }`,
    { 'a.js': script },
    http,
  )
  for (const request of requests) {
    const client = new HttpClient(site.port)
    await client.request(request.includes('\r\n') ? request : `${request} HTTP/1.1\r\nHost: a\r\n\r\n`)
    client.close()
  }
  await site.close()
  return site
}

/** The entries of a journal, which closing the gateway has written out. */
export function entriesOf(site: Site, name = 'hooks.journal'): JournalEntry[] {
  return readFileSync(site.path(name), 'utf8').split('\n').filter(Boolean).map(parseEntry)
}
