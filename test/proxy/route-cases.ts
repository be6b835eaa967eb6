// Configurations and what comes of requests to them: checked on Sluice in `routes.test.ts`, on nginx itself in
// `routes-nginx.test.ts`. An answer is the status with the body, or with the redirect's location.

export interface RouteCases {
  readonly name: string
  /** What stands in `http { }`. */
  readonly config: string
  readonly requests: readonly RouteCase[]
}

/** `GET /path`, the answer, and the request's fields. */
export type RouteCase = readonly [
  line: string,
  answer: string,
  fields?: readonly (readonly [string, string])[],
]

const REWRITE: RouteCases = {
  name: 'rewrite',
  config: `
    absolute_redirect off;
    server {
      listen 127.0.0.1:%PORT%;
      location / { rewrite ^ http://example.com/ redirect; }
      location /add { rewrite ^ http://example.com/?c=d redirect; }
      location /no { rewrite ^ http://example.com/?c=d? redirect; }
      location /moved { rewrite ^/moved(.*) /to$1 permanent; }
      location /scheme { rewrite ^ $scheme://example.org/; return 500; }
      location /decoded { rewrite ^ http://example.com/a%20b%3Fc%2Fd redirect; }
      location /broken { rewrite ^ http://example.com/%zz%4z%-% redirect; }
      location /arg { rewrite ^ $arg_r? redirect; }
      location /captured { rewrite ^(.*) http://example.com$1 redirect; }
      location /capture { rewrite ^(.*) $1?c=d; return 200 "uri:$uri args:$args"; }
      location /capturedup { rewrite ^(.*) $1?c=$1; return 200 "uri:$uri args:$args"; }
      location /drop { rewrite ^ /return/x? last; }
      location /keep { rewrite ^ /return/x last; }
      location /replace { rewrite ^ /return/x?n=1 last; }
      location /replaceall { rewrite ^ /return/x?n=1? last; }
      location /twoqueries { rewrite ^ /return/x?n=1?2 last; }
      location /return/ { return 200 "$uri?$args"; }
      location /twice { rewrite ^/twice/(.*) /one/$1; rewrite ^/one/(.*) /return/$1-2; }
      location /zero { rewrite ^/zero(.*) $1; }
      location /loop { rewrite ^ /loop; }
    }`,
  requests: [
    ['GET /', '302 http://example.com/'],
    ['GET /?a=b', '302 http://example.com/?a=b'],
    ['GET /add', '302 http://example.com/?c=d'],
    ['GET /add?a=b', '302 http://example.com/?c=d&a=b'],
    ['GET /no?a=b', '302 http://example.com/?c=d'],
    ['GET /moved/on?x', '301 /to/on?x'],
    ['GET /scheme', '302 http://example.org/'],
    // printable octets above "%" are decoded, up to a "?"
    ['GET /decoded', '302 http://example.com/a%20b?c%2Fd'],
    ['GET /broken', '302 http://example.com/zz-'],
    ['GET /arg?r=http%3A%2F%2Fexample.com%2F%3Ffrom', '302 http://example.com/?from'],
    ['GET /arg?r=http%3A%2F%2Fexample.com%0D%0Asplit', '302 http://example.com%0D%0Asplit'],
    // "." is no line feed
    ['GET /captured/a%0d%0ab', '302 http://example.com/captured/a%0D'],
    ['GET /captured/a+b%20c', '302 http://example.com/captured/a+b%20c'],
    ['GET /captured/a+b%25c', '302 http://example.com/captured/a+b%25c'],
    ['GET /captured/a&b', '302 http://example.com/captured/a&b'],
    ['GET /capture/%25?a=b', '200 uri:/capture/% args:c=d&a=b'],
    ['GET /capturedup/%25?a=b', '200 uri:/capturedup/% args:c=/capturedup/%25&a=b'],
    ['GET /capturedup/x&y?a=b', '200 uri:/capturedup/x&y args:c=/capturedup/x&y&a=b'],
    ['GET /capturedup/x+y%26', '200 uri:/capturedup/x+y& args:c=/capturedup/x%2By%26'],
    ['GET /drop?a=b', '200 /return/x?'],
    ['GET /keep?a=b', '200 /return/x?a=b'],
    ['GET /replace', '200 /return/x?n=1'],
    ['GET /replace?a=b', '200 /return/x?n=1&a=b'],
    ['GET /replaceall?a=b', '200 /return/x?n=1'],
    ['GET /twoqueries?a=b', '200 /return/x?n=1?2&a=b'],
    ['GET /twice/x', '200 /return/x-2?'],
    ['GET /zero', '500'],
    ['GET /loop', '500'],
  ],
}

