// What is told about a configuration that is wrong: literal text, literal list of problems.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { formatProblem } from '../../runtime/config/parse.ts'
import { MAX_MESSAGE } from '../../runtime/config/problems.ts'
import { parse, problemsOf } from './parsed.ts'

const FILES = { '/etc/sluice/a.js': '', '/etc/sluice/b.js': '' }

function inHttp(text: string): string[] {
  return problemsOf(`http {\n${text}\n}`, FILES)
}

function inServer(text: string): string[] {
  return problemsOf(`http { server { listen 80;\n${text}\n} }`)
}

function inLocation(text: string, name = '/'): string[] {
  return problemsOf(`http { server { listen 80; location ${name} {\n${text}\n} } }`)
}

test('names: misspelt, foreign, glued together', () => {
  assert.equal(
    problemsOf(`htp {}
events { worker_conections 5; }
fastcgi_pass x;
if($a) {}
`),
    [
      '1:1: unknown directive "htp"; did you mean "http"?',
      '2:10: unknown directive "worker_conections"; did you mean "worker_connections"?',
      '3:1: "fastcgi_pass" is an nginx directive that Sluice does not have yet; remove the line',
      '4:1: write a blank between "if" and "("',
    ],
  )
})

test('a file without http whose directives are those of http is read as if it stood inside', () => {
  assert.equal(problemsOf('store memory;\nadmin 127.0.0.1:9145;\n'), [])
  assert.equal(problemsOf('store memory;\nhttp { }\n'), [
    '1:1: "store" is not allowed here (at the top level); write it inside http',
  ])
  assert.equal(problemsOf('location / { }\n'), [
    '1:1: "location" is not allowed here (at the top level); write it inside server or location',
  ])
})

test('a directive in the wrong block names the right ones', () => {
  assert.equal(
    inHttp(`proxy_pass http://a;
listen 80;
daemon off;
server { upstream u {} worker_connections 1; if ($host) { proxy_pass http://a; } }`),
    [
      '2:1: "proxy_pass" is not allowed here (in http); write it inside location, if in location or limit_except',
      '3:1: "listen" is not allowed here (in http); write it inside server',
      '4:1: "daemon" is not allowed here (in http); write it at the top level',
      '5:10: "upstream" is not allowed here (in server); write it inside http',
      '5:24: "worker_connections" is not allowed here (in server); write it inside events',
      '5:59: "proxy_pass" is not allowed here (in "if" of a server); write it inside location, if in location or limit_except',
    ],
  )
})

test('blocks beside an http block', () => {
  assert.equal(
    problemsOf(`http {}
server {}
etag on;`),
    [
      '2:1: "server" is not allowed here (at the top level); write it inside http or upstream',
      '3:1: "etag" is not allowed here (at the top level); write it inside http, server or location',
    ],
  )
})

test('blocks, semicolons and numbers of arguments', () => {
  assert.equal(
    inHttp(`etag;
etag on off;
server x;
server a { }
root /a { }
error_page 404;
location`),
    [
      '2:1: invalid number of arguments in "etag"; it takes 1 argument',
      '3:1: invalid number of arguments in "etag"; it takes 1 argument',
      '4:9: "server" needs a block; write "{ ... }" instead of ";"',
      '5:1: invalid number of arguments in "server"; it takes none',
      '6:9: "root" takes no block; write ";" at its end',
      '7:1: invalid number of arguments in "error_page"; it takes at least 2 arguments',
      '9:1: unexpected "}"',
    ],
  )
})

test('directives that stand twice', () => {
  assert.equal(
    inHttp(`etag on;
etag off;
server { listen 80; root /a; root /b; } `),
    [
      '3:1: "etag" is duplicate; it stands in line 2 already, remove one',
      '4:30: "root" is duplicate; it stands in line 4 already, remove one',
    ],
  )
})

