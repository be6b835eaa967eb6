// PCRE to JavaScript: what a translated pattern matches, and what is refused rather than mistranslated.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { translatePattern } from '../../runtime/config/pattern.ts'

const where = { file: 'f', line: 1, column: 1 }

function translate(source: string, caseless = false) {
  const pattern = translatePattern(source, caseless, where)
  if ('severity' in pattern) throw new Error(pattern.message)
  return pattern
}

/** What the pattern finds in a subject: the match and its captures, joined; null for no match. */
function find(source: string, subject: string, caseless = false): string | null {
  const { source: js, flags } = translate(source, caseless)
  return (
    new RegExp(js, flags)
      .exec(subject)
      ?.map((text) => text ?? '-')
      .join('|') ?? null
  )
}

function refusal(source: string): string {
  const pattern = translatePattern(source, false, where)
  return 'severity' in pattern
    ? pattern.message.replace(`invalid regular expression "${source}": `, '')
    : 'translated'
}

test('ordinary patterns stay as they are', () => {
  assert.is(translate('^/(api|v[0-9]+)/(.*)\\.php').source, '^/(api|v[0-9]+)/([^\\n]*)\\.php')
  assert.is(find('\\.(gif|jpe?g)$', '/a.jpeg'), '.jpeg|jpeg')
})

test('the end of the line is the end of the subject, a last line feed aside', () => {
  assert.is(find('a$', 'ba'), 'a')
  assert.is(find('a$', 'a\n'), 'a')
  assert.is(find('a$', 'a\nb'), null)
  assert.is(find('a\\z', 'a\n'), null)
  assert.is(find('a\\Z', 'a\n'), 'a')
  assert.is(find('\\Ab', 'ab'), null)
})

test('a dot matches every byte but a line feed', () => {
  assert.is(find('a.b', 'a\rb'), 'a\rb')
  assert.is(find('a.b', 'a\nb'), null)
  assert.is(find('(?s)a.b', 'a\nb'), 'a\nb')
})

test('names of groups are variables: lower case, in all of PCRE’s spellings', () => {
  const { source, names } = translate("(?<Year>\\d+)-(?P<month>\\d+)-(?'day'\\d+)")
  assert.is(source, '(?<year>\\d+)-(?<month>\\d+)-(?<day>\\d+)')
  assert.equal(names, ['year', 'month', 'day'])
  assert.is(find('(?<q>["\']).*?\\k<q>', `a"b'c"d`), `"b'c"|"`)
  assert.is(find('(?P<a>x)(?P=a)', 'xx'), 'xx|x')
})

test('options at the start become flags, options inside are written out', () => {
  assert.equal([translate('(?i)abc').source, translate('(?i)abc').flags], ['abc', 'i'])
  assert.equal([translate('abc', true).source, translate('abc', true).flags], ['abc', 'i'])
  assert.is(translate('a(?i)b1').source, 'a[Bb]1')
  assert.is(translate('a(?i:b)c').source, 'a(?:[Bb])c')
  assert.is(find('a(?-i:b)c', 'AbC', true), 'AbC')
  assert.is(find('a(?-i:b)c', 'ABC', true), null)
  assert.is(find('(?x) a \\  b # comment', 'a b'), 'a b')
  assert.is(find('(?m)^b$', 'a\nb\nc'), 'b')
  assert.is(find('(?U)a+', 'aaa'), 'a')
})

test('case is that of ASCII: bytes of UTF-8 text are not folded', () => {
  assert.is(find('\xc3\xa9', '\xe3\xa9', true), null)
  assert.is(find('\xc3\xa9X', '\xc3\xa9x', true), '\xc3\xa9x')
})

test('classes: POSIX names, brackets first, escapes, negation', () => {
  assert.is(find('[[:alpha:]]+', '12ab3'), 'ab')
  assert.is(find('[[:^digit:][:space:]]+', '1ab 2'), 'ab ')
  assert.is(find('[]a]+', 'x]a]'), ']a]')
  assert.is(find('[^]a]+', 'x]a'), 'x')
  assert.is(find('[a\\]\\d-]+', 'a]5-x'), 'a]5-')
  assert.is(find('[\\x41-\\x43]+', 'ABCD'), 'ABC')
  assert.is(find('[^a]', 'A', true), null)
  assert.is(find('[\\b]', '\b'), '\b')
})

