// The straightforward proxy of today: a node:http server and undici's pool, bodies streamed.

import { createServer } from 'node:http'
import { Pool } from 'undici'
import { BASES, choose, PORT, setHeaders } from './hash.mjs'

const pools = new Map()
for (const [upstream, base] of BASES) pools.set(upstream, new Pool(base, { connections: 64 }))

createServer((request, response) => {
  const { method, url, headers } = request
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
  setHeaders(headers, request.socket.remoteAddress)
  const options = { path: url, method, headers, body: hasBody ? request : null, opaque: response }
  pools.get(choose(url)).stream(options, start, finish)
}).listen(PORT, '127.0.0.1')

function start({ statusCode, headers, opaque: response }) {
  delete headers.connection
  delete headers['keep-alive']
  return response.writeHead(statusCode, headers)
}

function finish(error, data) {
  const response = data?.opaque
  if (error && response && !response.headersSent) response.writeHead(502).end()
}
