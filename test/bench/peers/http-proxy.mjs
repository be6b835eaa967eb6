// http-proxy behind node:http, with a keep-alive agent.

import { Agent, createServer } from 'node:http'
import httpProxy from 'http-proxy'
import { BASES, choose, PORT, setHeaders } from './hash.mjs'

const agent = new Agent({ keepAlive: true, maxSockets: 1024, maxFreeSockets: 64 })
const proxy = httpProxy.createProxyServer({ agent })
proxy.on('error', (_error, _request, response) => response.writeHead?.(502).end())

createServer((request, response) => {
  setHeaders(request.headers, request.socket.remoteAddress)
  proxy.web(request, response, { target: BASES.get(choose(request.url)) })
}).listen(PORT, '127.0.0.1')