test('escapes for bytes and kinds of bytes', () => {
  assert.is(find('\\h+', 'a \t\xa0b'), ' \t\xa0')
  assert.is(find('\\s', '\xa0'), null)
  assert.is(find('a\\Rb', 'a\r\nb'), 'a\r\nb')
  assert.is(find('\\x{2f}\\057\\o{57}\\e?', '///'), '///')
  assert.is(find('\\Qa.b*\\E+', 'a.b**'), 'a.b**')
  assert.is(find('www\\p{N}+', 'www12'), 'www12')
  assert.is(find('\\p{Lu}\\P{Lu}', 'aBc'), 'Bc')
  assert.is(find('(a)\\g{1}\\g{-1}', 'aaa'), 'aaa|a')
})

test('nothing is given back by possessive quantifiers and atomic groups', () => {
  assert.is(find('a++a', 'aaa'), null)
  assert.is(find('a*+b', 'aab'), 'aab')
  assert.is(find('a?+a', 'a'), null)
  assert.is(find('a{1,2}+a', 'aa'), null)
  assert.is(find('a{1,2}+a', 'aaa'), 'aaa')
  assert.is(find('(?>a+)b', 'aab'), 'aab')
  assert.is(find('(?>ab|a)bc', 'abc'), null)
  assert.is(find('(x)(?>ab|a)c', 'xabc'), 'xabc|x|ab')
  assert.is(find('(?:ab)++a', 'ababa'), 'ababa|abab')
})

test('quantifiers that JavaScript does not take', () => {
  assert.is(find('a{2}{2}', 'aaaa'), 'aaaa')
  assert.is(find('(?<=a)?b', 'b'), 'b')
  assert.is(find('a{,2}', 'a{,2}'), 'a{,2}')
  assert.is(find('a{x}', 'a{x}'), 'a{x}')
})

test('what JavaScript cannot say is refused, with advice', () => {
  assert.is(refusal('(a'), 'missing ")"; write "\\(" for the character')
  assert.is(refusal('a)'), 'unmatched ")"; write "\\)" for the character')
  assert.is(refusal('[a'), 'missing "]" behind "["; write "\\[" for the character')
  assert.is(refusal('*a'), 'nothing to repeat before "*"; write "\\*" for the character')
  assert.is(refusal('a**'), 'nothing to repeat before "*"; write "\\*" for the character')
  assert.is(refusal('a\\'), 'it ends in a single backslash; write "\\\\" for the character')
  assert.is(refusal('(?R)'), '"(?R)" is not supported (recursion, conditions and branch resets are not)')
  assert.is(refusal('(?|a)'), '"(?|a" is not supported (recursion, conditions and branch resets are not)')
  assert.is(refusal('(*UTF8)a'), 'verbs such as "(*UTF8)" are not supported; remove it')
  assert.is(refusal('a\\Kb'), '"\\K" is not supported')
  assert.is(refusal('\\x{100}'), 'a character above \\xff cannot occur; write the bytes of its UTF-8 form')
  assert.is(refusal('(?<a>b)(?<A>c)'), 'two groups are named "A"; names are case-insensitive')
  assert.is(refusal('\\k<a>'), 'the group "a" is not there or comes later')
  assert.is(refusal('\\2(a)'), 'group 2 is not there or comes later')
  assert.is(refusal('[b-a]'), 'a range in a class is out of order')
  assert.is(refusal('[[:no:]]'), 'unknown class "[:no:]"')
  assert.is(refusal('\\p{Nope}'), '"\\p{Nope}" is no property; write one such as "\\p{L}" or "\\p{Nd}"')
  assert.is(refusal('a{3,2}'), 'the numbers in "{3,2}" are out of order')
  assert.is(
    refusal('(?>ab|a)(c)'),
    'a capture cannot stand inside or behind "(?>…)" or a possessive group; put it in front',
  )
  assert.is(refusal('('.repeat(200)), 'groups are nested deeper than 100')
})

test.run()
