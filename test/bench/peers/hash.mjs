// What the Node peers share: the same key always reaches the same upstream, and the four headers of the plain case.
// One CRC and a modulo: cheaper than a consistent hash, so it never counts against a peer.

import { crc32 } from 'node:zlib'

export const PORT = Number(process.argv[2])
const UPSTREAMS = process.argv[3].split(',')
const KEY = /[?&]userId=([^&]*)/

/** `host:port` for a request target. */
export function choose(url) {
  const key = KEY.exec(url)?.[1] ?? ''
  return UPSTREAMS[crc32(key) % UPSTREAMS.length]
}

export const BASES = new Map(UPSTREAMS.map((upstream) => [upstream, `http://${upstream}`]))

/** `proxy_set_header` Host, X-Real-IP, X-Forwarded-For, Connection on node's header object, changed in place. */
export function setHeaders(headers, remoteAddress) {
  headers['x-real-ip'] = remoteAddress
  const before = headers['x-forwarded-for']
  headers['x-forwarded-for'] = before === undefined ? remoteAddress : `${before}, ${remoteAddress}`
  delete headers.connection
  return headers
}
