/**
 * `/api/v1/try`: the dry run of `sluice try --json`, in a process of its own, so that a script that computes for long
 * holds up nobody. It is made of the configuration as it is on the disk.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Refusal } from './problem.ts'
import { type ApiRequest, invalid, json, type Reply, readObject } from './reply.ts'

/** Where the configuration is. */
export interface TryPlace {
  readonly config: string
  readonly prefix: string
}

const MAIN = fileURLToPath(new URL('../cli/main.js', import.meta.url))
/** Dry runs at a time. */
const MAX_RUNS = 2
/** ms */
const MAX_TIME = 30_000
/** Bytes of its answer. */
const MAX_OUTPUT = 8 * 1024 * 1024
const MAX_COUNT = 100_000

const MEMBERS = ['request', 'headers', 'body', 'from', 'at', 'count', 'vary', 'response']
const RESPONSE = ['status', 'headers', 'body']

export class TryApi {
  readonly #place: TryPlace
  #runs = 0

  constructor(place: TryPlace) {
    this.#place = place
  }

  async run(request: ApiRequest): Promise<Reply> {
    const body = await readObject(request, MEMBERS)
    const args = toArguments(body)
    if (this.#runs >= MAX_RUNS)
      throw new Refusal(429, 'too many requests', `${MAX_RUNS} dry runs are under way`, {
        headers: { 'Retry-After': '1' },
      })
    this.#runs++
    try {
      return json(await this.#dryRun(args, body.body === undefined ? null : text(body, 'body')))
    } finally {
      this.#runs--
    }
  }

  async #dryRun(args: readonly string[], body: string | null): Promise<unknown> {
    const { config, prefix } = this.#place
    const folder = await mkdtemp(join(tmpdir(), 'sluice-try-'))
    try {
      const data = body === null ? [] : [await dataArgument(folder, body)]
      const where = [`--config=${config}`, `--prefix=${prefix}`]
      return JSON.parse(await runProcess(['try', '--json', ...where, ...data, ...args], prefix))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
}

/** What stands in the body, as `sluice try` takes it; each value in one word with its name. @throws Refusal */
function toArguments(body: Readonly<Record<string, unknown>>): string[] {
  const args: string[] = []
  const add = (option: string, name: string) => {
    if (body[name] !== undefined) args.push(`--${option}=${text(body, name)}`)
  }
  for (const field of fields(body.headers)) args.push(`--header=${field}`)
  add('from', 'from')
  add('at', 'at')
  add('vary', 'vary')
  if (body.count !== undefined) args.push(`--count=${count(body.count)}`)
  args.push(...responseArguments(body.response), '--', text(body, 'request'))
  return args
}

/** By way of a file: as an argument, a body may be too long, or look like the name of a file. */
async function dataArgument(folder: string, data: string): Promise<string> {
  const file = join(folder, 'body')
  await writeFile(file, data, { mode: 0o600 })
  return `--data=@${file}`
}

function responseArguments(value: unknown): string[] {
  if (value === undefined) return []
  if (typeof value !== 'object' || value === null) throw invalid('"response" is an object')
  const response = value as Record<string, unknown>
  const unknown = Object.keys(response).find((name) => !RESPONSE.includes(name))
  if (unknown !== undefined) throw invalid(`"response" has no member ${JSON.stringify(unknown)}`)
  const args = fields(response.headers).map((field) => `--response-header=${field}`)
  if (response.status !== undefined) args.push(`--response-status=${count(response.status)}`)
  if (response.body === undefined) return args
  const data = text(response, 'body')
  if (data.startsWith('@')) throw invalid('the body of a response must not begin with "@" here')
  return [...args, `--response-body=${data}`]
}

function text(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = body[name]
  if (typeof value !== 'string' || value.includes('\0')) throw invalid(`"${name}" is a text`)
  return value
}

function count(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_COUNT)
    return value as number
  throw invalid(`a whole number from 1 to ${MAX_COUNT} is wanted`)
}

/** `{ "Name": "value" }`; several values in a list. */
function fields(value: unknown): string[] {
  if (value === undefined) return []
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('"headers" is an object')
  return Object.entries(value).flatMap(([name, values]) =>
    [values].flat().map((one) => {
      if (typeof one !== 'string' || `${name}${one}`.includes('\0'))
        throw invalid('the values of "headers" are texts')
      return `${name}: ${one}`
    }),
  )
}

function runProcess(args: readonly string[], cwd: string): Promise<string> {
  const limits = { timeout: MAX_TIME, killSignal: 'SIGKILL' } as const
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...limits,
  })
  let out = ''
  let faults = ''
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    if (faults.length < MAX_OUTPUT) faults += part
  })
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    out += part
    if (out.length > MAX_OUTPUT) child.kill('SIGKILL')
  })
  return new Promise((done, failed) => {
    child.on('error', failed)
    child.on('close', (code, signal) => {
      if (code === 0) done(out)
      else if (signal !== null)
        failed(new Refusal(422, 'the dry run is too much', `it takes over ${MAX_TIME} ms, or tells too much`))
      else
        failed(
          new Refusal(422, 'the dry run was refused', faults.trim().replace(/^sluice: (?:\[emerg\] )?/, '')),
        )
    })
  })
}
