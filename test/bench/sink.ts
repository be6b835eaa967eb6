// A process of its own: an upstream that swallows request bodies and answers with the number of bytes it got. Content-Length
// and chunked bodies alike; chunked ones are counted without their framing.   node sink.js PORT

import { createServer } from 'node:http'

createServer((request, response) => {
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  request.on('end', () => {
    const body = String(bytes)
    response.writeHead(200, { 'Content-Length': body.length }).end(body)
  })
}).listen(Number(process.argv[2]), '127.0.0.1')
