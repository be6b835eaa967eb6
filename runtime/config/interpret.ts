/**
 * Runs statements through the directive table: finds the row, checks place, block and number of arguments, calls the
 * row's function. Knows no directive by name; everything that is not in the table is named as what it is.
 */

import { bounds, type Directive, describeArity } from './directive.ts'
import { findDirective, knownNames } from './directive-table.ts'
import { NGINX_DIRECTIVES } from './nginx-names.ts'
import { orList } from './problems.ts'
import type { Statement } from './reader.ts'
import type { Call, Context, Run, Scope } from './scope.ts'

/** Directives of the documented interface that this version does not build. */
const UNBUILT: ReadonlySet<string> = new Set([
  'check',
  'check_http_expect_alive',
  'check_http_send',
  'check_keepalive_requests',
  'check_shm_size',
  'check_status',
  'stream',
  'tcp',
])

export function interpret(statements: readonly Statement[], scope: Scope): void {
  for (const statement of statements) interpretOne(statement, scope)
}

function interpretOne(statement: Statement, scope: Scope): void {
  const { run } = scope
  const call: Call = {
    scope,
    run,
    name: statement.name.text,
    where: statement.name.where,
    args: statement.args,
    block: statement.block ?? [],
  }
  const rows = findDirective(call.name)
  if (!rows) {
    nameUnknown(call, statement.block !== null)
    return
  }
  const row = rows.find((candidate) => candidate.in.includes(scope.context))
  const found = run.problems.list.length
  if (!row) run.error(call.where, describeMisplaced(call.name, scope.context, rows))
  else if (checkForm(call, statement, row)) row.parse(call)
  checkSemicolon(call, found)
}

function checkForm(call: Call, statement: Statement, row: Directive): boolean {
  const { run, name, where, scope } = call
  if (statement.block && !row.block) {
    run.error(statement.end, `"${name}" takes no block; write ";" at its end`)
    return false
  }
  if (row.block && !statement.block) {
    run.error(statement.end, `"${name}" needs a block; write "{ ... }" instead of ";"`)
    return false
  }
  if (!takes(row, call.args.length)) {
    run.error(where, `invalid number of arguments in "${name}"; ${describeArity(row.args)}`)
    return false
  }
  const before = scope.seen.get(name)
  if (!before) scope.seen.set(name, where)
  else if (row.once) {
    run.error(where, `"${name}" is duplicate; it stands in line ${before.line} already, remove one`)
    return false
  }
  return true
}

/**
 * A directive's name that begins a line among the arguments: the `;` before it was forgotten. Where that led to
 * problems, it is the one problem that stands for them; where it did not, it is worth a notice.
 */
function checkSemicolon(call: Call, found: number): void {
  const { run, args, name } = call
  for (const [i, word] of args.entries()) {
    const last = args[i - 1] ?? { where: call.where }
    const rows = word.where.line > last.where.line ? findDirective(word.text) : undefined
    if (!rows) continue
    if (run.problems.failedSince(found)) {
      run.problems.replaceSince(
        found,
        last.where,
        `";" is missing at the end of this line, before "${word.text}"`,
      )
    } else if (rows.some((row) => row.in.includes(call.scope.context) && takes(row, args.length - i - 1))) {
      run.notice(
        word.where,
        `"${word.text}" is an argument of "${name}" here; if it is not meant, write ";" before it`,
      )
    }
    return
  }
}

function takes(row: Directive, count: number): boolean {
  const [min, max] = bounds(row.args)
  return count >= min && count <= max
}

const PLACES: Readonly<Record<Context, string>> = {
  main: 'at the top level',
  events: 'in events',
  http: 'in http',
  server: 'in server',
  location: 'in location',
  'if in server': 'in "if" of a server',
  'if in location': 'in "if" of a location',
  limit_except: 'in limit_except',
  upstream: 'in upstream',
}

function describeMisplaced(name: string, context: Context, rows: readonly Directive[]): string {
  const allowed = [...new Set(rows.flatMap((row) => row.in))]
  if (allowed.length === 1 && allowed[0] === 'main') {
    return `"${name}" is not allowed here (${PLACES[context]}); write it at the top level`
  }
  const places = allowed.map((place) => (place === 'main' ? 'the top level' : place))
  return `"${name}" is not allowed here (${PLACES[context]}); write it inside ${orList(places)}`
}

function nameUnknown(call: Call, isBlock: boolean): void {
  const { run, name, where } = call
  const remove = (times: number) => `remove the ${isBlock ? 'block' : 'line'}${times > 1 ? 's' : ''}`
  const count = (times: number) => (times > 1 ? ` (${times} times)` : '')
  if (UNBUILT.has(name)) {
    run.notBuilt(call, (times) => `"${name}" is not built yet${count(times)}; ${remove(times)}`)
  } else if (NGINX_DIRECTIVES.has(name)) {
    run.notBuilt(
      call,
      (times) =>
        `"${name}" is an nginx directive that Sluice does not have yet${count(times)}; ${remove(times)}`,
    )
  } else if (/^lua_|_by_lua(_file|_block)?$/.test(name)) {
    run.error(
      where,
      `"${name}" is an OpenResty directive; write the hook in JavaScript and load it with "script FILE;"`,
    )
  } else if (/^js_[a-z]/.test(name)) {
    run.error(
      where,
      `"${name}" is an njs directive; write the hook as an export of a file and load it with "script FILE;"`,
    )
  } else {
    run.error(where, describeUnknown(run, name))
  }
}

function describeUnknown(run: Run, name: string): string {
  if (name.startsWith('if(')) return 'write a blank between "if" and "("'
  const meant = run.suggest(name, [knownNames(), UNBUILT, NGINX_DIRECTIVES])
  const shown = name.length > 64 ? `${name.slice(0, 64)}...` : name
  return `unknown directive "${shown}"; ${meant ? `did you mean "${meant}"?` : 'correct the name or remove the line'}`
}
