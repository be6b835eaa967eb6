/**
 * The commands' way to the admin API of a running proxy: where it is (`--admin`, or the `admin` line of the
 * configuration), the token, and one request at a time. Says what went wrong in a sentence.
 */
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { LocatedProblem } from '../admin/problem.ts'
import { readToken } from '../admin/token.ts'
import { ConfigError } from '../config/config-error.ts'
import type { AdminModel } from '../config/model.ts'
import { parseConfig } from '../config/parse.ts'
import type { Rollout } from '../fleet/fleet.ts'
import { type Answer, readAnswer, readProblem, type Shape } from './admin-answer.ts'
import { ArgumentError, describeOptionFault } from './arguments.ts'
import { refusalLines } from './rollout-text.ts'
import { makeStyle, type Style } from './style.ts'

/** Exit codes of the commands. */
export const Exit = { DONE: 0, REFUSED: 1, UNREACHABLE: 2 } as const

/** ms; a script may take its time to load. */
const TIMEOUT = 60_000
/** Bytes of an answer; a script's text, the longest of all, is up to 1 MiB. */
const MAX_ANSWER = 32 * 1024 * 1024

/** Nobody answers. */
export class UnreachableError extends Error {}

/** The proxy has said no. */
export class RefusedError extends Error {
  readonly problems: readonly LocatedProblem[]
  /** What became of it on each machine of a fleet; null: it was this one's alone. */
  readonly rollout: Rollout | null

  constructor(message: string, problems: readonly LocatedProblem[], rollout: Rollout | null = null) {
    super(message)
    this.problems = problems
    this.rollout = rollout
  }
}

/** What a command has to say, and whether it has done what was asked. */
export interface Told {
  readonly out: string
  readonly faults: string
  readonly code: number
}

/** Options of a command beside those that all have, as `parseArgs` takes them. */
export type OptionTypes = Readonly<Record<string, { readonly type: 'string' | 'boolean' }>>

const OPTIONS = {
  config: { type: 'string', short: 'c' },
  prefix: { type: 'string', short: 'p' },
  admin: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const

export const CLIENT_HELP = `
  -c, --config file    : configuration whose "admin" says where the proxy is (default: sluice.conf)
  -p, --prefix path    : prefix of relative paths (default: the working directory)
  --admin address      : where the proxy is: HOST:PORT, PORT or unix:PATH
  --json               : the answer as the API gives it
  SLUICE_TOKEN         : the token (default: the one of token_file)
`

/** A command line that talks to the API. */
export interface ClientCommand {
  readonly words: readonly string[]
  readonly json: boolean
  readonly help: boolean
  /** Those of the command itself that were given. */
  readonly options: Readonly<Record<string, string | boolean>>
  readonly client: AdminClient
  readonly style: Style
}

/** @throws ArgumentError with a sentence for the user */
export function parseClientCommand(
  name: string,
  args: readonly string[],
  own: OptionTypes = {},
): ClientCommand {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { ...own, ...OPTIONS },
    })
    const { json = false, help = false, config, prefix, admin, ...options } = values
    const client = new AdminClient(() => findAdmin({ config, prefix, admin }))
    const style = makeStyle(process.stdout.isTTY)
    return { words: positionals, json, help, options: options as ClientCommand['options'], client, style }
  } catch (error) {
    throw new ArgumentError(`${name}: ${describeOptionFault(error, name)}`)
  }
}

interface Place {
  readonly address: AdminModel['address']
  readonly token: string | null
}

function findAdmin(values: { admin?: string; config?: string; prefix?: string }): Place {
  const token = readVariable()
  if (values.admin !== undefined) return { address: readAddress(values.admin), token }
  const prefix = resolve(values.prefix ?? '.')
  const config = values.config ?? 'sluice.conf'
  const { model } = parseConfig({ file: resolve(prefix, config), prefix })
  const admin = model?.http?.admin
  if (model === null)
    throw new ArgumentError(`${config} cannot be read (see sluice -t); give the address with --admin ADDRESS`)
  if (admin == null)
    throw new ArgumentError(
      `${config} has no "admin"; add "admin 127.0.0.1:9145;" to http, or give --admin ADDRESS`,
    )
  return { address: reachable(admin.address), token: token ?? readFileToken(admin) }
}

/** Set to nothing is not set. */
function readVariable(): string | null {
  const token = process.env.SLUICE_TOKEN ?? ''
  if (token === '') return null
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw new ArgumentError(
    'SLUICE_TOKEN holds blanks, control characters or letters of other alphabets, which no token does; set it to the first line of token_file',
  )
}

function readFileToken(admin: AdminModel): string | null {
  try {
    return readToken(admin)
  } catch (error) {
    throw error instanceof ConfigError ? new ArgumentError(error.message) : error
  }
}

function readAddress(text: string): AdminModel['address'] {
  if (text.startsWith('unix:')) return { path: resolve(text.slice(5)) }
  const [, bracketed, plain, port] = /^(?:(?:\[([\w.:%]+)\]|([\w.-]+)):)?(\d{1,5})$/.exec(text) ?? []
  if (port === undefined || Number(port) === 0 || Number(port) > 65_535)
    throw new ArgumentError(`"--admin ${text}" is no address; write HOST:PORT, PORT or unix:PATH`)
  return { host: bracketed ?? plain ?? '127.0.0.1', port: Number(port) }
}

/** What listens on every address is asked on this machine's own. */
function reachable(address: AdminModel['address']): AdminModel['address'] {
  if (!('host' in address)) return address
  const own = { '0.0.0.0': '127.0.0.1', '::': '::1' }[address.host]
  return own === undefined ? address : { ...address, host: own }
}