test('a forgotten semicolon is the one problem that is told', () => {
  assert.equal(
    inServer(`server_name a
root /x;
location / {
  proxy_pass http://a
  proxy_set_header A b;
}
error_page 404 /x
location /y { }`),
    [
      '3:1: "root" is an argument of "server_name" here; if it is not meant, write ";" before it',
      '3:6: the server name "/x" holds a "/"; write the host only',
      '5:14: ";" is missing at the end of this line, before "proxy_set_header"',
      '8:16: ";" is missing at the end of this line, before "location"',
    ],
  )
})

test('a forgotten semicolon that breaks nothing is worth a notice', () => {
  assert.equal(
    inServer(`index a
root /x;`),
    ['3:1: "root" is an argument of "index" here; if it is not meant, write ";" before it'],
  )
})

test('values of the common kinds', () => {
  assert.equal(
    inHttp(`etag maybe;
send_timeout 5x;
client_body_buffer_size 1g;
keepalive_requests many;
satisfy some;
large_client_header_buffers 0 8k;
large_client_header_buffers 4 0;
gzip_comp_level 10;
gzip_proxied sometimes;
limit_rate fast;
keepalive_timeout 5 5ms;`),
    [
      '2:6: invalid value "maybe" in "etag"; write "on" or "off"',
      '3:14: invalid value "5x" in "send_timeout"; write a time, such as "30s", "500ms" or "1h30m"',
      '4:25: invalid value "1g" in "client_body_buffer_size"; write a size, such as "512", "8k" or "1m"',
      '5:20: invalid value "many" in "keepalive_requests"; write a whole number',
      '6:9: invalid value "some" in "satisfy"; write "all" or "any"',
      '7:29: invalid value "0" in "large_client_header_buffers"; write a number above 0',
      '8:1: "large_client_header_buffers" is duplicate; it stands in line 7 already, remove one',
      '9:17: invalid value "10" in "gzip_comp_level"; write a number from 1 to 9',
      '10:14: invalid value "sometimes" in "gzip_proxied"; write "off", "expired", "no-cache", "no-store", "private", "no_last_modified", "no_etag", "auth" or "any"',
      '11:12: invalid value "fast" in "limit_rate"; write a size, such as "100k", or a variable',
      '12:21: invalid value "5ms" in "keepalive_timeout"; write a time in whole seconds, such as "30s" or "1h30m"',
    ],
  )
})

test('variables must exist, and must not be redefined', () => {
  assert.equal(
    inLocation(`return 200 $nope;
set $hst 1;
add_header A $hst2;
set uri x;
set $uri x;
set $a-b x;
set $http_host x;
add_header B $ssl_protocol;
add_header C "\${host";`),
    [
      '2:12: unknown variable "$nope"; did you mean "$pipe"?',
      '4:14: unknown variable "$hst2"; did you mean "$hst"?',
      '5:5: invalid variable name "uri"; write "$", a letter, then letters, digits or "_"',
      '6:5: "$uri" is built in and cannot be defined anew; choose another name',
      '7:5: invalid variable name "$a-b"; write "$", a letter, then letters, digits or "_"',
      '8:5: "$http_host" is built in and cannot be defined anew; choose another name',
      '9:14: "$ssl_protocol" is an nginx variable that Sluice does not have yet; remove it',
      `10:14: the closing brace of "\${host" is missing; write "\${host}"`,
    ],
  )
})

test('what is known but not built is named as such', () => {
  assert.equal(
    problemsOf(`tcp { a b; c { d e; } }
stream { }
http { store memory; session_map a; server { location / { check_status; access_by_lua_file a.lua; lua_code_cache off; js_content a; proxy_cache a; proxy_cache b; } } upstream u { server a; check interval=1; least_time header; } }`),
    [
      '1:1: "tcp" is not built yet; remove the block',
      '2:1: "stream" is not built yet; remove the block',
      '3:59: "check_status" is not built yet; remove the line',
      '3:73: "access_by_lua_file" is an OpenResty directive; write the hook in JavaScript and load it with "script FILE;"',
      '3:99: "lua_code_cache" is an OpenResty directive; write the hook in JavaScript and load it with "script FILE;"',
      '3:119: "js_content" is an njs directive; write the hook as an export of a file and load it with "script FILE;"',
      '3:133: "proxy_cache" is an nginx directive that Sluice does not have yet (2 times); remove the lines',
      '3:190: "check" is not built yet; remove the line',
      '3:208: "least_time" is an nginx directive that Sluice does not have yet; remove the line',
    ],
  )
})

