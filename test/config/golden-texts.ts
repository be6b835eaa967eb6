// One configuration per topic, together holding every directive there is; `golden.test.ts` says what each means.

export const MAIN = `
user nobody;
worker_processes 4;
worker_rlimit_nofile 1024;
worker_rlimit_core 1m;
worker_shutdown_timeout 30s;
worker_priority -5;
worker_cpu_affinity auto;
working_directory /tmp;
timer_resolution 100ms;
lock_file logs/lock;
debug_points stop;
pcre_jit on;
thread_pool default threads=4;
load_module modules/x.so;
ssl_engine none;
ssl_object_cache_inheritable on;
quic_bpf off;
env HOME;
env MODE=test;
daemon off;
master_process off;
pid run/sluice.pid;
error_log stderr notice;
error_log logs/debug.log debug_http debug_event;
events {
  use epoll;
  worker_connections 2048;
  multi_accept on;
  accept_mutex off;
  accept_mutex_delay 500ms;
  debug_connection 127.0.0.1;
  epoll_events 512;
  worker_aio_requests 32;
  kqueue_changes 1;
  kqueue_events 1;
  devpoll_changes 1;
  devpoll_events 1;
}
`

export const CORE = `
client_max_body_size 2g;
client_body_buffer_size 32k;
client_body_in_file_only clean;
client_body_in_single_buffer on;
client_body_temp_path /tmp/body 1 2;
client_header_timeout 10s;
client_body_timeout 20s;
client_header_buffer_size 2k;
large_client_header_buffers 8 16k;
max_headers 50;
underscores_in_headers on;
ignore_invalid_headers off;
merge_slashes off;
http2 on;
http2_max_concurrent_streams 64;
http2_body_preread_size 32k;
send_timeout 5s;
keepalive_timeout 65s 60s;
keepalive_requests 100;
keepalive_time 30m;
keepalive_min_timeout 1s;
keepalive_disable msie6 safari;
lingering_close always;
lingering_time 10s;
lingering_timeout 2s;
reset_timedout_connection on;
tcp_nodelay off;
limit_rate 100k;
limit_rate_after $arg_after;
chunked_transfer_encoding off;
server_tokens build;
absolute_redirect off;
port_in_redirect off;
server_name_in_redirect on;
recursive_error_pages on;
log_not_found off;
log_subrequest on;
msie_padding off;
ssi on;
gzip on;
gzip_types text/plain TEXT/CSS;
gzip_types application/json;
gzip_min_length 1000;
gzip_comp_level 6;
gzip_http_version 1.0;
gzip_proxied expired no-cache;
gzip_vary on;
satisfy any;
real_ip_header X-Client-IP;
real_ip_recursive on;
set_real_ip_from 10.0.0.0/8;
set_real_ip_from unix:;
rewrite_log on;
uninitialized_variable_warn off;
script_watch off;
script_generations 3;
store rediss://app:s%2Fecret@[::1]:7000,cache.example/0 cluster prefix=app: tls_ca=ca.pem allow_eval;
store_timeout 80ms;
session_map users ttl=30m max=1000 on_error=stale;
session_map rooms;
script_fleet on name=edge-1 state=run/fleet.json;
script_sign_key fleet.key;
admin 0.0.0.0:9145 token_file=token host=Admin.example;
root html;
index index.html $arg_index /last.html;
etag off;
if_modified_since before;
max_ranges 5;
default_type application/octet-stream;
types { text/html html HTM; image/png png; }
types { text/css css; }
expires 1h;
add_header X-A "$host";
add_header X-B b always;
add_trailer X-T t;
add_header_inherit merge;
add_trailer_inherit off;
error_page 500 502 /50x.html;
error_page 404 = @missing;
error_page 403 494 =200 http://$host/denied?x;
error_page 497 495 /tls.html;
allow 192.0.2.0/24;
allow 2001:db8::/32;
deny all;
resolver 127.0.0.1 [::1]:5353 valid=30s ipv6=off;
resolver_timeout 5s;
open_log_file_cache max=10 inactive=1m min_uses=2 valid=30s;
`

export const LOGS = `
log_format plain '$remote_addr '
                 '$status';
log_format structured escape=json '{"uri":"$uri"}';
access_log logs/a.log;
access_log /var/log/$host.log PLAIN if=$arg_log;
access_log logs/z.log structured gzip flush=5s;
access_log logs/b.log plain buffer=32k;
error_log logs/http.log crit;
server { listen 80; access_log off; access_log logs/never.log; }
`

