import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { bytes, conversation } from './conversation.ts'

/** What the proxy understands of the bytes: `conversation`'s words. */
type Case = readonly [what: string, sent: string, understood: string]

/** A request with this line. */
const line = (text: string) => `${text}\r\nHost: a\r\n\r\n`
/** A request with these field lines, and two more so that what follows is seen too. */
const fields = (text: string) => `GET / HTTP/1.1\r\nHost: a\r\n${text}\r\nX-Last: 1\r\n\r\n`

const REQUEST_LINES: readonly Case[] = [
  ['a plain one', line('GET / HTTP/1.1'), 'GET /'],
  ['any upper-case method', line('PURGE / HTTP/1.1'), 'PURGE /'],
  ['dash and underscore in a method', line('M-SEARCH_X / HTTP/1.1'), 'M-SEARCH_X /'],
  ['lower case in a method', line('get / HTTP/1.1'), '400'],
  ['mixed case in a method', line('GeT / HTTP/1.1'), '400'],
  ['a digit in a method', line('GET2 / HTTP/1.1'), '400'],
  ['token characters nginx does not take in a method', line('G!T / HTTP/1.1'), '400'],
  ['quotes and brackets in a method', line('G=":<>(e),[T];?" / HTTP/1.1'), '400'],
  ['no method', line(' / HTTP/1.1'), '400'],
  ['a method and nothing else', line('GET'), '400'],
  ['no target', line('GET  HTTP/1.1'), '400'],
  ['two spaces before the target', line('GET  / HTTP/1.1'), '400'],
  ['two spaces before the version', line('GET /  HTTP/1.1'), '400'],
  ['a space behind the version', line('GET / HTTP/1.1 '), '400'],
  ['tabs for spaces', line('GET\t/\tHTTP/1.1'), '400'],
  ['a tab before the version', line('GET /\tHTTP/1.1'), '400'],
  ['a vertical tab for a space', line('GET\x0b/ HTTP/1.1'), '400'],
  ['a space in the target', line('GET /a b HTTP/1.1'), '400'],
  ['a NUL in the target', line('GET /a\0b HTTP/1.1'), '400'],
  ['a DEL in the target', line('GET /a\x7fb HTTP/1.1'), '400'],
  ['a bare CR in the target', line('GET /a\rb HTTP/1.1'), '400'],
  ['a bare CR behind the version', 'GET / HTTP/1.1\rHost: a\r\n\r\n', '400'],
  ['two CRs', 'GET / HTTP/1.1\r\r\nHost: a\r\n\r\n', '400'],
  ['octets above 0x7f in the target', line('GET /\xce\xb4 HTTP/1.1'), 'GET /\xce\xb4'],
  ['quotes in the target', line('GET /"x" HTTP/1.1'), 'GET /"x"'],
  ['a target without a slash', line('GET index.html HTTP/1.1'), '400'],
  ['an asterisk', line('OPTIONS * HTTP/1.1'), '400'],
  ['an exclamation mark for a target', line('GET ! HTTP/1.1'), '400'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '400'],
  ['a bad escape', line('GET /%zz HTTP/1.1'), '400'],
  ['an escape cut off', line('GET /%a HTTP/1.1'), '400'],
  ['an escaped NUL', line('GET /%00 HTTP/1.1'), '400'],
  ['a way out of the root', line('GET /../etc/passwd HTTP/1.1'), '400'],
  ['an encoded way out of the root', line('GET /a/%2e%2e/%2E%2e/etc HTTP/1.1'), '400'],
  ['a way out with encoded slashes', line('GET /a%2f..%2f..%2fetc HTTP/1.1'), '400'],
  ['absolute form', line('GET http://b/x HTTP/1.1'), 'GET http://b/x'],
  ['absolute form with user name', line('GET http://u@b/ HTTP/1.1'), '400'],
  ['absolute form without authority', line('GET http:///x HTTP/1.1'), '400'],
  ['absolute form with one slash', line('GET http:/b/x HTTP/1.1'), '400'],
  ['absolute form with a bad port', line('GET http://b:99999/ HTTP/1.1'), '400'],
  ['absolute form ending in a fragment', line('GET http://b#x HTTP/1.1'), '400'],
  ['CONNECT', line('CONNECT b:443 HTTP/1.1'), '405'],
  ['CONNECT to an address in brackets', line('CONNECT [::1]:443 HTTP/1.1'), '405'],
  ['CONNECT without a port', line('CONNECT b HTTP/1.1'), '400'],
  ['CONNECT with a path', line('CONNECT / HTTP/1.1'), '400'],
  ['TRACE', line('TRACE / HTTP/1.1'), '405'],
  ['a higher minor version', line('GET / HTTP/1.7'), 'GET /'],
  ['a minor version of two digits', line('GET / HTTP/1.32'), '400'],
  ['major version 2', line('GET / HTTP/2.0'), '505'],
  ['major version 9', line('GET / HTTP/9.9'), '505'],
  ['major version 11', line('GET / HTTP/11.1'), '505'],
  ['a number that would overflow', line('GET / HTTP/4294967297.1'), '505'],
  ['major version 0', line('GET / HTTP/0.9'), '400'],
  ['a version cut off', line('GET / HTTP/1.'), '400'],
  ['a version without dot', line('GET / HTTP/1'), '400'],
  ['a comma in the version', line('GET / HTTP/1,1'), '400'],
  ['lower case in the version', line('GET / http/1.1'), '400'],
  ['CRs in the version', line('GET / HTTP/\r\r1.1'), '400'],
  ['another protocol', line('GET / RTSP/1.0'), '400'],
  ['another protocol of four letters', line('GET / HTTX/1.1'), '400'],
  ['text behind the version', line('GET / HTTP/1.1x'), '400'],
  ['HTTP/0.9', 'GET /\r\n', 'GET /'],
  ['HTTP/0.9 with another method', 'POST /\r\n', '400'],
  ['HTTP/0.9 with a space at the end', 'GET / \r\n', '400'],
  ['an LF before the version', 'GET /\nHTTP/1.1\r\nHost: a\r\n\r\n', 'GET /'],
  ['a space before the method', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
  ['a bare CR before the method', '\rGET / HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
  ['empty lines before the method', '\r\n\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n', 'GET /'],
  ['a byte order mark', '\xef\xbb\xbfGET / HTTP/1.1\r\nHost: a\r\n\r\n', '400'],
  ['a response', 'HTTP/1.1 200 OK\r\n\r\n', '400'],
  ['a TLS greeting', '\x16\x03\x01\x00\xa5\x01', '400'],
]

const FIELDS: readonly Case[] = [
  ['an empty value', fields('X:'), 'GET /'],
  ['only white space for a value', fields('X: \t '), 'GET /'],
  ['tabs around a value', fields('X:\ty\t'), 'GET /'],
  ['octets above 0x7f in a value', fields('X: D\xfcsseldorf'), 'GET /'],
  ['no colon', fields('X'), '400'],
  ['no name', fields(': y'), '400'],
  ['a colon and nothing else', fields(':'), '400'],
  ['a space before the colon', fields('X : y'), '400'],
  ['a tab before the colon', fields('X\t: y'), '400'],
  ['a space in a name', fields('X Y: z'), '400'],
  ['a NUL in a name', fields('X\0Y: z'), '400'],
  ['a DEL in a name', fields('X\x7fY: z'), '400'],
  ['a CR in a name', fields('X\rY: z'), '400'],
  ['a space before a name (folding)', fields('X: y\r\n z'), '400'],
  ['a tab before a name (folding)', fields('X: y\r\n\tz'), '400'],
  ['folding in the first field', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', '400'],
  ['folding with a lone LF', fields('X: y\n z'), '400'],
  ['a line of white space', fields('X: y\r\n '), '400'],
  ['a NUL in a value', fields('X: y\0z'), '400'],
  ['a bell in a value', fields('X: y\x07z'), '400'],
  ['a form feed in a value', fields('X: \x0c'), '400'],
  ['an escape sequence in a value', fields('X: \x1b[31m'), '400'],
  ['a DEL in a value', fields('X: y\x7f'), '400'],
  ['a bare CR in a value', fields('X: y\rSmuggled: z'), '400'],
  ['a bare CR before a value', fields('X:\rTransfer-Encoding: chunked'), '400'],
  ['two CRs at the end of a line', fields('X: y\r'), '400'],
  ['NUL CR in a value', fields('X: v\0\ralue'), '400'],
  ['a lone LF between fields', fields('X: y\nZ: 1'), 'GET /'],
  ['a bare CR where the head should end', 'GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n', '400'],
  ['brackets in a name', fields('X(Y): z'), 'GET /'],
  ['octets above 0x7f in a name', fields('X\xe4: z'), 'GET /'],
  ['a quote at the start of a name', fields('"X": z'), 'GET /'],
  ['no Host in HTTP/1.1', 'GET / HTTP/1.1\r\n\r\n', '400'],
  ['a misspelt Host', 'GET / HTTP/1.1\r\nHots: a\r\n\r\n', '400'],
  ['no Host in HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', 'GET /'],
  ['two Hosts', fields('Host: a'), '400'],
  ['two Hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\nHOST: b\r\n\r\n', '400'],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost: \r\n\r\n', '400'],
  ['a Host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', '400'],
  ['a Host with a user name', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', '400'],
  ['a Host with a space', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', '400'],
  ['a list of Hosts', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n', '400'],
  ['a dropped name is not Host', 'GET / HTTP/1.1\r\n_Host: a\r\nHost\xa0: b\r\n\r\n', '400'],
]

for (const [what, sent, understood] of [...REQUEST_LINES, ...FIELDS]) {
  test(`${what}: ${understood}`, () => {
    assert.is(conversation(sent)[0], understood)
    // The same, however the bytes arrive.
    const single = [...sent].map((octet) => bytes(octet))
    assert.is(conversation(single)[0], understood, 'byte by byte')
  })
}

test.run()