test('the admin interface', () => {
  const cases: [text: string, problem: string][] = [
    [
      'x',
      '2:7: invalid address "x" in "admin"; write "127.0.0.1:PORT", "[::1]:PORT", "PORT" (of 127.0.0.1) or "unix:PATH"',
    ],
    [
      '0.0.0.0:9145',
      '2:7: "admin 0.0.0.0:9145" can be reached from other machines; add "token_file=FILE", or listen on 127.0.0.1',
    ],
    [
      '*:9145 host=a',
      '2:7: "admin *:9145" can be reached from other machines; add "token_file=FILE", or listen on 127.0.0.1',
    ],
    ['9145 token=x', '2:12: invalid parameter "token=x" of "admin"; write "token_file=FILE" or "host=NAME"'],
    ['9145 host=-', '2:12: invalid parameter "host=-" of "admin"; write "token_file=FILE" or "host=NAME"'],
    [
      '9145-9150',
      '2:7: invalid address "9145-9150" in "admin"; write "127.0.0.1:PORT", "[::1]:PORT", "PORT" (of 127.0.0.1) or "unix:PATH"',
    ],
  ]
  for (const [text, problem] of cases) assert.equal(inHttp(`admin ${text};`), [problem])
})

test('the top level', () => {
  assert.equal(
    problemsOf(`worker_processes 0;
worker_connections 5;
env =;
daemon maybe;
error_log stderr loud;
worker_shutdown_timeout x;`),
    [
      '1:18: invalid value "0" in "worker_processes"; write a number above 0 or "auto"',
      '2:1: "worker_connections" is not allowed here (at the top level); write it inside events',
      '3:5: invalid value "=" in "env"; write "NAME" or "NAME=value"',
      '4:8: invalid value "maybe" in "daemon"; write "on" or "off"',
      '5:18: invalid value "loud" in "error_log"; write one of debug, info, notice, warn, error, crit, alert, emerg',
      '6:25: invalid value "x" in "worker_shutdown_timeout"; write a time, such as "30s", "500ms" or "1h30m"',
    ],
  )
})

test('scripts', () => {
  assert.equal(
    inHttp(`script none.js;
script a.js x a=1 a=2;
script_limits cpu=0 memory=1k foo=1 wall;
script_on_error maybe;
script_watch 1;
server { script_watch on; }`),
    [
      '2:8: cannot read the script "/etc/sluice/none.js"; correct the path or make the file',
      '3:13: invalid parameter "x" of "script"; write "name=value"',
      '3:19: duplicate parameter "a" of "script"; remove one',
      '4:15: invalid parameter "cpu=0" of "script_limits"; write a time from 1ms to 60s, such as "cpu=50ms"',
      '4:21: invalid parameter "memory=1k" of "script_limits"; write a size from 1m to 4g, such as "memory=32m"',
      '4:31: invalid parameter "foo=1" of "script_limits"; write "memory=SIZE", "stack=SIZE", "cpu=TIME", "load=TIME" or "wall=TIME"',
      '4:37: invalid parameter "wall" of "script_limits"; write "memory=SIZE", "stack=SIZE", "cpu=TIME", "load=TIME" or "wall=TIME"',
      '5:17: invalid value "maybe" in "script_on_error"; write "closed" or "open"',
      '6:14: invalid value "1" in "script_watch"; write "on" or "off"',
      '7:10: "script_watch" is not allowed here (in server); write it inside http',
    ],
  )
})

