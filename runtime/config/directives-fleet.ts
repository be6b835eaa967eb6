/** Rows of machines that share their scripts: `script_fleet`, and the key that versions are signed with. */
import { type Directive, HTTP, invalidParameter, parseFlag } from './directive.ts'
import type { Word } from './lexer.ts'
import type { ScriptFleetModel } from './model.ts'
import { decodeBytes } from './problems.ts'
import type { Call, Draft } from './scope.ts'

export const FLEET_DIRECTIVES: readonly Directive[] = [
  { name: 'script_fleet', in: HTTP, args: '1-3', once: true, parse: parseFleet },
  { name: 'script_sign_key', in: HTTP, args: '1', once: true, parse: parseSignKey },
]

/** What a machine may be called. */
export const MACHINE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** `script_fleet on|off [name=MACHINE] [state=FILE];` */
function parseFleet(call: Call): void {
  const { where } = call
  const [flag, ...words] = call.args as [Word, ...Word[]]
  const on = parseFlag(call, flag)
  if (on === null) return
  const fleet: Draft<ScriptFleetModel> = { where, on, name: null, state: null }
  for (const word of words) readWord(call, word, fleet)
  call.run.http!.scriptFleet = fleet
}

function readWord(call: Call, word: Word, fleet: Draft<ScriptFleetModel>): void {
  const [, name, value = ''] = /^([a-z]+)=(.+)$/s.exec(word.text) ?? []
  if (name === 'state') fleet.state = decodeBytes(call.run.prefixed(value))
  else if (name !== 'name') invalidParameter(call, word, '"name=MACHINE" or "state=FILE"')
  else if (MACHINE_NAME.test(value)) fleet.name = value
  else invalidParameter(call, word, 'at most 64 letters, digits, ".", "_" and "-", such as "name=edge-1"')
}

/** `script_sign_key FILE;` Whether it holds a key is seen when it is read. */
function parseSignKey({ run, args, where }: Call): void {
  run.http!.scriptSignKey = { where, file: decodeBytes(run.besideConfig(args[0]!.text)) }
}
