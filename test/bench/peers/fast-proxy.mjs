// fast-proxy behind node:http; one instance an upstream, its own keep-alive agent.

import { createServer } from 'node:http'
import fastProxy from 'fast-proxy'
import { BASES, choose, PORT, setHeaders } from './hash.mjs'

const proxies = new Map()
for (const [upstream, base] of BASES) proxies.set(upstream, fastProxy({ base }).proxy)

const options = {
  rewriteRequestHeaders: (request, headers) => {
    setHeaders(headers, request.socket.remoteAddress)
    headers.host = request.headers.host
    return headers
  },
}

createServer((request, response) => {
  proxies.get(choose(request.url))(request, response, request.url, options)
}).listen(PORT, '127.0.0.1')