test('shared state', () => {
  assert.equal(
    inHttp(`store disk;
store_timeout 0;
session_map 9users;
session_map users ttl=0 max=0 on_error=maybe size=1m;
session_map users;
server { session_map rooms; }`),
    [
      '2:7: invalid store "disk"; write "memory" or an address such as "redis://127.0.0.1:6379/0", with further nodes after commas',
      '3:15: a call needs some time; write a time above 0, such as "50ms"',
      '4:13: invalid map name "9users"; write letters, digits, "_" and "-"',
      '5:19: invalid parameter "ttl=0" of "session_map"; write a time above 0 in w, d, h, m, s or ms, such as "ttl=1h"',
      '5:25: invalid parameter "max=0" of "session_map"; write a number from 1 on, such as "max=1000000"',
      '5:31: invalid value "maybe" in "session_map"; write "hash", "stale" or "closed"',
      '5:46: invalid parameter "size=1m" of "session_map"; write "ttl=TIME", "max=N" or "on_error=hash|stale|closed"',
      '6:13: duplicate session_map "users"; remove one',
      '7:10: "session_map" is not allowed here (in server); write it inside http',
    ],
  )
  const stores: [text: string, problem: string][] = [
    [
      'memory size=1k',
      '2:14: invalid parameter "size=1k" of "store"; write a size from 1m on, such as "size=64m"',
    ],
    [
      'redis://u:p@a:0',
      '2:7: invalid store "redis://u:…@a:0"; write "memory" or an address such as "redis://127.0.0.1:6379/0", with further nodes after commas',
    ],
    [
      'redis://a allow_eval=on',
      '2:17: invalid parameter "allow_eval=on" of "store"; write "cluster", "sentinel=NAME", "prefix=TEXT", "password_file=FILE", "tls_ca=FILE" or "allow_eval"',
    ],
    ['redis://a,b', '2:7: several addresses need "cluster" or "sentinel=NAME"; add one of them'],
    ['redis://a/1 cluster', '2:7: a cluster has database 0 only; remove the number at the end'],
    ['redis://a cluster sentinel=x', '2:25: a store is a cluster or has a sentinel; remove one'],
    [
      'redis://a prefix=a*b',
      '2:17: invalid parameter "prefix=a*b" of "store"; write letters, digits, ":", ".", "_" and "-", such as "prefix=sluice:"',
    ],
  ]
  for (const [text, problem] of stores) assert.equal(inHttp(`store ${text};`), [problem])
})

test('scripts of a fleet', () => {
  assert.equal(
    inHttp(`script_fleet maybe;
script_fleet on;
script_sign_key a b;
server { script_fleet off; }`),
    [
      '2:14: invalid value "maybe" in "script_fleet"; write "on" or "off"',
      '3:1: "script_fleet" is duplicate; it stands in line 2 already, remove one',
      '4:1: invalid number of arguments in "script_sign_key"; it takes 1 argument',
      '5:10: "script_fleet" is not allowed here (in server); write it inside http',
    ],
  )
  assert.equal(inHttp('script_fleet on name=-a state=;'), [
    '2:17: invalid parameter "name=-a" of "script_fleet"; write at most 64 letters, digits, ".", "_" and "-", such as "name=edge-1"',
    '2:25: invalid parameter "state=" of "script_fleet"; write "name=MACHINE" or "state=FILE"',
  ])
})

test('what scripts may fetch', () => {
  const instead =
    'write "upstreams", "any", "none", "https://HOST[:PORT][/PATH]", "https://*.DOMAIN", "*.DOMAIN" or a block of addresses such as "10.0.0.0/8"'
  const wrong = [
    'example.com',
    'chat',
    'ftp://a.example',
    'https://',
    'https://a.example:0x50',
    'https://a.example:70000',
    'https://u:p@a.example',
    'https://a.example/?q',
    'https://a.example/a/../b',
    'https://a.example/%2e%2e',
    'https://*',
    'https://*.',
    'https://a.*.example',
    'https://*.1.2.3.4',
    '*.example.com:81',
    '*',
    '10.0.0.1/8',
    '10.0.0.0/33',
    'ANY',
  ]
  for (const entry of wrong) {
    assert.equal(inHttp(`script_allow_fetch ${entry};`), [
      `2:20: invalid parameter "${entry}" of "script_allow_fetch"; ${instead}`,
    ])
  }
  assert.equal(inHttp('script_allow_fetch;\nscript_allow_fetch none any;\nscript_allow_fetch any;'), [
    '2:1: invalid number of arguments in "script_allow_fetch"; it takes at least 1 argument',
    '3:20: "none" stands alone; remove it or the others',
    '4:1: "script_allow_fetch" is duplicate; it stands in line 3 already, remove one',
  ])
})

