/** The command line of `sluice try`. Knows what was asked for, nothing of how it is answered. */
import { isIP } from 'node:net'
import { parseArgs } from 'node:util'
import { encodeBytes } from '../config/problems.ts'
import { ArgumentError } from './arguments.ts'

export interface TryArguments {
  readonly config: string
  readonly prefix: string | null
  readonly request: DryRequest
  /** Address that the request comes in on: `8080`, `127.0.0.1:8080`, `unix:/path`; null: the port of its Host, else the first. */
  readonly at: string | null
  /** null: one request. */
  readonly vary: { readonly name: string; readonly count: number } | null
}

/** A request as it would come over the wire; byte strings. */
export interface DryRequest {
  readonly method: string
  readonly target: string
  readonly version: '1.0' | '1.1'
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: string | null
  /** The client's address. */
  readonly from: string
}

export const TRY_HELP = `Usage: sluice try -c FILE [-p PREFIX] 'GET /path?key=1' [options]

Tells where a request would go and why, without sending anything.

  -H 'Name: value'     : a request header; may be given several times
  -d data              : a request body; a form unless a Content-Type is given
  --from address       : the client's address (default: 127.0.0.1)
  --at address         : the listening address or port that the request comes in on
                         (default: the port of its Host, else the first one)
  -n count --vary name : also the distribution of that many requests with name=1, name=2, ...
`

const MAX_COUNT = 1_000_000
const REQUEST = /^(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+) +)?([^\s\x7f]+)(?: +HTTP\/(1\.[01]))?$/
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([^\x00-\x08\x0a-\x1f\x7f]*)$/

/** @returns null when help was asked for. @throws ArgumentError with a sentence for the user. */
export function parseTryArguments(args: readonly string[]): TryArguments | null {
  const { values, positionals } = parse(args)
  if (values.help) return null
  return {
    config: values.config ?? 'sluice.conf',
    prefix: values.prefix ?? null,
    request: readRequestLine(positionals.join(' '), values),
    at: values.at ?? null,
    vary: readVary(values.count, values.vary),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        prefix: { type: 'string', short: 'p' },
        header: { type: 'string', short: 'H', multiple: true },
        data: { type: 'string', short: 'd' },
        count: { type: 'string', short: 'n' },
        vary: { type: 'string' },
        from: { type: 'string' },
        at: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new ArgumentError(`try: ${(error as Error).message}`)
  }
}

function readRequestLine(
  text: string,
  values: { header?: string[]; data?: string; from?: string },
): DryRequest {
  const match = REQUEST.exec(text)
  if (match === null) {
    const found = text === '' ? 'no request given' : `${JSON.stringify(text)} is not a request`
    throw new ArgumentError(`try: ${found}; write it as 'GET /path?key=1'`)
  }
  const [, method = values.data === undefined ? 'GET' : 'POST', target, version = '1.1'] = match
  const from = values.from ?? '127.0.0.1'
  if (isIP(from) === 0)
    throw new ArgumentError(`try: "--from ${from}" is not an address; write one like 203.0.113.7`)
  return {
    method,
    target: encodeBytes(target),
    version: version as '1.0' | '1.1',
    fields: (values.header ?? []).map(readField),
    body: values.data === undefined ? null : encodeBytes(values.data),
    from,
  }
}

function readField(text: string): [string, string] {
  const match = FIELD.exec(encodeBytes(text))
  if (match === null)
    throw new ArgumentError(`try: ${JSON.stringify(text)} is not a header; write it as 'Name: value'`)
  const [, name, value] = match
  if (/^(?:content-length|transfer-encoding)$/i.test(name)) {
    throw new ArgumentError(`try: ${name} follows from the body; give the body with -d`)
  }
  return [name, value]
}

function readVary(count: string | undefined, name: string | undefined): TryArguments['vary'] {
  if (count === undefined && name === undefined) return null
  if (name === undefined)
    throw new ArgumentError('try: -n needs the argument that differs: -n 1000 --vary userId')
  if (!/^[A-Za-z0-9_]+$/.test(name)) {
    throw new ArgumentError(`try: "--vary ${name}" cannot be the name of a variable $arg_NAME`)
  }
  const number = Number(count ?? 1000)
  if (!Number.isInteger(number) || number < 1 || number > MAX_COUNT) {
    throw new ArgumentError(`try: "-n ${count}" is not a number from 1 to ${MAX_COUNT}`)
  }
  return { name, count: number }
}

/** The same request with this argument: replaced where it stands in the query, else added. */
export function withArgument(request: DryRequest, name: string, value: string): DryRequest {
  const question = request.target.indexOf('?')
  const path = question < 0 ? request.target : request.target.slice(0, question)
  const args =
    question < 0 || question === request.target.length - 1
      ? []
      : request.target.slice(question + 1).split('&')
  // As $arg_NAME finds it: the first one, in any case.
  const at = args.findIndex((arg) => arg.toLowerCase().startsWith(`${name.toLowerCase()}=`))
  if (at < 0) args.push(`${name}=${value}`)
  else args[at] = `${name}=${value}`
  return { ...request, target: `${path}?${args.join('&')}` }
}