const RETURN: RouteCases = {
  name: 'return, set and captures',
  config: `
    absolute_redirect off;
    server {
      listen 127.0.0.1:%PORT%;
      location /return204 { return 204; }
      location /return200 { return 200; }
      location /return306 { return 306; }
      location /return405 { return 405; }
      location /return404text { return 404 "text"; }
      location /empty404 { return 404 ""; }
      location /return302text { return 302 "text"; }
      location /return301 { return 301 /there?$args; }
      location /return308 { return 308 /there; }
      location /url { return http://example.com$request_uri; }

      location /set { set $a "$arg_x"; set $b "<$a$a>"; return 200 "$b"; }
      location /setargs { set $args "new=$arg_x"; return 200 "$args|$is_args|$query_string|$arg_new"; }
      location /setcapture { if ($uri ~ ^/setcapture/(.*)) { set $c $1; } return 200 "$c"; }
      location /returncapture { if ($uri ~ ^/returncapture/(.*)) { return 200 $1; } return 500; }
      location /afterrewrite { rewrite ^ /other; if ($uri ~ (.*)) { set $c $1; } return 200 "$c"; }
      location /unset { return 200 "[$c]"; }
      location /prefix { return 200 "$http_foo"; }
      location /prefixset { set $http_foo set; return 200 "$http_foo"; }
      location /named { if ($uri ~ "^/named/(?<Who>[a-z]+)") { } return 200 "$who"; }
      location /mismatch { if ($uri ~ ^/(mis)) { } if ($uri ~ ^/(no)) { } return 200 "[$1]"; }
      location /nocapture { if ($uri ~ ^/(no)) { } if ($uri ~ ^/no) { } return 200 "[$1]"; }
      location /optional { if ($uri ~ ^/(x)?opt(ional)) { return 200 "[$1$2$3]"; } }
      location /limit { set $limit_rate $arg_l; return 200 $limit_rate; }
    }`,
  requests: [
    ['GET /return204', '204 '],
    ['GET /return200', '200 '],
    ['GET /return306', '306 '],
    ['GET /return405', '405'],
    ['GET /return404text', '404 text'],
    ['GET /empty404', '404'],
    ['GET /return302text', '302 text'],
    ['GET /return301?a', '301 /there?a'],
    ['GET /return308', '308 /there'],
    ['GET /url/x?y', '302 http://example.com/url/x?y'],
    ['GET /set?x=1', '200 <11>'],
    ['GET /setargs?x=1', '200 new=1|?|new=1|1'],
    ['GET /setcapture/a%20b', '200 a%20b'],
    ['GET /setcapture/a&b', '200 a&b'],
    ['GET /setcapture/a+b', '200 a%2Bb'],
    ['GET /returncapture/a%20b', '200 a b'],
    ['GET /afterrewrite', '200 /other'],
    ['GET /unset', '200 []'],
    ['GET /prefix', '200 '],
    ['GET /prefix', '200 field', [['Foo', 'field']]],
    ['GET /prefixset', '200 set', [['Foo', 'field']]],
    ['GET /named/bob', '200 bob'],
    ['GET /named/7', '200 '],
    ['GET /mismatch', '200 []'],
    ['GET /nocapture', '200 []'],
    ['GET /optional', '200 [ional]'],
    ['GET /limit?l=40k', '200 40960'],
    ['GET /limit?l=x', '200 0'],
  ],
}