export const SERVERS = `
server {
  listen 127.0.0.1:8080 default_server backlog=128 reuseport;
  listen [::1]:8080 ipv6only=off;
  listen unix:/run/sluice.sock proxy_protocol;
  listen 9000-9001 http2 rcvbuf=64k sndbuf=64k so_keepalive=30m::10 deferred bind fastopen=3 setfib=1 multipath accept_filter=x;
  server_name Example.com *.example.com www.example.* .both.com ~^(?<Sub>\\w+)\\.dev$ "";
  location = /exact { internal; }
  location ^~ /static/ { alias /files/; }
  location ~* \\.(GIF|png)$ { empty_gif; }
  location /outer/ {
    limit_except GET POST { deny all; access_log off; proxy_pass http://127.0.0.1:1; }
    location /outer/inner { stub_status; }
    try_files $uri $uri/ /index.php?$args;
  }
  location @named { try_files a b =404; }
}
server { }
`

export const RULES = `
server {
  listen 80;
  set $tier gold;
  rewrite ^/old/(.*)$ /new/$1 last;
  if ($http_cookie ~* "id=([^;]+)") { set $id $1; }
  location / {
    rewrite ^ /x? break;
    rewrite (.*) https://$host$1 permanent;
    rewrite a http://b last;
    break;
    if ($tier = gold) { return 204; }
    if ($id != "") { proxy_pass http://127.0.0.1:1; }
    if (!-f $request_filename) { limit_rate 1k; add_header X-No 1; }
    if ( $id !~ x ) { break; }
    if ($args) { return 301 /$args; }
    if (-x $document_root) { return http://example.com/; }
    return 200 "hello $tier";
  }
}
`

export const VARIABLES = `
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
map $host:$server_port $site {
  volatile;
  hostnames;
  A.example.com 1;
  *.example.com 2;
  .example.org 3;
  mail.* $host;
  ~^(?<who>.+)\\.dev$ dev-$who;
  ~*\\.TEST$ test;
  \\default 4;
}
geo $region { default none; 10.0.0.0/8 lan; 10.1.0.0/16 office; delete 10.0.0.0/8; proxy 192.0.2.1; proxy_recursive; }
geo $arg_ip $geo { volatile; ::1 self; }
split_clients $remote_addr$arg_x $variant { 0.5% a; 33.33% b; * c; }
split_clients $uri $half { 50% x; 50% $y; }
`

export const PROXY = `
proxy_pass http://app:8080/api/?a=b;
proxy_set_header Host $host;
proxy_set_header X-Empty "";
proxy_http_version 1.0;
proxy_method $request_method;
proxy_set_body "body $arg_b";
proxy_pass_request_headers off;
proxy_pass_request_body off;
proxy_request_buffering off;
proxy_bind $remote_addr transparent;
proxy_socket_keepalive on;
proxy_ignore_client_abort on;
proxy_websocket off;
proxy_connect_timeout 1s;
proxy_send_timeout 2s;
proxy_read_timeout 3m;
proxy_next_upstream error http_502 non_idempotent;
proxy_next_upstream_tries 3;
proxy_next_upstream_timeout 10s;
proxy_hide_header X-Secret;
proxy_pass_header Server;
proxy_ignore_headers Expires x-accel-redirect;
proxy_pass_trailers on;
proxy_intercept_errors on;
proxy_force_ranges on;
proxy_redirect default;
proxy_redirect http://a/ /b/;
proxy_redirect ~^http://([^/]+)(/.*)$ $scheme://$1$2;
proxy_redirect ~*^HTTP: http:;
proxy_cookie_domain .a.com .b.com;
proxy_cookie_domain ~^c(\\d)$ d$1;
proxy_cookie_path /a /b;
proxy_limit_rate 10k;
proxy_buffering off;
proxy_buffer_size 8k;
proxy_buffers 16 8k;
proxy_busy_buffers_size 32k;
proxy_max_temp_file_size 0;
`

export const WEB_SOCKETS = `
ws_permessage_deflate off;
ws_max_message_size 2m;
ws_send_queue 512k;
ws_close_timeout 2s;
ws_ping_interval 0;
ws_reconnect on tries=5;
`

export const UPSTREAMS = `
upstream defaults { server a; }
upstream all {
  zone all 64k;
  resolver 127.0.0.1 valid=5s;
  resolver_timeout 5s;
  server 10.0.0.1:80 weight=5 max_fails=3 fail_timeout=30s max_conns=100;
  server unix:/run/a.sock backup;
  server [::1]:81 down;
  least_conn;
  keepalive 16 local;
  keepalive_requests 10;
  keepalive_timeout 20s;
  keepalive_time 10m;
}
upstream h { hash $arg_userId consistent; server a; script a.js mode=fast; script_canary b.js percent=12.5; script_limits cpu=10ms; script_on_error open; script_eject_after 0; script_allow_fetch https://a.example:443/; }
upstream m { hash $request_uri; server a; keepalive 0; }
upstream i { ip_hash; server a; }
upstream r { random two least_conn; server a; }
upstream s { random; server a; }
upstream t { state logs/t.servers; }
upstream n { server a:81 resolve; server b service=http resolve backup; server c resolve service=_x._udp.eu; }
upstream f { upstream_from_store chat.eu-1; }
`

