// Header rules by declaration: no code, only what to set, append and remove.

import { headers, requestHeaders } from 'sluice:policy'

export const rewrite = requestHeaders({
  // Nobody outside may claim to be somebody inside.
  remove: ['X-Internal-User'],
  set: { 'X-Request-ID': '$request_id', 'X-Client': '$remote_addr' },
})

export const headerFilter = headers({
  remove: ['Server', 'X-Powered-By'],
  set: {
    'X-Request-ID': '$request_id',
    'X-Peer': '$upstream_addr',
    'X-Frame-Options': 'DENY',
    'X-Content-Type-Options': 'nosniff',
  },
  append: { Link: '</style.css>; rel=preload; as=style' },
})