const SERVER_RULES: RouteCases = {
  name: 'rules of the server',
  config: `
    server {
      listen 127.0.0.1:%PORT%;
      set $n x;
      rewrite ^/old/(.*) /new/$1;
      if ($arg_deny) { return 403; }
      location / { return 200 "root $uri $n"; }
      location /new/ { return 200 "new $uri $n"; }
      location = /1 { rewrite ^ /2 last; }
      location = /2 { rewrite ^ /3 last; }
    }
    server {
      listen 127.0.0.1:%PORT%;
      server_name captures;
      if ($uri ~ (.*)) { set $before $1; }
      rewrite ^/rewrite(.*)$ /rewritten$1;
      if ($uri ~ (.*)) { set $after $1; }
      return 200 "$before $after";
    }`,
  requests: [
    ['GET /old/1', '200 new /new/1 x'],
    ['GET /other', '200 root /other x'],
    ['GET /old/1?deny=1', '403'],
    ['GET /1', '200 root /3 x'],
    // captures are encoded in `set` only before the first rewrite that matches
    ['GET /rewrite/a%2bb', '200 /rewrite/a%2Bb /rewritten/a+b', [['Host', 'captures']]],
    ['GET /other/a%2bb', '200 /other/a%2Bb /other/a%2Bb', [['Host', 'captures']]],
  ],
}

const IF: RouteCases = {
  name: 'if',
  config: `server {
    listen 127.0.0.1:%PORT%;
    location /true { if ($arg_c) { return 204; } return 200 no; }
    location /spaces { if ( $arg_c ) { return 204; } return 200 no; }
    location /eq { if ($arg_c = 1) { return 204; } return 200 no; }
    location /var { if ($arg_c = "$arg_d") { return 204; } return 200 no; }
    location /not { if ($arg_c != 2) { return 204; } return 200 no; }
    location /pos { if ($arg_c ~ foo) { return 204; } return 200 no; }
    location /cpos { if ($arg_c ~* foo) { return 204; } return 200 no; }
    location /neg { if ($arg_c !~ foo) { return 204; } return 200 no; }
    location /cneg { if ($arg_c !~* foo) { return 204; } return 200 no; }
  }`,
  requests: [
    ['GET /true?c=1', '204 '],
    ['GET /true?c=0', '200 no'],
    ['GET /true?c=00', '204 '],
    ['GET /true?c=', '200 no'],
    ['GET /true', '200 no'],
    ['GET /spaces?c=1', '204 '],
    ['GET /eq?c=1', '204 '],
    ['GET /eq?c=2', '200 no'],
    ['GET /eq', '200 no'],
    ['GET /var?c=1&d=1', '204 '],
    ['GET /var?c=1&d=2', '200 no'],
    ['GET /var', '204 '],
    ['GET /not?c=1', '204 '],
    ['GET /not?c=2', '200 no'],
    ['GET /pos?c=food', '204 '],
    ['GET /pos?c=FooD', '200 no'],
    ['GET /cpos?c=FooD', '204 '],
    ['GET /cpos?c=bar', '200 no'],
    ['GET /neg?c=FooD', '204 '],
    ['GET /neg?c=food', '200 no'],
    ['GET /cneg?c=bar', '204 '],
    ['GET /cneg?c=FooD', '200 no'],
  ],
}

