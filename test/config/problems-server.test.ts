// What is told about servers, locations and upstreams that are wrong: literal text, literal list of problems.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { problemsOf } from './parsed.ts'

const FILES = { '/etc/sluice/a.js': '' }

function inHttp(text: string): string[] {
  return problemsOf(`http {\n${text}\n}`, FILES)
}

function inServer(text: string): string[] {
  return problemsOf(`http { server { listen 80;\n${text}\n} }`)
}

function inLocation(text: string, name = '/'): string[] {
  return problemsOf(`http { server { listen 80; location ${name} {\n${text}\n} } }`)
}

test('addresses and parameters of listen', () => {
  assert.equal(
    inHttp(`server { listen 80; listen 80; listen 99999; listen 81 ssl; listen 82 foo; listen 83 backlog=0; listen 84 quic; listen a/b; listen 85 ipv6only=maybe; listen 86 so_keepalive=x; }
server { listen 90 default_server backlog=5; }
server { listen *:90 default_server backlog=6; }`),
    [
      '2:21: duplicate "listen 80" in one server; remove one',
      '2:39: invalid port in "listen 99999"; write "ADDRESS:PORT", "PORT" or "unix:PATH"',
      '2:56: TLS towards clients is not built yet; remove "ssl"',
      '2:71: invalid parameter "foo" of "listen"; write "default_server", "backlog=NUMBER" or another parameter of "listen"',
      '2:86: invalid parameter "backlog=0" of "listen"; write a number above 0',
      '2:107: HTTP/3 is not built yet; remove "quic"',
      '2:120: invalid host in "listen a/b"; write "ADDRESS:PORT", "PORT" or "unix:PATH"',
      '2:135: invalid parameter "ipv6only=maybe" of "listen"; write "ipv6only=on" or "ipv6only=off"',
      '2:161: invalid parameter "so_keepalive=x" of "listen"; write "on", "off" or "IDLE:INTERVAL:COUNT"',
      '4:1: conflicting server name "" on "*:90": the server above has it, this one is ignored',
      '4:10: duplicate listen options for "*:90"; give them in one server only',
      '4:10: a duplicate default server for "*:90"; remove "default_server" from one',
    ],
  )
})

test('names of servers', () => {
  assert.equal(
    inHttp(`server { listen 80; server_name a.com *.b.com; }
server { listen 80; server_name A.com; }
server { listen 81; server_name a.com a.com; }
server { listen 82; server_name a.*.com *x .; }
server { listen 83; server_name ~ ~(; }
server { listen 84; }
server { listen 84; }`),
    [
      '3:33: conflicting server name "a.com" on "80": the server above has it, this one is ignored',
      '4:39: conflicting server name "a.com" on "81": the server above has it, this one is ignored',
      '5:33: invalid server name "a.*.com"; a "*" may be its first or last part only, as in "*.example.com"',
      '5:41: invalid server name "*x"; a "*" may be its first or last part only, as in "*.example.com"',
      '5:44: invalid server name "."; a "*" may be its first or last part only, as in "*.example.com"',
      '6:33: empty pattern in "server_name ~"; write a regular expression behind "~"',
      '6:35: invalid regular expression "(": missing ")"; write "\\(" for the character',
      '8:1: conflicting server name "" on "84": the server above has it, this one is ignored',
    ],
  )
})

test('locations: duplicates, nesting, modifiers', () => {
  assert.equal(
    inServer(`location /a {}
location /a {}
location ^~ /a {}
location = /a {}
location ~ /a {}
location ~ /a {}
location @a {}
location @a {}
location /b { location /c {} location @d {} location /b/e {} location ~ x {} }
location = /f { location /f/g {} }
location @h { location /i {} }
location ! /j {}
location ~ ( {}`),
    [
      '3:1: duplicate location "/a"; join the two blocks',
      '4:1: duplicate location "/a"; join the two blocks',
      '9:1: duplicate location "@a"; join the two blocks',
      '10:24: location "/c" is outside location "/b"; begin its name with "/b"',
      '10:39: the named location "@d" can be on the server level only; write it outside "/b"',
      '11:26: location "/f/g" cannot be inside the exact location "/f"; write it beside it',
      '12:24: location "/i" cannot be inside the named location "@h"; write it beside it',
      '13:10: invalid location modifier "!"; write "=", "^~", "~" or "~*"',
      '14:12: invalid regular expression "(": missing ")"; write "\\(" for the character',
    ],
  )
})

