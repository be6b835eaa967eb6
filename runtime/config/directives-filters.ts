/** Rows of the modules that work on a response's body, gzip, ssi, sub, addition, and of mirror. */
import {
  append,
  choice,
  type Directive,
  flag,
  HTTP_IF,
  HTTP_LOCATION,
  invalidValue,
  readChoice,
  readCount,
  size,
} from './directive.ts'
import type { Word } from './lexer.ts'
import { GZIP_PROXIED_CASES } from './model.ts'
import type { Call } from './scope.ts'

export const FILTER_DIRECTIVES: readonly Directive[] = [
  flag('gzip', HTTP_IF, 'gzip'),
  { name: 'gzip_types', in: HTTP_LOCATION, args: '1+', parse: typesOf('gzipTypes') },
  size('gzip_min_length', HTTP_LOCATION, 'gzipMinLength'),
  { name: 'gzip_comp_level', in: HTTP_LOCATION, args: '1', once: true, parse: parseGzipLevel },
  choice('gzip_http_version', HTTP_LOCATION, 'gzipHttpVersion', ['1.0', '1.1']),
  { name: 'gzip_proxied', in: HTTP_LOCATION, args: '1+', parse: parseGzipProxied },
  flag('gzip_vary', HTTP_LOCATION, 'gzipVary'),
  { name: 'gzip_disable', in: HTTP_LOCATION, args: '1+', parse: parseGzipDisable },

  flag('ssi', HTTP_IF, 'ssi'),
  { name: 'ssi_types', in: HTTP_LOCATION, args: '1+', parse: typesOf('ssiTypes') },
  flag('ssi_silent_errors', HTTP_LOCATION, 'ssiSilentErrors'),
  size('ssi_value_length', HTTP_LOCATION, 'ssiValueLength'),
  flag('ssi_last_modified', HTTP_LOCATION, 'ssiLastModified'),

  { name: 'sub_filter', in: HTTP_LOCATION, args: '2', parse: parseSubFilter },
  { name: 'sub_filter_types', in: HTTP_LOCATION, args: '1+', parse: typesOf('subFilterTypes') },
  flag('sub_filter_once', HTTP_LOCATION, 'subFilterOnce'),
  flag('sub_filter_last_modified', HTTP_LOCATION, 'subFilterLastModified'),

  { name: 'add_before_body', in: HTTP_LOCATION, args: '1', once: true, parse: uriOf('addBeforeBody') },
  { name: 'add_after_body', in: HTTP_LOCATION, args: '1', once: true, parse: uriOf('addAfterBody') },
  { name: 'mirror', in: HTTP_LOCATION, args: '1', parse: parseMirror },
  flag('mirror_request_body', HTTP_LOCATION, 'mirrorRequestBody'),
  { name: 'addition_types', in: HTTP_LOCATION, args: '1+', parse: typesOf('additionTypes') },
]

/** Media types; `text/html` is always among them. */
function typesOf(key: 'gzipTypes' | 'ssiTypes' | 'subFilterTypes' | 'additionTypes'): (call: Call) => void {
  return (call) => {
    const types = call.args.map((word) => word.text.toLowerCase())
    const { settings } = call.scope
    settings[key] = [...new Set([...(settings[key] ?? ['text/html']), ...types])]
  }
}

function uriOf(key: 'addBeforeBody' | 'addAfterBody'): (call: Call) => void {
  return (call) => {
    const [word] = call.args
    if (word!.text !== '' && !word!.text.startsWith('/'))
      invalidValue(call, word!, 'a URI that begins with "/"')
    else call.scope.settings[key] = word!.text
  }
}

function parseMirror(call: Call): void {
  const [word] = call.args as [Word]
  const { settings } = call.scope
  const earlier = settings.mirrors
  if (word.text === 'off' && earlier === undefined) settings.mirrors = []
  else if (word.text !== 'off' && earlier?.length !== 0 && word.text.startsWith('/'))
    append(settings, 'mirrors', word.text)
  else invalidValue(call, word, 'URIs that begin with "/", or "off" alone')
}

function parseSubFilter(call: Call): void {
  const [text, replacement] = call.args as [Word, Word]
  if (text.text === '') {
    invalidValue(call, text, 'the string to replace')
    return
  }
  append(call.scope.settings, 'subFilters', {
    where: call.where,
    text: call.run.template(text),
    replacement: call.run.template(replacement),
  })
}

function parseGzipLevel(call: Call): void {
  const [word] = call.args
  const level = readCount(call, word!)
  if (level === null) return
  if (level < 1 || level > 9) {
    invalidValue(call, word!, 'a number from 1 to 9')
    return
  }
  call.scope.settings.gzipCompLevel = level
}

function parseGzipProxied(call: Call): void {
  const chosen = call.args.map((word) => readChoice(call, word, ['off', ...GZIP_PROXIED_CASES]))
  const { settings } = call.scope
  const cases = chosen.filter((name) => name !== null && name !== 'off')
  settings.gzipProxied = chosen.includes('off')
    ? []
    : [...new Set([...(settings.gzipProxied ?? []), ...cases])]
}

/** Patterns without regard to case; `msie6` is a word, `degradation` a part of nginx that is never built by default. */
function parseGzipDisable(call: Call): void {
  const { settings } = call.scope
  const patterns = call.args.map((word) =>
    word.text === 'msie6' ? ('msie6' as const) : call.run.pattern(word, word.text, true),
  )
  settings.gzipDisable = [...(settings.gzipDisable ?? []), ...patterns.filter((entry) => entry !== null)]
}
