// What is a command in a page, wherever the page is cut into pieces, and how much of one is held.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SsiParser } from '../../runtime/proxy/ssi-parser.ts'

/** Events as one line: text in quotes, commands as `name(a=b)`, `!` for an error. */
function read(pieces: readonly string[], valueLength = 255): { events: string; reports: string[] } {
  const reports: string[] = []
  const parser = new SsiParser(valueLength, (reason) => reports.push(reason))
  let events = ''
  let text = ''
  const flush = () => {
    if (text !== '') events += `"${text}" `
    text = ''
  }
  for (const piece of pieces) {
    parser.push(piece)
    for (let event = parser.next(); event !== null; event = parser.next()) {
      if (event.kind === 'text') {
        text += event.text
        continue
      }
      flush()
      events +=
        event.kind === 'error'
          ? '! '
          : `${event.name}(${event.params.map(({ name, value }) => `${name}=${value}`).join(' ')}) `
    }
  }
  text += parser.end()
  flush()
  return { events: events.trim(), reports }
}

const CASES: readonly [page: string, events: string][] = [
  ['plain', '"plain"'],
  ['a<!--#echo var="x" -->b', '"a" echo(var=x) "b"'],
  ['<!--# echo\r\n\tvar = \'x\' default="y"-->', 'echo(var=x default=y)'],
  ['<!--#endif-->', 'endif()'],
  ['<!--#if expr="$a = \\"b\\"" -->', 'if(expr=$a = \\"b\\")'],
  ["<!--#if expr='a\"b' -->", 'if(expr=a"b)'],
  ['<<!--<!-- # --><!-#--><!--#x-->', '"<<!--<!-- # --><!-#-->" x()'],
  ['a<!-', '"a<!-"'],
  ['a<!--#echo var="x', '"a"'],
  ['a<!--#echo var=x -->b', '"a" ! "b"'],
  ['a<!--#echo var -->b', '"a" ! "b"'],
  ['a<!--#echo var="x"y -->b', '"a" ! "b"'],
  ['a<!--#echo -x>-->b', '"a" ! "b"'],
]

for (const [page, events] of CASES) {
  test(`${JSON.stringify(page)} in any pieces`, () => {
    assert.is(read([page]).events, events)
    assert.is(read([...page]).events, events)
    for (let at = 1; at < page.length; at++)
      assert.is(read([page.slice(0, at), page.slice(at)]).events, events)
  })
}

test('names, values and parameters have limits; what is too long is an error up to its end', () => {
  const long = (count: number) => 'x'.repeat(count)
  assert.is(read([`<!--#${long(32)} -->`]).events, `${long(32)}()`)
  assert.is(read([`<!--#${long(33)} -->y`]).events, '! "y"')
  assert.is(read([`<!--#a ${long(32)}="" -->`]).events, `a(${long(32)}=)`)
  assert.is(read([`<!--#a ${long(33)}="" -->y`]).events, '! "y"')
  assert.is(read(['<!--#a b="1234" -->'], 4).events, 'a(b=1234)')
  assert.equal(read(['<!--#a b="12345" -->y'], 4), {
    events: '! "y"',
    reports: ['too long value of "b" parameter in "a" SSI command'],
  })
  const params = (count: number) => Array.from({ length: count }, () => 'p="1"').join(' ')
  assert.match(read([`<!--#a ${params(16)} -->`]).events, /^a\(/)
  assert.is(read([`<!--#a ${params(17)} -->y`]).events, '! "y"')
})

test('no more than a beginning is held of what may be a command', () => {
  const parser = new SsiParser(255, () => {})
  parser.push('text <!--')
  assert.equal(parser.next(), { kind: 'text', text: 'text ' })
  assert.is(parser.next(), null)
  assert.is(parser.pending, 4)
  parser.push(`#echo ${' '.repeat(100_000)}`)
  assert.is(parser.next(), null)
  assert.is(parser.pending, 0)
})

test.run()
