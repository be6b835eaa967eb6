/** Requests and answers of the admin API, apart from any socket. */
import { Refusal } from './problem.ts'

export interface ApiRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  header(name: string): string | undefined
  /** The whole body, bounded. @throws Refusal */
  body(): Promise<Buffer>
}

export interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

export function json(value: unknown, status = 200, headers: Reply['headers'] = {}): Reply {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n`, headers }
}

export function plain(body: string, status = 200): Reply {
  return { status, type: 'text/plain; charset=utf-8', body }
}

export const NO_CONTENT: Reply = { status: 204, type: '', body: '' }

/** A JSON object with none but these members. @throws Refusal */
export async function readObject(
  request: ApiRequest,
  members: readonly string[],
): Promise<Readonly<Record<string, unknown>>> {
  const text = (await request.body()).toString('utf8')
  const value = text.trim() === '' ? {} : parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('a JSON object is wanted')
  const unknown = Object.keys(value).find((name) => !members.includes(name))
  if (unknown !== undefined) {
    const known = members.length === 0 ? 'it takes none' : `those known are ${members.join(', ')}`
    throw invalid(`there is no member ${JSON.stringify(unknown)}; ${known}`)
  }
  return value as Record<string, unknown>
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid(`the body is no JSON: ${(error as Error).message}`)
  }
}

export function invalid(detail: string): Refusal {
  return new Refusal(422, 'invalid request', detail)
}

export function notFound(detail: string): Refusal {
  return new Refusal(404, 'not found', detail)
}