test('where proxy_pass may go, and may have a URI', () => {
  assert.equal(
    inServer(`location ~ x { proxy_pass http://a/b; }
location @n { proxy_pass http://a/; }
location /a { if ($host) { proxy_pass http://a/b; } }
location /b { limit_except GET { proxy_pass http://a/; } }
location /c { proxy_pass a; }
location /d { proxy_pass https://a; }
location /e { proxy_pass http://; }
location /f { proxy_pass http://a; proxy_pass http://b; }
location /g { proxy_pass http://unix:; }`),
    [
      '2:27: "proxy_pass" cannot have a URI part in a location given by a pattern, in a named location, in "if" or in "limit_except"; remove "/b"',
      '3:26: "proxy_pass" cannot have a URI part in a location given by a pattern, in a named location, in "if" or in "limit_except"; remove "/"',
      '4:39: "proxy_pass" cannot have a URI part in a location given by a pattern, in a named location, in "if" or in "limit_except"; remove "/b"',
      '5:45: "proxy_pass" cannot have a URI part in a location given by a pattern, in a named location, in "if" or in "limit_except"; remove "/"',
      '6:26: invalid value "a" in "proxy_pass"; write a URL that begins with "http://"',
      '7:26: proxying to https is not built yet; write "http://"',
      '8:26: no host in "proxy_pass http://"; write "http://HOST:PORT/URI" or "http://unix:PATH:URI"',
      '9:36: "proxy_pass" is duplicate; it stands in line 9 already, remove one',
      '10:26: no path in the unix domain socket in "proxy_pass http://unix:"; write "http://HOST:PORT/URI" or "http://unix:PATH:URI"',
    ],
  )
})

test('an upstream has its ports in its servers', () => {
  assert.equal(
    inHttp(`upstream u { server a; }
server { listen 80; location / { proxy_pass http://U:80; } }`),
    ['3:34: the upstream "U" may not have the port 80 here; write it behind its servers'],
  )
})

test('proxy directives', () => {
  assert.equal(
    inLocation(`proxy_redirect default;
proxy_redirect maybe;
proxy_cookie_path /a;
proxy_cookie_domain off;
proxy_cookie_domain a b;
proxy_http_version 2;
proxy_http_version 3;
proxy_next_upstream never;
proxy_set_header "a b" c;
proxy_bind 1.2.3.4:x;
proxy_ignore_headers Foo;
proxy_buffers 8;`),
    [
      '2:1: "proxy_redirect default" needs a "proxy_pass" above it in the same location',
      '3:16: invalid parameter "maybe" of "proxy_redirect"; write "off", "default" or a prefix and its replacement',
      '4:19: invalid parameter "/a" of "proxy_cookie_path"; write "off", or a text and its replacement',
      '6:1: "proxy_cookie_domain off" cannot stand beside other lines of "proxy_cookie_domain"; remove one',
      '7:20: HTTP/2 to upstreams is not built yet; write "1.1"',
      '8:1: "proxy_http_version" is duplicate; it stands in line 7 already, remove one',
      '9:21: invalid value "never" in "proxy_next_upstream"; write "off", "error", "timeout", "invalid_header", "http_500", "http_502", "http_503", "http_504", "http_403", "http_404", "http_429" or "non_idempotent"',
      '10:18: invalid value "a b" in "proxy_set_header"; write a header field name',
      '11:12: invalid value "1.2.3.4:x" in "proxy_bind"; write an address, with or without a port, or "off"',
      '12:22: invalid value "Foo" in "proxy_ignore_headers"; write "X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset", "Expires", "Cache-Control", "Set-Cookie" or "Vary"',
      '13:1: invalid number of arguments in "proxy_buffers"; it takes 2 arguments',
    ],
  )
})

test('files, types and indexes', () => {
  assert.equal(
    inLocation(`alias /a;
root /b;
try_files a;
try_files a =x;
index "";
index /a b;
root $document_root/x;
types { a b; c b; d { } }
types { include a b; }`),
    [
      '3:1: "root" is duplicate, "alias" stands in this block already; remove one',
      '4:1: invalid number of arguments in "try_files"; it takes at least 2 arguments',
      '5:13: invalid value "=x" in "try_files"; write a status, such as "=404"',
      '6:7: invalid value "" in "index"; write a file name',
      '7:7: only the last index should be an absolute path; those behind it are never tried',
      '8:1: "root" is duplicate; it stands in line 3 already, remove one',
      '9:16: duplicate extension "b": "c" replaces "a"; remove one',
      '9:21: unexpected "{" in "types"; write "TYPE EXTENSION ... ;"',
      '10:9: invalid number of arguments in "include"; it takes 1 argument',
    ],
  )
})