export class AdminClient {
  /** Who makes the changes: a header field, in bytes; null: nobody says so. */
  author: string | null = null
  readonly #find: () => Place
  #place: Place | null = null

  constructor(find: () => Place) {
    this.#find = find
  }

  /**
   * @param shapes any one of which the answer has; none: nothing is read of it
   * @throws RefusedError, UnreachableError, ArgumentError
   */
  // biome-ignore lint/suspicious/noExplicitAny: the commands know what each path answers with
  get(path: string, ...shapes: Shape[]): Promise<any> {
    return this.#ask({ method: 'GET', path, body: null, type: '' }, shapes)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as above
  send(method: 'POST' | 'PATCH' | 'DELETE', path: string, given: unknown, ...shapes: Shape[]): Promise<any> {
    const body = method === 'DELETE' ? null : Buffer.from(JSON.stringify(given))
    return this.#ask({ method, path, body, type: 'application/json' }, shapes)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as above
  push(path: string, body: Buffer, ...shapes: Shape[]): Promise<any> {
    return this.#ask({ method: 'PUT', path, body, type: 'text/javascript' }, shapes)
  }

  async #ask({ method, path, body, type }: Question, shapes: readonly Shape[]): Promise<unknown> {
    this.#place ??= this.#find()
    const place = this.#place
    const author: Record<string, string> = this.author === null ? {} : { 'X-Sluice-Author': this.author }
    const sent = { method, path, body, headers: body === null ? author : { ...author, 'Content-Type': type } }
    const answer = await exchange(place, sent)
    const { status } = answer
    if (status < 300) {
      const read = readAnswer(answer, shapes)
      if (read !== undefined) return read
    }
    const problem = status < 400 ? undefined : readProblem(answer)
    if (problem === undefined) throw new UnreachableError(describeStranger(place, answer))
    if (status === 401) throw new RefusedError(describeToken(place), [])
    throw new RefusedError(
      problem.detail,
      problem.problems as LocatedProblem[],
      (problem.rollout ?? null) as Rollout | null,
    )
  }
}

interface Question {
  readonly method: string
  readonly path: string
  readonly body: Buffer | null
  /** Of the body. */
  readonly type: string
}

function describeStranger({ address }: Place, { status, type }: Answer): string {
  const what = /^[\x21-\x7e ]+$/.test(type) ? `${status}, ${type.slice(0, 100)}` : `${status}`
  return `what answers on ${textOf(address)} is not the admin API of this version of Sluice (${what}); see "admin" of the configuration, or give its address with --admin`
}

function describeToken({ token }: Place): string {
  const what = token === null ? 'wants a token' : 'has another token'
  return `the proxy ${what}; set SLUICE_TOKEN, or name the configuration whose "admin" has the token_file with -c FILE`
}

interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | null
}

function exchange({ address, token }: Place, { method, path, headers: given, body }: Sent): Promise<Answer> {
  const to = 'path' in address ? { socketPath: address.path } : address
  const headers: Record<string, string | number> = { Host: hostOf(address), ...given }
  if (token !== null) headers.Authorization = `Bearer ${token}`
  if (body !== null) headers['Content-Length'] = body.length
  return new Promise((done, failed) => {
    const fail = (error: Error) =>
      failed(new UnreachableError(`cannot talk to ${textOf(address)}: ${error.message}; is it running?`))
    const sent = request({ ...to, method, path, headers, timeout: TIMEOUT, agent: false }, (response) => {
      const parts: Buffer[] = []
      let length = 0
      response.on('data', (part: Buffer) => {
        parts.push(part)
        length += part.length
        if (length > MAX_ANSWER) response.destroy(new Error('its answer does not end'))
      })
      response.on('end', () => {
        const type = response.headers['content-type'] ?? ''
        done({ status: response.statusCode ?? 0, type, text: Buffer.concat(parts).toString() })
      })
      response.on('error', fail)
    })
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${TIMEOUT / 1000} s`)))
    sent.on('error', fail)
    sent.end(body ?? undefined)
  })
}

function textOf(address: AdminModel['address']): string {
  return 'path' in address ? `unix:${address.path}` : `${address.host}:${address.port}`
}

/** Addresses are names that every proxy answers to. */
function hostOf(address: AdminModel['address']): string {
  if (!('host' in address)) return 'localhost'
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`
}

/** Runs a command; what goes wrong is a line on stderr, and below it what a script has wrong. @returns exit code */
export async function runClient(work: () => Promise<string | Told>): Promise<number> {
  try {
    const told = await work()
    const { out, faults, code } = typeof told === 'string' ? { out: told, faults: '', code: Exit.DONE } : told
    process.stdout.write(out)
    process.stderr.write(faults)
    return code
  } catch (error) {
    if (!(error instanceof RefusedError) && !(error instanceof UnreachableError)) throw error
    const lines = error instanceof RefusedError ? refusedLines(error) : [error.message]
    process.stderr.write(`sluice: ${lines.join('\n')}\n`)
    return error instanceof RefusedError ? Exit.REFUSED : Exit.UNREACHABLE
  }
}

function refusedLines({ message, problems, rollout }: RefusedError): string[] {
  if (rollout !== null) return refusalLines(rollout)
  const lines = problems.flatMap(({ file, line, column, message: what, excerpt }) => {
    const text = `${file}:${line}:${column}: ${what}`
    return [...(text === message ? [] : [`  ${text}`]), ...(excerpt === undefined ? [] : [excerpt])]
  })
  return [message, ...lines]
}

export function toJson(answer: unknown): string {
  return `${JSON.stringify(answer, null, 2)}\n`
}

export function readScript(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new ArgumentError(`cannot read ${file}: ${(error as Error).message}`)
  }
}
