/** Rows of static files: where they lie, which are tried, and what type they have. */
import {
  append,
  choice,
  count,
  type Directive,
  flag,
  HTTP_IF,
  HTTP_LOCATION,
  invalidValue,
} from './directive.ts'
import type { Word } from './lexer.ts'
import type { Call } from './scope.ts'
import { parseCount } from './values.ts'

export const FILE_DIRECTIVES: readonly Directive[] = [
  { name: 'root', in: HTTP_IF, args: '1', once: true, parse: parseRoot },
  { name: 'alias', in: ['location'], args: '1', once: true, parse: parseAlias },
  { name: 'index', in: HTTP_LOCATION, args: '1+', parse: parseIndex },
  { name: 'try_files', in: ['server', 'location'], args: '2+', once: true, parse: parseTryFiles },
  { name: 'types', in: HTTP_LOCATION, args: 'none', block: true, parse: parseTypes },
  { name: 'default_type', in: HTTP_LOCATION, args: '1', once: true, parse: parseDefaultType },
  flag('etag', HTTP_LOCATION, 'etag'),
  choice('if_modified_since', HTTP_LOCATION, 'ifModifiedSince', ['off', 'exact', 'before']),
  count('max_ranges', HTTP_LOCATION, 'maxRanges'),
]

function parseRoot(call: Call): void {
  const [word] = call.args as [Word]
  if (call.scope.content.alias) {
    refuseBoth(call, 'alias')
    return
  }
  if (!namesNoRoot(call, word)) return
  const path = word.text.endsWith('/') ? word.text.slice(0, -1) : word.text
  call.scope.settings.root = call.run.template(word, call.run.prefixed(path))
}

function parseAlias(call: Call): void {
  const [word] = call.args as [Word]
  if (call.scope.settings.root) {
    refuseBoth(call, 'root')
    return
  }
  if (call.scope.match!.kind === 'named') {
    call.run.error(call.where, '"alias" cannot be used inside a named location; write "root"')
    return
  }
  if (namesNoRoot(call, word))
    call.scope.content.alias = call.run.template(word, call.run.prefixed(word.text))
}

function refuseBoth({ run, name, where }: Call, other: string): void {
  run.error(where, `"${name}" is duplicate, "${other}" stands in this block already; remove one`)
}

/** A root that is built from itself would never end. */
function namesNoRoot({ run, name }: Call, word: Word): boolean {
  const found = /\$\{?(document_root|realpath_root)\b/i.exec(word.text)
  if (found) run.error(word.where, `"$${found[1]}" cannot be used in "${name}"; write the path`)
  return !found
}

function parseIndex(call: Call): void {
  const { settings } = call.scope
  for (const [i, word] of call.args.entries()) {
    if (word.text === '') {
      invalidValue(call, word, 'a file name')
      continue
    }
    if (word.text.startsWith('/') && i < call.args.length - 1) {
      call.run.notice(
        word.where,
        'only the last index should be an absolute path; those behind it are never tried',
      )
    }
    append(settings, 'index', call.run.template(word))
  }
}

function parseTryFiles(call: Call): void {
  const { run, where, args } = call
  const last = args.at(-1)!
  const files = args.slice(0, -1).map((word) => run.template(word))
  if (!last.text.startsWith('=')) {
    call.scope.settings.tryFiles = { where, files, fallback: run.template(last), status: null }
    return
  }
  const status = parseCount(last.text.slice(1))
  if (status === null || status > 999) {
    invalidValue(call, last, 'a status, such as "=404"')
    return
  }
  call.scope.settings.tryFiles = { where, files, fallback: null, status }
}

function parseTypes(call: Call): void {
  const { run } = call
  const types = new Map(Object.entries(call.scope.settings.types ?? {}))
  for (const { name, args, block, end } of call.block) {
    if (block) run.error(end, 'unexpected "{" in "types"; write "TYPE EXTENSION ... ;"')
    else if (name.text === 'include')
      run.error(name.where, 'invalid number of arguments in "include"; it takes 1 argument')
    else for (const word of args) addType(call, types, word, name.text)
  }
  call.scope.settings.types = Object.fromEntries(types)
}

function addType({ run }: Call, types: Map<string, string>, word: Word, type: string): void {
  const extension = word.text.toLowerCase()
  const before = types.get(extension)
  if (before !== undefined) {
    run.notice(word.where, `duplicate extension "${extension}": "${type}" replaces "${before}"; remove one`)
  }
  types.set(extension, type)
}

function parseDefaultType(call: Call): void {
  call.scope.settings.defaultType = call.args[0]!.text
}
