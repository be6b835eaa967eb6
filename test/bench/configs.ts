// The configuration texts of a benchmark: upstreams, and each proxy set up to do the same work. Text only.

/** Addresses that a configuration is written for. */
export interface Places {
  readonly folder: string
  /** Port of the proxy under test. */
  readonly port: number
  readonly upstreams: readonly number[]
}

/** Hook scripts beside a sluice.conf. */
export type Scripting = 'none' | 'working' | 'empty'

/** What the 43-byte upstreams answer; `N` is the upstream's number. */
export const BODY_SIZE = 43
const BODY = 'upstream N: 0123456789012345678901234567890'

const PLAIN_HEADERS = `
      proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Connection "";`

/** Three cheap keep-alive servers: the 43 bytes, what they were sent (`/seen`), a large file (`/big`). */
export function upstreamConfig({ folder, upstreams }: Places): string {
  const server = (port: number, i: number) => `
  server {
    listen 127.0.0.1:${port} backlog=4096;
    add_header X-Powered-By bench;
    location / { return 200 "${BODY.replace('N', String(i + 1))}"; }
    location = /seen { return 200 "$http_host $http_x_real_ip $http_x_forwarded_for $http_x_user"; }
    location = /big { root ${folder}; }
  }`
  return `${mainSettings(folder, true)}
http {${httpSettings()}
  sendfile on;${upstreams.map(server).join('')}
}
`
}

/** The plain case, for nginx and for Sluice alike: the same text but for `user` and the scripts. */
export function proxyConfig(places: Places, forNginx: boolean, scripting: Scripting = 'none'): string {
  const script = scripting === 'none' ? '' : '\n      script scripts/hooks.js;'
  return `${mainSettings(places.folder, forNginx)}
http {${httpSettings()}
  upstream pool {
    hash $arg_userId consistent;${serverLines(places)}
    keepalive 64;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${places.port} backlog=4096;
    location / {
      proxy_pass http://pool;
      proxy_http_version 1.1;${PLAIN_HEADERS}${script}
    }
  }
}
`
}

/** As the plain case, its upstream balanced by `balancing`, with a session map `users` in `store`. */
export function mapConfig(places: Places, store: string, balancing: string, workers = 1): string {
  return `${mainSettings(places.folder, false).replace('worker_processes 1', `worker_processes ${workers}`)}
http {${httpSettings()}
  store ${store};
  store_timeout 5s;
  session_map users ttl=24h;
  upstream pool {
    ${balancing}${serverLines(places)}
    keepalive 64;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${places.port} backlog=4096;
    location / {
      proxy_pass http://pool;
      proxy_http_version 1.1;${PLAIN_HEADERS}
    }
  }
}
`
}

/** Large bodies both ways, streamed: `/big` comes from the first upstream, `/sink` goes to `sink`. */
export function bulkConfig(places: Places, sink: number, forNginx: boolean): string {
  return `${mainSettings(places.folder, forNginx)}
http {${httpSettings()}
  client_max_body_size 0;
  server {
    listen 127.0.0.1:${places.port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location = /big { proxy_pass http://127.0.0.1:${places.upstreams[0]}; proxy_max_temp_file_size 0; }
    location = /sink { proxy_pass http://127.0.0.1:${sink}; proxy_request_buffering off; }
  }
}
`
}

/** Connections that stay open: HTTP keep-alive on `/`, WebSockets to `tunnel` on `/ws`, with a script there if asked. */
export function idleConfig(places: Places, tunnel: number, forNginx: boolean, script = false): string {
  return `${mainSettings(places.folder, forNginx)}
http {${httpSettings()}
  upstream pool {${serverLines(places)}
    keepalive 64;
  }
  server {
    listen 127.0.0.1:${places.port} backlog=4096;
    proxy_http_version 1.1;
    location / { proxy_pass http://pool; proxy_set_header Connection ""; }
    location = /ws {
      proxy_pass http://127.0.0.1:${tunnel};
      proxy_read_timeout 3600s;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";${script ? '\n      script scripts/hooks.js;' : ''}
    }
  }
}
`
}