const LOCATIONS: RouteCases = {
  name: 'locations',
  config: `
    absolute_redirect off;
    server {
      listen 127.0.0.1:%PORT%;
      location = / { return 200 exactlyroot; }
      location / { return 200 root; }
      location ^~ /images/ { return 200 images; }
      location ~* \\.(gif|jpg|jpeg)$ { return 200 "regex $1"; }
      location ~ casefull { return 200 casefull; }
      location = /foo { return 200 "foo exact"; }
      location /foo { return 200 "foo prefix"; }
      location = /foo/ { return 200 "foo/ exact"; }
      location /foo/ { return 200 "foo/ prefix"; }
      location /a/ { proxy_pass http://127.0.0.1:9; }
      location /a-a { return 200 a-a; }
      location /a-b { return 200 a-b; }
      location "/sp ace/" { proxy_pass http://127.0.0.1:9; }
      location = /exact/ { proxy_pass http://127.0.0.1:9; }
      location /exact/ { return 200 prefix; }
      location /outer/ {
        location /outer/in/ { return 200 inner; }
        location = /outer/exact.gif { return 200 "inner exact"; }
        location ~ x$ { return 200 "inner regex"; }
        location ^~ /outer/final/ { return 200 final; }
        return 200 outer;
      }
      location ~ ^/re/ { location ~ y$ { return 200 "regex in regex"; } return 200 "outer regex"; }
      location ^~ /final/ { location ~ z$ { return 200 "regex in final"; } return 200 final; }
      location /hidden { internal; return 200 hidden; }
      location /toward { rewrite ^ /hidden last; }
    }
    server {
      listen 127.0.0.1:%PORT%;
      server_name none;
      root /nonexistent;
      location /only { return 200 only; }
      location ~ ^/re(?<x>.) { return 200 $x; }
    }`,
  requests: [
    ['GET /', '200 exactlyroot'],
    ['GET /x', '200 root'],
    ['GET /images/t.gif', '200 images'],
    ['GET /t.gif', '200 regex gif'],
    ['GET /t.GIF', '200 regex GIF'],
    ['GET /casefull/t.gif', '200 regex gif'],
    ['GET /casefull/', '200 casefull'],
    ['GET /CASEFULL/', '200 root'],
    ['GET /foo', '200 foo exact'],
    ['GET /foobar', '200 foo prefix'],
    ['GET /foo/', '200 foo/ exact'],
    ['GET /foo/bar', '200 foo/ prefix'],
    ['GET /a', '301 /a/'],
    ['GET /a?x=y', '301 /a/?x=y'],
    ['GET /a-a', '200 a-a'],
    ['GET /a-b', '200 a-b'],
    ['GET /a-', '200 root'],
    ['GET /sp%20ace', '301 /sp%20ace/'],
    ['GET /exact', '301 /exact/'],
    ['GET /exact/x', '200 prefix'],
    ['GET /outer/', '200 outer'],
    ['GET /outer/in/', '200 inner'],
    ['GET /outer/exact.gif', '200 inner exact'],
    ['GET /outer/in/x', '200 inner regex'],
    // a regular expression beside the outer location still comes before a nested prefix
    ['GET /outer/in/t.gif', '200 regex gif'],
    ['GET /outer/in/x.gif', '200 regex gif'],
    ['GET /outer/final/x', '200 final'],
    ['GET /outer/final/t.gif', '200 regex gif'],
    ['GET /re/x', '200 outer regex'],
    ['GET /re/y', '200 regex in regex'],
    ['GET /final/t.gif', '200 final'],
    ['GET /final/z', '200 regex in final'],
    ['GET /hidden', '404'],
    ['GET /toward', '200 hidden'],
    ['GET /only', '200 only', [['Host', 'none']]],
    ['GET /rex', '200 x', [['Host', 'none']]],
  ],
}

const SERVERS: RouteCases = {
  name: 'server names',
  config: `
    server_names_hash_bucket_size 128;
    server { listen 127.0.0.1:%PORT%; server_name localhost; return 200 default; }
    server { listen 127.0.0.1:%PORT%; server_name www.example.com; return 200 exact; }
    server { listen 127.0.0.1:%PORT%; server_name ~^(?<name>[a-z]+)\\.example\\.com$; return 200 "regex $name $1"; }
    server { listen 127.0.0.1:%PORT%; server_name ~^never\\.example\\.com$; return 200 "second regex"; }
    server { listen 127.0.0.1:%PORT%; server_name many.example.org many2.example.org; return 200 $server_name; }
    server { listen 127.0.0.1:%PORT%; server_name *.wc.example.com; return 200 leading; }
    server { listen 127.0.0.1:%PORT%; server_name *.pref.wc.example.com; return 200 "longer leading"; }
    server { listen 127.0.0.1:%PORT%; server_name wc2.example.*; return 200 trailing; }
    server { listen 127.0.0.1:%PORT%; server_name wc2.example.com.*; return 200 "longer trailing"; }
    server { listen 127.0.0.1:%PORT%; server_name .dot.example.com; return 200 "dot $server_name"; }`,
  requests: [
    ['GET /', '200 default', [['Host', 'xxx']]],
    ['GET /', '200 default', [['Host', 'localhost']]],
    ['GET /', '200 exact', [['Host', 'www.example.com']]],
    ['GET /', '200 regex blah blah', [['Host', 'blah.example.com']]],
    ['GET /', '200 regex never never', [['Host', 'never.example.com']]],
    ['GET /', '200 many.example.org', [['Host', 'many2.example.org']]],
    ['GET /', '200 leading', [['Host', 'www.wc.example.com']]],
    ['GET /', '200 leading', [['Host', 'a.b.wc.example.com']]],
    ['GET /', '200 longer leading', [['Host', 'www.pref.wc.example.com']]],
    ['GET /', '200 leading', [['Host', 'pref.wc.example.com']]],
    ['GET /', '200 regex wc wc', [['Host', 'wc.example.com']]],
    ['GET /', '200 trailing', [['Host', 'wc2.example.net']]],
    ['GET /', '200 longer trailing', [['Host', 'wc2.example.com.pref']]],
    ['GET /', '200 trailing', [['Host', 'wc2.example.com']]],
    ['GET /', '200 dot dot.example.com', [['Host', 'www.dot.example.com']]],
    ['GET /', '200 dot dot.example.com', [['Host', 'dot.example.com']]],
  ],
}