test('alias needs a location with a path', () => {
  assert.equal(inLocation(`alias /a;`, '@n'), [
    '2:1: "alias" cannot be used inside a named location; write "root"',
  ])
})

test('the rewrite module', () => {
  assert.equal(
    inLocation(`rewrite ( /x;
rewrite a "";
rewrite a b maybe;
return 1000;
return abc;
return http://a b;
if $a { }
if (a) { }
if ($host > 1) { }
if ($host =) { }
if (-z /a) { }
if ($1) { }
if ($host = a b) { }
if ($host ~ [) { }`),
    [
      '2:9: invalid regular expression "(": missing ")"; write "\\(" for the character',
      '3:11: invalid value "" in "rewrite"; write the URI to rewrite to',
      '4:13: invalid parameter "maybe" of "rewrite"; write "last", "break", "redirect" or "permanent"',
      '5:8: invalid value "1000" in "return"; write a status, or a URL that begins with "http://", "https://" or "$scheme"',
      '6:8: invalid value "abc" in "return"; write a status, or a URL that begins with "http://", "https://" or "$scheme"',
      '7:8: invalid value "http://a" in "return"; write a status, or a URL that begins with "http://", "https://" or "$scheme"',
      '8:4: a condition stands in parentheses; write "if ($variable)"',
      '9:4: invalid condition "a"; write "if ($variable)", "if ($variable = text)", "if ($variable ~ pattern)" or "if (-f path)"',
      '10:11: unexpected ">" in a condition; write "=", "!=", "~", "~*", "!~" or "!~*"',
      '11:11: invalid condition "="; write "if ($variable)", "if ($variable = text)", "if ($variable ~ pattern)" or "if (-f path)"',
      '12:4: invalid condition "-z"; write "if ($variable)", "if ($variable = text)", "if ($variable ~ pattern)" or "if (-f path)"',
      '13:4: a capture cannot be tested; write "set $name $1;" before and test "$name"',
      '14:4: invalid condition "$host"; write "if ($variable)", "if ($variable = text)", "if ($variable ~ pattern)" or "if (-f path)"',
      '15:13: invalid regular expression "[": missing "]" behind "["; write "\\[" for the character',
    ],
  )
})

test('headers, error pages and addresses', () => {
  assert.equal(
    inLocation(`add_header A b c;
add_header "A B" c;
expires sometime;
error_page =200 /x;
error_page 200 /x;
error_page 499 /x;
error_page 404 =x /x;
allow 1.2.3;
deny 10.0.0.1/8;
set_real_ip_from host;
real_ip_header "a b";`),
    [
      '2:16: invalid parameter "c" of "add_header"; write "always"',
      '3:12: invalid value "A B" in "add_header"; write a header field name',
      '4:9: invalid value "sometime" in "expires"; write a time, "epoch", "max" or "off"',
      '5:12: invalid value "=200" in "error_page"; write a status from 300 to 599 (499 is not sent to anybody)',
      '6:12: invalid value "200" in "error_page"; write a status from 300 to 599 (499 is not sent to anybody)',
      '7:12: invalid value "499" in "error_page"; write a status from 300 to 599 (499 is not sent to anybody)',
      '8:16: invalid value "=x" in "error_page"; write "=" and a status, such as "=200", or "=" alone',
      '9:7: "1.2.3" is no address; write "all", "unix:", an address or a block such as "192.0.2.0/24"',
      '10:6: the low bits of "10.0.0.1/8" have no meaning; write the block\'s first address',
      '11:18: "host" is no address; write "unix:", an address or a block such as "192.0.2.0/24"',
      '12:16: "a b" is no header field name; write one, or "proxy_protocol"',
    ],
  )
})

test('expires', () => {
  assert.equal(inLocation(`expires modified @1h;`), [
    '2:18: invalid value "@1h" in "expires"; write a time without "@", a time of day cannot follow "modified"',
  ])
})

