// The Location of redirects of our own: absolute or not, which host, which port.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { directoryRedirect } from '../../runtime/proxy/location-redirect.ts'
import { Step } from '../../runtime/proxy/step.ts'
import { type FakeRequest, RouteServer } from './route-server.ts'

const SERVER = new RouteServer(`
  server {
    server_name on;
    location / { return 301 /redirect; }
    location /name { return 301 /redirect; server_name_in_redirect on; }
    location /port { return 301 /redirect; port_in_redirect off; }
    location /off { return 301 /redirect; absolute_redirect off; }
    location /full { return 301 https://example.com/x; }
    location /auto/ { proxy_pass http://127.0.0.1:9; }
  }`)

function location(line: string, request: FakeRequest = {}): string | null {
  return SERVER.go(line, request).x.headers.location
}

const HOST: FakeRequest = { fields: [['Host', 'host:81']] }

test('the host of the request and the port of the listener', () => {
  assert.is(location('GET /', HOST), 'http://host:8080/redirect')
  assert.is(location('GET /name', HOST), 'http://on:8080/redirect')
  assert.is(location('GET /port', HOST), 'http://host/redirect')
  assert.is(location('GET /off', HOST), '/redirect')
  assert.is(location('GET /full', HOST), 'https://example.com/x')
  assert.is(location('GET /', { ...HOST, client: { serverPort: '80' } }), 'http://host/redirect')
})

test('the address of the listener where the request names no host', () => {
  assert.is(location('GET /'), 'http://127.0.0.2:8080/redirect')
  assert.is(location('GET /', { client: { serverAddress: '::1' } }), 'http://[::1]:8080/redirect')
})

test('a location that ends in a slash is redirected to', () => {
  assert.is(location('GET /auto?a=b', HOST), 'http://host:8080/auto/?a=b')
})

test('a directory is redirected to, encoded again', () => {
  const x = SERVER.request('GET /dir%20%22%23%25%3C%3E%3F%5C%5E%60%7B%7C%7D%0a?a=b', HOST)
  assert.is(directoryRedirect(x), Step.ERROR)
  assert.is(x.status, 301)
  assert.is(x.headers.location, 'http://host:8080/dir%20%22%23%25%3C%3E%3F%5C%5E%60%7B%7C%7D%0A/?a=b')
})

test.run()
