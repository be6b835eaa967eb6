// Configurations as users have them, as they stand.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { modelOf, plain, problemsOf } from './parsed.ts'

const WEBSOCKET = `http {
    server {
        listen 9000;
        default_type text/plain;
        access_log logs/ws.log;
        location / {
           proxy_http_version 1.1;
           proxy_set_header Upgrade $http_upgrade;
           proxy_set_header Connection "upgrade";
           proxy_pass http://127.0.0.1:8800;
        }
    }
}
`

const UWSGI = `http {
    server {
        listen 7001;
        default_type text/plain;
        access_log logs/uwsgi.log;
        location / {
            include uwsgi_params;
            uwsgi_pass 127.0.0.1:7000;
        }
    }
}
`

const BALANCED = `http {
    map $http_upgrade $connection_upgrade {
        default upgrade;
        '' close;
    }
    upstream websocket {
        #ip_hash;
        server localhost:8010;
        server localhost:8011;
    }
    server {
        listen 80;
        server_name localhost;
        access_log /var/log/nginx/yourdomain.log;
        location / {
            proxy_pass http://websocket;
            proxy_read_timeout 300s;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }
    }
}
`

const TCP = `tcp {
    timeout 10s;
    proxy_read_timeout 10s;
    proxy_send_timeout 10s;
    upstream proxy_name {
        # simple round-robin
        server localhost:1935;
        #check interval=3000 rise=2 fall=5 timeout=3000;
        #check interval=3000 rise=2 fall=5 timeout=1000;
        #check_http_send "GET / HTTP/1.0\\r\\n\\r\\n";
        #check_http_expect_alive http_2xx http_3xx;
    }
    server {
        listen 8085;
        proxy_pass proxy_name;
    }
}
`

const CLIENT_TIER = `upstream ims_client {
   server 10.90.9.20:7080;
   server 10.90.9.20:8080;
}
upstream ims_svr {
   server 10.90.7.10:9091;
}
server {
    listen  9090;
    server_name localhost;
    default_type text/html;
    proxy_send_timeout   3000;
    proxy_read_timeout   3000;

    location /IMS_SVR/websocket {
        proxy_pass http://ims_svr;
        proxy_set_header Host $host:$server_port;
        proxy_set_header Remote_Addr $remote_addr;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
    }
    location /IMS {
        proxy_pass http://ims_client;
        proxy_set_header Host $host:$server_port;
        proxy_set_header Remote_Addr $remote_addr;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
`

const SERVER_TIER = `upstream ims_svr {
    server 10.90.9.20:9080;
    server 10.90.9.20:9081;
    #hash $query_string;
    #hash $request_uri;
    #hash $arg_userId;
}
server {
    listen  9091;
    server_name localhost;
    default_type text/html;

    location /IMS_SVR/websocket {
        proxy_pass http://ims_svr;
        proxy_set_header Host $host:$server_port;
        proxy_set_header Remote_Addr $remote_addr;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
    }
}
`

/** Path of each location of the first server, and where it proxies to. */
function routes(text: string): unknown {
  const [server] = modelOf(text).http!.servers
  return server!.locations.map(({ match, content }) => [match.path, content.proxyPass?.fixed?.host])
}

function servers(text: string): unknown {
  return modelOf(text).http!.upstreams.map(({ name, method, servers }) => [
    name,
    method,
    servers.map((server) => server.name),
  ])
}

test('a WebSocket upstream behind a location', () => {
  assert.equal(problemsOf(WEBSOCKET), [])
  assert.equal(routes(WEBSOCKET), [['/', '127.0.0.1:8800']])
  const { settings } = modelOf(WEBSOCKET).http!.servers[0]!
  assert.equal(plain(settings.accessLogs), [
    { path: '/srv/logs/ws.log', format: 'combined', condition: null, buffer: 0, flush: 0, gzip: 0 },
  ])
})

test('a balanced WebSocket upstream, by address when the line is uncommented', () => {
  assert.equal(problemsOf(BALANCED), [])
  assert.equal(routes(BALANCED), [['/', 'websocket']])
  assert.equal(servers(BALANCED), [['websocket', 'round_robin', ['localhost:8010', 'localhost:8011']]])
  assert.equal(servers(BALANCED.replace('#ip_hash', 'ip_hash')), [
    ['websocket', 'ip_hash', ['localhost:8010', 'localhost:8011']],
  ])
  assert.is(modelOf(BALANCED).http!.servers[0]!.locations[0]!.settings.proxyReadTimeout, 300_000)
  assert.is(modelOf(BALANCED).http!.maps[0]!.variable, 'connection_upgrade')
})

test('the client side of a chat system, without an http block around it', () => {
  assert.equal(problemsOf(CLIENT_TIER), [])
  assert.equal(routes(CLIENT_TIER), [
    ['/IMS_SVR/websocket', 'ims_svr'],
    ['/IMS', 'ims_client'],
  ])
  assert.equal(servers(CLIENT_TIER), [
    ['ims_client', 'round_robin', ['10.90.9.20:7080', '10.90.9.20:8080']],
    ['ims_svr', 'round_robin', ['10.90.7.10:9091']],
  ])
})

test('the server side of a chat system, with each of its keys', () => {
  assert.equal(problemsOf(SERVER_TIER), [])
  assert.equal(routes(SERVER_TIER), [['/IMS_SVR/websocket', 'ims_svr']])
  for (const key of ['$query_string', '$request_uri', '$arg_userId']) {
    const [upstream] = modelOf(SERVER_TIER.replace(`#hash ${key}`, `hash ${key}`)).http!.upstreams
    assert.equal([upstream!.method, upstream!.hashKey?.text], ['hash', key])
  }
})

test('a tcp block is named as what is not built', () => {
  assert.equal(problemsOf(TCP), ['1:1: "tcp" is not built yet; remove the block'])
})

test('an application behind uwsgi is named as what nginx has and Sluice has not', () => {
  const files = {
    '/etc/sluice/uwsgi_params': 'uwsgi_param A $query_string;\nuwsgi_param B $request_method;\n',
  }
  assert.equal(problemsOf(UWSGI, files), [
    '8:13: "uwsgi_pass" is an nginx directive that Sluice does not have yet; remove the line',
    '/etc/sluice/uwsgi_params:1:1: "uwsgi_param" is an nginx directive that Sluice does not have yet (2 times); remove the lines',
  ])
})

test.run()