test('canaries, ejection and kept generations of scripts', () => {
  assert.equal(
    inHttp(`script_canary a.js percent=5;
script a.js;
script_canary a.js percent=5;
script_canary none.js share=5 key= percent=101 percent=1;
script_eject_after -1;
script_generations 0;
server { script_canary a.js percent=5; script_generations 3; }
upstream u { server a; script a.js; script_canary b.js percent=1 max_errors=1 max_latency=0 min_calls=0; }
upstream v { server a; script a.js; script_canary b.js key=$none; script_canary b.js percent=1; }`),
    [
      '2:1: "script_canary" has no "script" before it on this level; write it below the line it is for',
      '4:15: the canary is the script itself; write the file of the second version',
      '5:1: the script "/etc/sluice/a.js" before it has a canary already; remove one',
      '5:15: cannot read the script "/etc/sluice/none.js"; correct the path or make the file',
      '5:23: invalid parameter "share=5" of "script_canary"; write "percent=N", "key=VALUE", "max_errors=N%", "max_latency=TIME" or "min_calls=N"',
      '5:31: invalid parameter "key=" of "script_canary"; write a value with variables, such as "key=$arg_userId"',
      '5:36: invalid parameter "percent=101" of "script_canary"; write a share from 0 to 100, such as "percent=5"',
      '5:48: duplicate parameter "percent" of "script_canary"; remove one',
      '6:20: invalid value "-1" in "script_eject_after"; write a number from 1 to 1000000, or 0 for never',
      '7:20: invalid value "0" in "script_generations"; write a number from 1 to 1000',
      '8:10: "script_canary" has no "script" before it on this level; write it below the line it is for',
      '8:40: "script_generations" is not allowed here (in server); write it inside http',
      '9:66: invalid parameter "max_errors=1" of "script_canary"; write a share from 0% to 100%, such as "max_errors=1%"',
      '9:79: invalid parameter "max_latency=0" of "script_canary"; write a time above 0, such as "max_latency=20ms"',
      '9:93: invalid parameter "min_calls=0" of "script_canary"; write a number from 1 to 1000000, such as "min_calls=50"',
      '10:37: "script_canary" says no share; add "percent=N", such as "percent=5"',
      '10:56: unknown variable "$none"; define it with "set" or "map"',
      '10:67: the script "/etc/sluice/a.js" before it has a canary already; remove one',
    ],
  )
})

