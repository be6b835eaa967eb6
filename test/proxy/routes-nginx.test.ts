// The same cases on nginx itself: what `routes.test.ts` expects is what nginx does.

import { request } from 'node:http'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startNginx } from '../lib/nginx.ts'
import { ROUTE_CASES, type RouteCase } from './route-cases.ts'

/** Status and location, or body unless it is one of nginx's own pages. */
function ask(port: number, [line, , fields = []]: RouteCase): Promise<string> {
  const [method, path] = line.split(' ')
  const host = fields.some(([field]) => field === 'Host') ? [] : ([['Host', 'localhost']] as const)
  const headers = [...host, ...fields].flat()
  return new Promise((done, fail) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
      let body = ''
      answer.setEncoding('latin1')
      answer.on('data', (chunk: string) => {
        body += chunk
      })
      answer.on('end', () => {
        const { location } = answer.headers
        if (location !== undefined) done(`${answer.statusCode} ${location}`)
        else done(body.startsWith('<html>') ? `${answer.statusCode}` : `${answer.statusCode} ${body}`)
      })
    })
    sent.on('error', fail)
    sent.end()
  })
}

for (const { name, config, requests } of ROUTE_CASES) {
  test(`${name}: nginx answers the same`, async () => {
    const nginx = await startNginx(config)
    try {
      for (const route of requests) {
        assert.is(await ask(nginx.port, route), route[1], `${route[0]} ${JSON.stringify(route[2] ?? [])}`)
      }
    } finally {
      await nginx.stop()
    }
  })
}

test.run()
