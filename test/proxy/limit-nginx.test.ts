// The same cases on nginx itself: what `limit-journey.test.ts` expects is what nginx does.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { startNginx } from '../lib/nginx.ts'
import { answersOf, LIMIT_CASES, LIMIT_CONFIG, limitLines } from './limit-cases.ts'

const nginx = await startNginx(LIMIT_CONFIG)
test.after(() => nginx.stop())

for (const limitCase of LIMIT_CASES) {
  test(`${limitCase.name}: nginx answers the same`, async () => {
    const from = nginx.errorLog().length
    assert.equal(await answersOf(limitCase, nginx.port), limitCase.requests)
    assert.equal(limitLines(nginx.errorLog().slice(from)), limitCase.log)
  })
}

test.run()