const MAPS: RouteCases = {
  name: 'map and split_clients',
  config: `
    map $args $x { default 0; foo bar; FOO2 "b a r"; "" empty; }
    map $args $y {
      hostnames;
      default 0;
      example.com foo;
      example.* right-wildcard;
      *.example.com left-wildcard;
      .dot.example.com special-wildcard;
      ~^REGEX.EXAMPLE\\.ORG$ regex-sensitive;
      ~*^www.regex.example\\.org$ regex-insensitive;
      ~^cap(?<named>.*)-(.*) "$named/$2";
      \\include include;
      server $server_name;
      var <$z>;
    }
    map $args $z { default 0; var baz; ~^cycle cycle; }
    map $args $nodefault { foo bar; }
    map "$arg_a-$arg_b" $pair { default none; 1-2 hit; }
    map $uri $cached { /1 one; /2 two; }
    map $uri $volatile { volatile; /1 one; /2 two; }
    split_clients $arg_k $split { 51.2% one; 10% two; * three; }
    split_clients $arg_k $half { 50% one; }
    server {
      listen 127.0.0.1:%PORT%;
      server_name localhost;
      location / { return 200 "x:$x y:$y z:$z n:$nodefault"; }
      location /pair { return 200 $pair; }
      location = /1 { set $first "$cached $volatile"; rewrite ^ /2 last; }
      location = /2 { return 200 "$first $cached $volatile"; }
      location /set { set $x given; return 200 $x; }
      location /split { return 200 "$split $half"; }
    }`,
  requests: [
    ['GET /?1', '200 x:0 y:0 z:0 n:'],
    ['GET /?foo', '200 x:bar y:0 z:0 n:bar'],
    ['GET /?FOO', '200 x:bar y:0 z:0 n:bar'],
    ['GET /?foo2', '200 x:b a r y:0 z:0 n:'],
    ['GET /', '200 x:empty y:0 z:0 n:'],
    ['GET /?example.com', '200 x:0 y:foo z:0 n:'],
    ['GET /?EXAMPLE.COM', '200 x:0 y:foo z:0 n:'],
    ['GET /?example.com.', '200 x:0 y:foo z:0 n:'],
    ['GET /?example.org', '200 x:0 y:right-wildcard z:0 n:'],
    ['GET /?foo.example.com', '200 x:0 y:left-wildcard z:0 n:'],
    ['GET /?foo.example.com.', '200 x:0 y:left-wildcard z:0 n:'],
    ['GET /?dot.example.com', '200 x:0 y:special-wildcard z:0 n:'],
    ['GET /?www.dot.example.com', '200 x:0 y:special-wildcard z:0 n:'],
    ['GET /?REGEX.EXAMPLE.ORG', '200 x:0 y:regex-sensitive z:0 n:'],
    ['GET /?regex.example.org', '200 x:0 y:0 z:0 n:'],
    ['GET /?WWW.REGEX.EXAMPLE.ORG', '200 x:0 y:regex-insensitive z:0 n:'],
    ['GET /?cap1-2', '200 x:0 y:1/2 z:0 n:'],
    ['GET /?include', '200 x:0 y:include z:0 n:'],
    ['GET /?server', '200 x:0 y:localhost z:0 n:'],
    ['GET /?var', '200 x:0 y:<baz> z:baz n:'],
    ['GET /pair?a=1&b=2', '200 hit'],
    ['GET /pair?a=1&b=3', '200 none'],
    ['GET /1', '200 one one one two'],
    ['GET /set?foo', '200 given'],
    ['GET /split?k=a', '200 two '],
    ['GET /split?k=ab', '200 one one'],
    ['GET /split?k=userId=42', '200 three '],
    ['GET /split', '200 one one'],
  ],
}

