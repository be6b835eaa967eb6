// httpxy behind node:http, with a keep-alive agent.

import { Agent, createServer } from 'node:http'
import { createProxyServer } from 'httpxy'
import { BASES, choose, PORT, setHeaders } from './hash.mjs'

const agent = new Agent({ keepAlive: true, maxSockets: 1024, maxFreeSockets: 64 })
const proxy = createProxyServer({ agent })

createServer((request, response) => {
  setHeaders(request.headers, request.socket.remoteAddress)
  proxy.web(request, response, { target: BASES.get(choose(request.url)) }).catch(() => {
    if (!response.headersSent) response.writeHead(502).end()
  })
}).listen(PORT, '127.0.0.1')
