/** `/api/v1/upstreams`: who is asked, how they do, and servers that come, go or change while the proxy runs. */
import type { Control, ServerChange, ServerChoices } from '../control.ts'
import { type ServerChangeCode, ServerChangeError } from '../server-changes.ts'
import { Refusal } from './problem.ts'
import { type ApiRequest, invalid, json, NO_CONTENT, notFound, type Reply, readObject } from './reply.ts'

type Draft = { -readonly [K in keyof ServerChoices]: ServerChoices[K] }

/** Members of a body, as in `server` of the configuration; times are milliseconds. */
const NUMBERS = { weight: 1, maxConns: 0, maxFails: 0, failTimeout: 0 } as const
const FLAGS = ['down', 'drain', 'backup'] as const
const CHOICES = [...Object.keys(NUMBERS), ...FLAGS]
const MOST = 1_000_000_000
/** RFC 4918 section 11.5: 507 is for what cannot be stored. */
const STATUSES: Readonly<Record<ServerChangeCode, number>> = {
  absent: 404,
  conflict: 409,
  invalid: 422,
  storage: 507,
}
const MAX_NAME = 255

export class UpstreamsApi {
  readonly #control: Control

  constructor(control: Control) {
    this.#control = control
  }

  async list(): Promise<Reply> {
    return json({ upstreams: await this.#control.upstreams() })
  }

  async get(name: string): Promise<Reply> {
    return json(await this.#group(name))
  }

  async add(name: string, request: ApiRequest): Promise<Reply> {
    const body = await readObject(request, ['server', ...CHOICES])
    const { server } = body
    if (typeof server !== 'string' || !/^[!-~]+$/.test(server) || server.length > MAX_NAME)
      throw invalid('"server" is the address of a server, such as "10.0.0.7:8080"')
    await this.#change({ kind: 'add', group: name, server, options: readChoices(body) })
    return json(await this.#group(name), 201)
  }

  async patch(name: string, server: string, request: ApiRequest): Promise<Reply> {
    const body = await readObject(request, CHOICES)
    if (Object.keys(body).length === 0)
      throw invalid(`there is nothing to change; give some of ${CHOICES.join(', ')}`)
    const options = readChoices(body)
    await this.#change({ kind: 'patch', group: name, server, options })
    return json(await this.#group(name))
  }

  async remove(name: string, server: string): Promise<Reply> {
    await this.#change({ kind: 'remove', group: name, server })
    return NO_CONTENT
  }

  async #change(change: ServerChange): Promise<void> {
    await this.#group(change.group)
    try {
      await this.#control.changeServer(change)
    } catch (error) {
      if (!(error instanceof ServerChangeError)) throw error
      throw new Refusal(STATUSES[error.code], 'the upstream cannot be changed', error.message)
    }
  }

  async #group(name: string) {
    const groups = await this.#control.upstreams()
    const group = groups.find((one) => one.name.toLowerCase() === name.toLowerCase())
    if (group !== undefined) return group
    const names = groups.map((one) => one.name).join(', ')
    throw notFound(
      `there is no upstream ${JSON.stringify(name)}${names === '' ? '' : `; there are: ${names}`}`,
    )
  }
}

/** @throws Refusal */
function readChoices(body: Readonly<Record<string, unknown>>): ServerChoices {
  const choices: Draft = {}
  for (const flag of FLAGS) {
    const value = body[flag]
    if (value === undefined) continue
    if (typeof value !== 'boolean') throw invalid(`"${flag}" is true or false`)
    choices[flag] = value
  }
  for (const [name, least] of Object.entries(NUMBERS) as [keyof typeof NUMBERS, number][]) {
    const value = body[name]
    if (value === undefined) continue
    if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > MOST)
      throw invalid(`"${name}" is a whole number from ${least} to ${MOST}`)
    choices[name] = value as number
  }
  return choices
}