test('who follows a script', () => {
  assert.equal(
    inHttp(`script_shadow a.js;
script_record j;
script a.js;
script_shadow a.js;
script_shadow none.js sample=101% percent=5 sample=1%;
script_record j sample=5 max=1k mask=a,,b mask_args=a=b;
script_record j;
server { script_record j; }
upstream u { server a; script_shadow a.js; }`),
    [
      '2:1: "script_shadow" has no "script" before it on this level; write it below the line it is for',
      '3:1: "script_record" has no "script" before it on this level; write it below the line it is for',
      '5:15: the shadow is the script itself; write the file of the candidate',
      '6:1: the script "/etc/sluice/a.js" before it has a "script_shadow" already; remove one',
      '6:15: cannot read the script "/etc/sluice/none.js"; correct the path or make the file',
      '6:23: invalid parameter "sample=101%" of "script_shadow"; write a share from 0% to 100%, such as "sample=1%"',
      '6:35: invalid parameter "percent=5" of "script_shadow"; write "sample=VALUE"',
      '6:45: duplicate parameter "sample" of "script_shadow"; remove one',
      '7:17: invalid parameter "sample=5" of "script_record"; write a share from 0% to 100%, such as "sample=1%"',
      '7:26: invalid parameter "max=1k" of "script_record"; write a size from 64k to 64g, such as "max=64m"',
      '7:33: invalid parameter "mask=a,,b" of "script_record"; write names of header fields, such as "mask=authorization,cookie"; "mask=" masks none',
      '7:43: invalid parameter "mask_args=a=b" of "script_record"; write names of query arguments, such as "mask_args=token,password"; "mask_args=" masks none',
      '8:1: the script "/etc/sluice/a.js" before it has a "script_record" already; remove one',
      '9:10: "script_record" has no "script" before it on this level; write it below the line it is for',
      '10:24: "script_shadow" has no "script" before it on this level; write it below the line it is for',
    ],
  )
})

test('logs and their formats', () => {
  assert.equal(
    inHttp(`log_format a $host;
log_format a $uri;
log_format combined x;
log_format b escape=xml x;
access_log x nope;
access_log x a foo;
access_log x a flush=1s;
access_log $host a buffer=1k;
access_log syslog:server=a;
access_log off a;
access_log x a gzip=10 buffer=0 flush=x;
error_log x loud;
error_log x warn info;
error_log syslog:server=a;`),
    [
      '3:12: duplicate log format "a"; choose another name',
      '4:12: duplicate log format "combined"; choose another name',
      '5:14: invalid parameter "escape=xml" of "log_format"; write "escape=default", "escape=json" or "escape=none"',
      '6:1: unknown log format "nope"; define it with "log_format nope ...;"',
      '7:16: invalid parameter "foo" of "access_log"; write "buffer=SIZE", "flush=TIME", "gzip=LEVEL" or "if=CONDITION"',
      '8:1: no buffer is defined for access_log "x"; write "buffer=SIZE" beside "flush"',
      '9:12: a buffered log cannot have variables in its name; remove "buffer" and "gzip"',
      '10:12: logging to syslog is not built yet; write the path of a file',
      '11:16: invalid parameter "a" of "access_log"; write "access_log off;"',
      '12:16: invalid parameter "gzip=10" of "access_log"; write a level from 1 to 9, such as "gzip=5"',
      '12:24: invalid parameter "buffer=0" of "access_log"; write a size, such as "buffer=32k"',
      '12:33: invalid parameter "flush=x" of "access_log"; write a time, such as "flush=5s"',
      '13:13: invalid value "loud" in "error_log"; write one of debug, info, notice, warn, error, crit, alert, emerg',
      '14:18: duplicate log level "info"; write one',
      '15:11: logging to syslog is not built yet; write the path of a file',
    ],
  )
})

test('map', () => {
  assert.equal(
    inHttp(`map $uri $a { a 1; A 2; default x; default y; ~[ z; b; c d e; f { } }
map $uri $b { hostnames; .a.com 1; a.com 2; *.a.com 3; a.*.com 4; }
map $uri x { }
map $uri $uri { }`),
    [
      '2:20: conflicting parameter "A" in "map"; the same key stands above',
      '2:36: duplicate "default" in "map"; remove one',
      '2:47: invalid regular expression "[": missing "]" behind "["; write "\\[" for the character',
      '2:53: invalid number of words in "map"; write a key and a value',
      '2:56: invalid number of words in "map"; write a key and a value',
      '2:65: unexpected "{" in "map"; write ";" at the end of the line',
      '3:36: conflicting parameter "a.com" in "map"; the same key stands above',
      '3:45: conflicting parameter "*.a.com" in "map"; the same key stands above',
      '3:56: invalid host name or wildcard "a.*.com"; write "*.example.com" or "example.*"',
      '4:10: invalid variable name "x"; write "$", a letter, then letters, digits or "_"',
      '5:10: "$uri" is built in and cannot be defined anew; choose another name',
    ],
  )
})