/** access, balancer and headerFilter as scripts: read one header and set another, consistent hash, set and remove. */
export const WORKING_HOOKS = `export function access(r) {
  if (r.headersIn.get('X-Api-Key') !== 'k1') return r.return(403)
  r.headersIn.set('X-User', r.variables.arg_userId)
}
export function balancer(r, upstream) {
  return upstream.hash(r.variables.arg_userId, { consistent: true })
}
export function headerFilter(r) {
  r.headersOut.set('X-Served-By', 'bench')
  r.headersOut.delete('X-Powered-By')
}
`

export const EMPTY_HOOKS = `export function access(r) {}
export function balancer(r, upstream) {}
export function headerFilter(r) {}
`

/** The same three hooks in Lua. The ring is nginx's own, built once. */
export function openrestyConfig(places: Places): string {
  return `load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
${mainSettings(places.folder, true)}
http {${httpSettings()}
  init_by_lua_block {${luaRing(places.upstreams)}
  }
  upstream pool {
    server 0.0.0.1;
    balancer_by_lua_block {
      local port = find_peer(ngx.var.arg_userId or "")
      local ok, err = balancer.set_current_peer("127.0.0.1", port)
      if not ok then
        ngx.log(ngx.ERR, err)
        return ngx.exit(502)
      end
    }
    keepalive 64;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${places.port} backlog=4096;
    location / {
      access_by_lua_block {
        if ngx.var.http_x_api_key ~= "k1" then
          return ngx.exit(403)
        end
        ngx.req.set_header("X-User", ngx.var.arg_userId)
      }
      header_filter_by_lua_block {
        ngx.header["X-Served-By"] = "bench"
        ngx.header["X-Powered-By"] = nil
      }
      proxy_pass http://pool;
      proxy_http_version 1.1;${PLAIN_HEADERS}
    }
  }
}
`
}

function luaRing(upstreams: readonly number[]): string {
  return `
    balancer = require "ngx.balancer"
    local bit = require "bit"
    local points = {}
    for _, port in ipairs({ ${upstreams.join(', ')} }) do
      local previous = 0
      for _ = 1, 160 do
        local le32 = string.char(bit.band(previous, 255), bit.band(bit.rshift(previous, 8), 255),
          bit.band(bit.rshift(previous, 16), 255), bit.band(bit.rshift(previous, 24), 255))
        previous = ngx.crc32_long("127.0.0.1\\0" .. port .. le32)
        points[#points + 1] = { previous, port }
      end
    end
    table.sort(points, function(a, b) return a[1] < b[1] end)
    local hashes, ports, count = {}, {}, #points
    for i, point in ipairs(points) do
      hashes[i], ports[i] = point[1], point[2]
    end
    function find_peer(key)
      local hash = ngx.crc32_short(key)
      local low, high = 1, count + 1
      while low < high do
        local middle = math.floor((low + high) / 2)
        if hashes[middle] < hash then low = middle + 1 else high = middle end
      end
      return ports[low > count and 1 or low]
    end`
}

export function haproxyConfig({ port, upstreams }: Places): string {
  const servers = upstreams.map((upstream, i) => `  server u${i + 1} 127.0.0.1:${upstream}`).join('\n')
  return `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend in
  bind 127.0.0.1:${port} backlog 4096
  option forwardfor
  http-request set-header X-Real-IP %[src]
  default_backend pool
backend pool
  balance url_param userId
  hash-type consistent
${servers}
`
}

function mainSettings(folder: string, forNginx: boolean): string {
  // nginx started by root would drop to a user that cannot read the benchmark's folder.
  const user = forNginx && process.getuid?.() === 0 ? 'user root;\n' : ''
  // Twice as many connections as files: nginx closes idle ones when only a sixteenth is left.
  return `${user}daemon off;
worker_processes 1;
worker_rlimit_nofile ${fileLimit()};
pid ${folder}/proxy.pid;
error_log ${folder}/error.log;
events { worker_connections ${2 * fileLimit()}; }`
}

let limit = 20_000

/** Open files that a started process may have. */
export function fileLimit(): number {
  return limit
}

export function setFileLimit(files: number): void {
  limit = files
}

function httpSettings(): string {
  return `
  access_log off;
  keepalive_timeout 3600s;
  keepalive_requests 100000000;`
}

function serverLines({ upstreams }: Places): string {
  return upstreams.map((port) => `\n    server 127.0.0.1:${port};`).join('')
}
