/** The command line of `sluice try`. Knows what was asked for, nothing of how it is answered. */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { parseArgs } from 'node:util'
import { encodeBytes } from '../config/problems.ts'
import { ArgumentError, describeOptionFault } from './arguments.ts'

export interface TryArguments {
  readonly config: string
  readonly prefix: string | null
  readonly request: DryRequest
  /** Address that the request comes in on: `8080`, `127.0.0.1:8080`, `unix:/path`; null: the port of its Host, else the first. */
  readonly at: string | null
  /** JSON instead of a report. */
  readonly json: boolean
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
  /** What the upstream is taken to answer; null: the dry run ends at its door. */
  readonly response: DryResponse | null
}

/** An upstream's response; byte strings. */
export interface DryResponse {
  readonly status: number
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: string
}

export const TRY_HELP = `Usage: sluice try -c FILE [-p PREFIX] 'GET /path?key=1' [options]

Tells where a request would go and why, without sending it. What hooks fetch is fetched all the same.

  -H 'Name: value'     : a request header; may be given several times
  -d data              : a request body, or @file; a form unless a Content-Type is given
  --response-status n, --response-header 'Name: value', --response-body data
                       : what the upstream is taken to answer, for the hooks that see it
  --from address       : the client's address (default: 127.0.0.1)
  --at address         : the listening address or port that the request comes in on
                         (default: the port of its Host, else the first one)
  --json               : the same for programs
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
    json: values.json ?? false,
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
        'response-status': { type: 'string' },
        'response-header': { type: 'string', multiple: true },
        'response-body': { type: 'string' },
        at: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new ArgumentError(`try: ${describeOptionFault(error, 'try')}`)
  }
}

interface RequestOptions {
  readonly header?: string[]
  readonly data?: string
  readonly from?: string
  readonly 'response-status'?: string
  readonly 'response-header'?: string[]
  readonly 'response-body'?: string
}

function readRequestLine(text: string, values: RequestOptions): DryRequest {
  const match = REQUEST.exec(text)
  if (match === null || !isTarget(match)) {
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
    body: values.data === undefined ? null : readBody(values.data),
    from,
    response: readResponse(values),
  }
}

/** A path, an absolute URI, or what OPTIONS and CONNECT have in their place (RFC 9112, 3.2). */
function isTarget([, method, target]: RegExpExecArray): boolean {
  return method === 'CONNECT' || /^(?:\/|\*$|[a-z][a-z0-9+.-]*:\/\/)/i.test(target)
}

function readResponse(values: RequestOptions): DryResponse | null {
  const { 'response-status': status, 'response-header': fields, 'response-body': body } = values
  if (status === undefined && fields === undefined && body === undefined) return null
  if (status !== undefined && !/^[2-9]\d\d$/.test(status))
    throw new ArgumentError(`try: "--response-status ${status}" is not a number from 200 to 999`)
  return {
    status: Number(status ?? 200),
    fields: (fields ?? []).map(readField),
    body: body === undefined ? '' : readBody(body),
  }
}

/** Text as it is, or the bytes of `@file`. */
function readBody(data: string): string {
  if (!data.startsWith('@')) return encodeBytes(data)
  try {
    return readFileSync(data.slice(1), 'latin1')
  } catch (error) {
    throw new ArgumentError(`try: cannot read "${data.slice(1)}": ${(error as Error).message}`)
  }
}

function readField(text: string): [string, string] {
  const match = FIELD.exec(encodeBytes(text))
  if (match === null)
    throw new ArgumentError(`try: ${JSON.stringify(text)} is not a header; write it as 'Name: value'`)
  const [, name, value] = match
  if (/^(?:content-length|transfer-encoding)$/i.test(name)) {
    throw new ArgumentError(`try: ${name} follows from the body; give the body with -d or --response-body`)
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