test('servers that change by themselves', () => {
  assert.equal(
    inHttp(`upstream a { server x service=http; server x:80 service=http resolve; server 10.0.0.1 service=http resolve; server unix:/a service=http resolve; }
upstream b { server x service= resolve; server x service=a/b resolve; server x resolve=on; resolver ns.example 127.0.0.1:65536 [::1]:0 [::1] ipv4=off ipv6=off; resolver_timeout soon; }
upstream c { upstream_from_store a/b; }
upstream d { upstream_from_store a; upstream_from_store b; }
upstream e { upstream_from_store a; state e.servers; }
upstream_from_store a;
session_map upstreams;`),
    [
      '2:14: the service "http" of "x" is looked up while it serves; add "resolve"',
      '2:37: the service "http" of "x:80" has the ports of its records; remove ":80"',
      '2:71: the service "http" of "10.0.0.1" needs a name whose records say where it is; write a domain name',
      '2:109: the service "http" of "unix:/a" needs a name whose records say where it is; write a domain name',
      '3:23: invalid parameter "service=" of "server"; write the name of a service, such as "service=http" or "service=_http._tcp"',
      '3:50: invalid parameter "service=a/b" of "server"; write the name of a service, such as "service=http" or "service=_http._tcp"',
      '3:80: invalid parameter "resolve=on" of "server"; write "weight=N", "max_fails=N", "fail_timeout=TIME", "max_conns=N", "route=TEXT", "resolve", "service=NAME", "backup", "drain" or "down"',
      '3:92: names without IPv4 and IPv6 have no addresses; leave one of them on',
      '3:101: invalid parameter "ns.example" of "resolver"; write the address of a name server, such as "127.0.0.1:53"',
      '3:112: invalid parameter "127.0.0.1:65536" of "resolver"; write the address of a name server, such as "127.0.0.1:53"',
      '3:128: invalid parameter "[::1]:0" of "resolver"; write the address of a name server, such as "127.0.0.1:53"',
      '3:178: invalid value "soon" in "resolver_timeout"; write a time, such as "30s", "500ms" or "1h30m"',
      '4:34: invalid value "a/b" in "upstream_from_store"; write at most 64 letters, digits, "_", "." and "-"',
      '5:37: "upstream_from_store" is duplicate; it stands in line 5 already, remove one',
      '6:1: the servers of upstream "e" are kept in a file or in the store; remove one',
      '6:43: the state file "/srv/e.servers" does not exist yet; upstream "e" begins without servers',
      '7:1: "upstream_from_store" is not allowed here (in http); write it inside upstream',
      '8:13: the map "upstreams" holds the lists of "upstream_from_store"; choose another name',
    ],
  )
  assert.equal(
    problemsOf('http { upstream u { state u.servers; } }', {
      '/srv/u.servers': 'server x service=http resolve;',
    }),
    [
      '/srv/u.servers:1:1: a state file keeps single servers, not a service; write it into a block without "state"',
    ],
  )
})

test('upstreams', () => {
  assert.equal(
    inHttp(`upstream a { }
upstream b { server x; }
upstream B { server x; }
upstream c { server x weight=0 foo max_fails=x fail_timeout=1ms slow_start=1s resolve drain; server a:b; ip_hash; hash $uri; random three; hash $uri maybe; keepalive x; keepalive 1 global; }
upstream d { server x backup; hash $arg_a; }`),
    [
      '2:1: no servers are inside upstream "a"; write "server ADDRESS;"',
      '4:10: duplicate upstream "B"; choose another name',
      '5:23: invalid parameter "weight=0" of "server"; write a whole number of at least 1',
      '5:32: invalid parameter "foo" of "server"; write "weight=N", "max_fails=N", "fail_timeout=TIME", "max_conns=N", "route=TEXT", "resolve", "service=NAME", "backup", "drain" or "down"',
      '5:36: invalid parameter "max_fails=x" of "server"; write a whole number of at least 0',
      '5:48: invalid parameter "fail_timeout=1ms" of "server"; write a time in whole seconds, such as "fail_timeout=10s"',
      '5:65: the parameter "slow_start=1s" of an upstream\'s server is not built yet; remove it',
      '5:101: invalid port in upstream server "a:b"; write "HOST", "HOST:PORT" or "unix:PATH"',
      '5:115: "hash" replaces the method "ip_hash" above; remove one',
      '5:133: invalid parameter "three" of "random"; write "two"',
      '5:150: invalid parameter "maybe" of "hash"; write "consistent"',
      '5:167: invalid value "x" in "keepalive"; write how many idle connections to keep, such as "32"',
      '5:170: "keepalive" is duplicate; it stands in line 5 already, remove one',
      '6:14: the balancing method "hash" does not support "backup"; remove it',
    ],
  )
})

test('limit_except', () => {
  assert.equal(
    inLocation(`limit_except FETCH { }
limit_except GET { return 200; }`),
    [
      '2:14: invalid method "FETCH"; write one of GET, HEAD, POST, PUT, DELETE, MKCOL, COPY, MOVE, OPTIONS, PROPFIND, PROPPATCH, LOCK, UNLOCK, PATCH',
      '3:1: "limit_except" is duplicate; it stands in line 2 already, remove one',
    ],
  )
})

test.run()