export const STICKY = `
upstream m { server a route=one; server b drain; sticky map=users key=$arg_user-$arg_room; }
upstream c { server a; sticky cookie peer expires=1h domain=.$host path=/app httponly secure samesite=Lax; }
upstream d { server a; sticky cookie peer expires=max samesite=$arg_s; }
upstream r { server a; sticky route $cookie_route \${arg_route}; }
upstream l { server a; sticky learn create=$upstream_cookie_s lookup=$cookie_s lookup=$arg_s zone=sessions:1m timeout=1h header sync; }
session_map users;
`

export const SCRIPTS = `
script a.js;
script lib/b.js key=$arg_k empty= path=/x=y;
script_canary lib/c.js percent=5% key=$arg_userId max_errors=0.5% max_latency=20ms min_calls=100;
script_shadow lib/d.js sample=10%;
script_record logs/hooks.journal sample=0.5% max=1m mask=Cookie,x-secret mask_args=;
script_eject_after 3;
script_limits memory=64m stack=128k cpu=20ms load=200ms wall=2s;
script_on_error open;
script_allow_fetch upstreams any https://API.example:8443/v1/%7euser http://*.b\xc3\xbccher.example *.example.com http://[::1] 10.0.0.0/8 fd00::1;
server { location / { script_allow_fetch none; } }
`

export const INERT = `
variables_hash_max_size 1024; variables_hash_bucket_size 64;
server_names_hash_max_size 512; server_names_hash_bucket_size 64;
map_hash_max_size 2048; map_hash_bucket_size 64;
types_hash_max_size 1024; types_hash_bucket_size 64;
proxy_headers_hash_max_size 512; proxy_headers_hash_bucket_size 64;
open_file_cache max=1000 inactive=20s; open_file_cache_min_uses 2; open_file_cache_valid 60s;
open_file_cache_errors on; open_file_cache_events off;
connection_pool_size 512; request_pool_size 4k;
sendfile on; sendfile_max_chunk 1m; ssi_min_file_chunk 2k; ssi_ignore_recycled_buffers on; read_ahead 0; directio 4m;
directio_alignment 512; send_lowat 0; postpone_output 1460; aio threads; aio_write on; output_buffers 2 32k;
tcp_nopush on; msie_refresh off;
proxy_send_lowat 0; proxy_socket_rcvbuf 0; proxy_socket_sndbuf 0; proxy_temp_file_write_size 16k;
proxy_temp_path /tmp/p 1 2; fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
gzip_buffers 16 8k; gzip_window 32k; gzip_hash 128k; postpone_gzipping 0; gzip_no_buffer off;
http2_recv_buffer_size 256k; http2_pool_size 4k; http2_streams_index_size 32; http2_chunk_size 8k;
http2_idle_timeout 3m; http2_max_concurrent_pushes 10; http2_max_field_size 4k; http2_max_header_size 16k;
http2_max_requests 1000; http2_recv_timeout 30s;
`

export const FILTERS = `
subrequest_output_buffer_size 8k;
gzip_disable msie6 ^curl;
ssi_types text/plain;
ssi_silent_errors on;
ssi_value_length 100;
ssi_last_modified on;
sub_filter 'a $host' b;
sub_filter c '';
sub_filter_types *;
sub_filter_once off;
sub_filter_last_modified on;
add_before_body /before;
add_after_body /after;
addition_types text/css;
auth_request /auth;
mirror /a;
mirror /b;
mirror_request_body off;
auth_request_set $user $upstream_http_x_user;
server { auth_request off; add_after_body ''; mirror off; }
`

export const LIMITS = `
limit_req_zone $binary_remote_addr zone=one:10m rate=10r/s;
limit_req_zone "$arg_a$arg_b" zone=two:32k rate=5r/m sync;
limit_conn_zone $server_name zone=perserver:1m;
limit_req zone=one;
limit_req zone=two burst=20 delay=8;
limit_req_status 429;
limit_req_log_level warn;
limit_req_dry_run on;
limit_conn perserver 65535;
limit_conn_status 429;
limit_conn_log_level info;
limit_conn_dry_run on;
server { limit_req zone=two burst=5 nodelay store; }
`