test('geo', () => {
  assert.equal(
    inHttp(`geo $a { 10.0.0.0/8 a; 10.0.0.0/8 b; delete 11.0.0.0/8; x y; 10.0.0.1/8 c; proxy x; unix: y; }
geo $b { ranges; 1.1.1.1-1.1.1.2 a; }
geo x $c { }`),
    [
      '2:24: duplicate network "10.0.0.0/8": "b" replaces "a"; remove one',
      '2:45: no network "11.0.0.0/8" to delete; remove the line',
      '2:57: "x" is no address; write an address or a block such as "192.0.2.0/24"',
      '2:62: the low bits of "10.0.0.1/8" have no meaning; write the block\'s first address',
      '2:62: duplicate network "10.0.0.1/8": "c" replaces "b"; remove one',
      '2:82: "x" is no address; write an address or a block such as "192.0.2.0/24"',
      '2:85: "unix:" is no network; write a block such as "192.0.2.0/24"',
      '3:10: "ranges" is not built yet; write blocks such as "192.0.2.0/24"',
      '4:5: invalid variable name "x"; write a variable, such as "$remote_addr"',
    ],
  )
})

test('split_clients', () => {
  assert.equal(
    inHttp(`split_clients $uri $a { 50% a; 60% b; }
split_clients $uri $b { 5 a; 0% b; x% c; }`),
    [
      '2:32: the percentages add up to more than 100%',
      '3:25: invalid percentage "5"; write one such as "0.5%", or "*" for the rest',
      '3:30: invalid percentage "0%"; write one such as "0.5%", or "*" for the rest',
      '3:36: invalid percentage "x%"; write one such as "0.5%", or "*" for the rest',
    ],
  )
})

test('a problem is one line, whatever it quotes, and not longer than a line may be', () => {
  assert.equal(problemsOf('"a\nb\x1b[31m";'), [
    '1:1: unknown directive "a\\nb\\x1b[31m"; correct the name or remove the line',
  ])
  const where = { file: 'gr\xc3\xbcn.conf', line: 1, column: 2 }
  assert.is(formatProblem({ where, message: 'x', severity: 'error' }), 'grün.conf:1:2: x')
  const [problem] = parse(`pid a; etag on; error_log x ${'y'.repeat(5000)};`).problems.slice(-1)
  assert.ok(problem!.message.length <= MAX_MESSAGE + 3)
})

test('WebSockets whose messages hooks read', () => {
  assert.equal(
    inLocation(`ws_max_message_size 0;
ws_send_queue 2g;
ws_close_timeout 0;
ws_ping_interval soon;
ws_permessage_deflate maybe;
ws_reconnect yes;`),
    [
      '2:21: invalid value "0" in "ws_max_message_size"; write a size from 1 to 1g',
      '3:15: invalid value "2g" in "ws_send_queue"; write a size from 1 to 1g',
      '4:18: invalid value "0" in "ws_close_timeout"; write a time above 0',
      '5:18: invalid value "soon" in "ws_ping_interval"; write a time, such as "30s", "500ms" or "1h30m"',
      '6:23: invalid value "maybe" in "ws_permessage_deflate"; write "on" or "off"',
      '7:14: invalid value "yes" in "ws_reconnect"; write "on" or "off"',
    ],
  )
  for (const [words, instead] of [
    ['on tries=0', '"tries=N" with N from 1 to 1000'],
    ['on tries=1001', '"tries=N" with N from 1 to 1000'],
    ['on 3', '"tries=N" with N from 1 to 1000'],
    ['off tries=3', 'nothing behind "off"'],
  ]) {
    assert.equal(inLocation(`ws_reconnect ${words};`), [
      `2:${15 + words!.indexOf(' ')}: invalid parameter "${words!.split(' ')[1]}" of "ws_reconnect"; write ${instead}`,
    ])
  }
})

test.run()
