// By declaration: one of these keys, or 401.

import { allowIf } from 'sluice:policy'

export const access = allowIf('$http_x_api_key', ['key-of-alice', 'key-of-bob'], {
  status: 401,
  headers: { 'WWW-Authenticate': 'ApiKey' },
  body: 'An X-API-Key is needed.\n',
})