const VARIABLES: RouteCases = {
  name: 'variables',
  config: `
    geo $arg_ip $geo { default none; 127.0.0.0/8 loopback; 192.0.2.0/24 test; 192.0.2.128/25 upper; 2001:db8::/32 v6; }
    geo $by_client { default none; 127.0.0.1 me; }
    geo $forwarded { default none; proxy 127.0.0.1; 127.0.0.0/8 loopback; 192.0.2.0/24 test; }
    geo $recursive { default none; proxy_recursive; proxy 127.0.0.1; 127.0.0.0/8 loopback; 192.0.2.0/24 test; }
    server {
      listen 127.0.0.1:%PORT%;
      server_name localhost;
      location /arg { return 200 "$arg_userId|$arg_a|$arg_"; }
      location /is { return 200 "$is_args$args"; }
      location /uri { return 200 "$uri $request_uri $document_uri"; }
      location /cookie { return 200 "$cookie_id|$http_cookie"; }
      location /field { return 200 "$http_x_multi|$http_user_agent|$http_host"; }
      location /user { return 200 "$remote_user"; }
      location /request { return 200 "$request_method $scheme $host $server_name $server_protocol $request"; }
      location /forwarded { return 200 "$proxy_add_x_forwarded_for"; }
      location /none { return 200 "[$upstream_addr$upstream_status$proxy_host$sent_http_x$arg_x$cookie_x$http_x]"; }
      location /geo { return 200 "$geo $by_client"; }
      location /xff { return 200 "$forwarded $recursive"; }
      location /realpath { root /usr/../usr; return 200 "$document_root $realpath_root $request_filename"; }
      location /body { return 200 "$content_length|$content_type|$request_body"; }
    }
    server {
      listen 127.0.0.1:%PORT%;
      server_name real;
      set_real_ip_from 127.0.0.1;
      set_real_ip_from 10.0.1.0/24;
      real_ip_header X-Forwarded-For;
      real_ip_recursive on;
      return 200 "$remote_addr $realip_remote_addr";
    }
    server {
      listen 127.0.0.1:%PORT%;
      server_name once;
      set_real_ip_from 127.0.0.0/8;
      real_ip_header X-Forwarded-For;
      return 200 "$remote_addr $remote_port";
    }
    server {
      listen 127.0.0.1:%PORT%;
      server_name header;
      set_real_ip_from 127.0.0.1;
      return 200 "$remote_addr";
    }`,
  requests: [
    ['GET /arg?userId=7', '200 7||'],
    ['GET /arg?USERID=7&a=b', '200 7|b|'],
    ['GET /arg?xuserId=1&userId=2', '200 2||'],
    ['GET /arg?userId&userId=2', '200 2||'],
    ['GET /arg?userId=1&userId=2', '200 1||'],
    ['GET /arg?userId=a%20b+c&a=', '200 a%20b+c||'],
    ['GET /arg?userId=a=b', '200 a=b||'],
    ['GET /arg?userId=', '200 ||'],
    ['GET /arg?userId', '200 ||'],
    ['GET /arg?a=userId=1', '200 |userId=1|'],
    ['GET /arg?&&a=1', '200 |1|'],
    ['GET /arg?=1', '200 ||'],
    ['GET /is?', '200 '],
    ['GET /is?x', '200 ?x'],
    ['GET /uri/./a%20b//c?x', '200 /uri/a b/c /uri/./a%20b//c?x /uri/a b/c'],
    ['GET /cookie', '200 1|id=1; other=2', [['Cookie', 'id=1; other=2']]],
    ['GET /cookie', '200 2|xid=1; ID=2', [['Cookie', 'xid=1; ID=2']]],
    ['GET /cookie', '200 a=b |x;id = a=b ;id=2', [['Cookie', 'x;id = a=b ;id=2']]],
    ['GET /cookie', '200 |idx=1; i', [['Cookie', 'idx=1; i']]],
    [
      'GET /field',
      '200 1|me|localhost',
      [
        ['X-Multi', '1'],
        ['User-Agent', 'me'],
      ],
    ],
    ['GET /user', '200 bob', [['Authorization', 'Basic Ym9iOnNlY3JldA==']]],
    ['GET /user', '200 bob', [['Authorization', 'basic   Ym9iOnNlY3JldA==']]],
    ['GET /user', '200 ', [['Authorization', 'Basic bm9jb2xvbg==']]],
    ['GET /user', '200 ', [['Authorization', 'Basic !!!']]],
    ['GET /user', '200 ', [['Authorization', 'Bearer Ym9iOnNlY3JldA==']]],
    ['GET /request?x', '200 GET http localhost localhost HTTP/1.1 GET /request?x HTTP/1.1'],
    ['GET /forwarded', '200 127.0.0.1'],
    ['GET /forwarded', '200 1.2.3.4, 127.0.0.1', [['X-Forwarded-For', '1.2.3.4']]],
    ['GET /none', '200 []'],
    ['GET /geo?ip=192.0.2.1', '200 test me'],
    ['GET /geo?ip=192.0.2.200', '200 upper me'],
    ['GET /geo?ip=127.9.9.9', '200 loopback me'],
    ['GET /geo?ip=10.0.0.1', '200 none me'],
    ['GET /geo?ip=2001:db8:1::5', '200 v6 me'],
    ['GET /geo?ip=::ffff:192.0.2.1', '200 test me'],
    ['GET /geo?ip=x', '200 none me'],
    ['GET /geo', '200 none me'],
    ['GET /xff', '200 test test', [['X-Forwarded-For', '192.0.2.1']]],
    ['GET /xff', '200 loopback test', [['X-Forwarded-For', '192.0.2.1, 127.0.0.1']]],
    ['GET /xff', '200 none none', [['X-Forwarded-For', '10.0.0.1']]],
    ['GET /xff', '200 loopback loopback', [['X-Forwarded-For', 'nobody']]],
    ['GET /realpath/x', '200 /usr/../usr /usr /usr/../usr/realpath/x'],
    ['GET /body', '200 ||'],
    [
      'GET /',
      '200 192.0.2.1 127.0.0.1',
      [
        ['Host', 'real'],
        ['X-Forwarded-For', '10.0.1.1, 192.0.2.1, 127.0.0.1'],
      ],
    ],
    [
      'GET /',
      '200 192.0.2.1 127.0.0.1',
      [
        ['Host', 'real'],
        ['X-Forwarded-For', '10.0.1.1'],
        ['X-Forwarded-For', '192.0.2.1'],
        ['X-Forwarded-For', '127.0.0.1'],
      ],
    ],
    [
      'GET /',
      '200 10.0.1.1 127.0.0.1',
      [
        ['Host', 'real'],
        ['X-Forwarded-For', '10.0.1.1'],
      ],
    ],
    [
      'GET /',
      '200 10.0.1.9 127.0.0.1',
      [
        ['Host', 'real'],
        ['X-Forwarded-For', 'bogus, 10.0.1.9'],
      ],
    ],
    [
      'GET /',
      '200 127.0.0.1 127.0.0.1',
      [
        ['Host', 'real'],
        ['X-Forwarded-For', 'bogus'],
      ],
    ],
    [
      'GET /',
      '200 1.2.3.4 99',
      [
        ['Host', 'once'],
        ['X-Forwarded-For', '9.9.9.9, 1.2.3.4:99'],
      ],
    ],
    [
      'GET /',
      '200 127.0.0.1 ',
      [
        ['Host', 'once'],
        ['X-Forwarded-For', '1.1.1.1, 127.0.0.1'],
      ],
    ],
    [
      'GET /',
      '200 2001:db8::1 80',
      [
        ['Host', 'once'],
        ['X-Forwarded-For', '[2001:DB8:0::1]:80'],
      ],
    ],
    [
      'GET /',
      '200 2001:db8::1 ',
      [
        ['Host', 'once'],
        ['X-Forwarded-For', '2001:db8::1 , ,'],
      ],
    ],
    [
      'GET /',
      '200 192.0.2.1',
      [
        ['Host', 'header'],
        ['X-Real-IP', '192.0.2.1'],
      ],
    ],
  ],
}

export const ROUTE_CASES: readonly RouteCases[] = [
  REWRITE,
  RETURN,
  SERVER_RULES,
  IF,
  LOCATIONS,
  SERVERS,
  MAPS,
  VARIABLES,
]
