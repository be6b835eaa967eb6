// What comes of a request: every case of `route-cases.ts`.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ROUTE_CASES } from './route-cases.ts'
import { RouteServer } from './route-server.ts'

for (const { name, config, requests } of ROUTE_CASES) {
  const server = new RouteServer(config.replaceAll('%PORT%', '8080'))
  for (const [line, answer, fields = []] of requests) {
    test(`${name}: ${line} ${JSON.stringify(fields)}: ${answer}`, () => {
      const host = fields.some(([field]) => field === 'Host') ? [] : ([['Host', 'localhost']] as const)
      assert.is(server.answer(line, { fields: [...host, ...fields] }), answer)
    })
  }
}

test.run()
