/**
 * The admin API as the page asks it. The token is kept in `sessionStorage`, for this tab alone, and sent nowhere else.
 */

const TOKEN = 'sluice-token'
/** ms for an answer: a look, and a change, which all workers or machines have to agree to. */
const LOOK = 8_000
const CHANGE = 60_000

/** What the API refuses, as RFC 9457 has it. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `the answer was ${status}`)
    this.status = status
    this.title = body.title ?? ''
    /** `{ file, line, column, severity, message, excerpt?, machine? }` */
    this.problems = body.problems ?? []
    this.rollout = body.rollout ?? null
  }
}

/** There was no answer, or none of this API. */
export class Unreachable extends Error {}

export class Api {
  #askToken
  #asking = null

  /** @param {(wasWrong: boolean) => Promise<string>} askToken */
  constructor(askToken) {
    this.#askToken = askToken
  }

  /** @throws Problem, Unreachable */
  async get(path) {
    return (await this.#send('GET', path, {})).body
  }

  /** A JSON body. @throws Problem, Unreachable */
  async send(method, path, body = {}, headers = {}) {
    const json = method === 'DELETE' ? {} : { body: JSON.stringify(body), type: 'application/json' }
    return (await this.#send(method, path, { ...json, headers })).body
  }

  /** A script and the tag of the version that serves. @throws Problem, Unreachable */
  async script(name) {
    const { body, response } = await this.#send('GET', scriptPath(name), {})
    return { ...body, tag: response.headers.get('etag') }
  }

  /** @throws Problem, Unreachable */
  async pushScript(name, text, { tag, query, headers }) {
    const condition = tag === null ? {} : { 'If-Match': tag }
    const type = name.endsWith('.ts') ? 'text/typescript' : 'text/javascript'
    const options = { body: text, type, headers: { ...headers, ...condition } }
    return (await this.#send('PUT', `${scriptPath(name)}${query}`, options)).body
  }

  async #send(method, path, options) {
    for (;;) {
      const token = sessionStorage.getItem(TOKEN)
      const response = await request(method, path, options, token)
      if (response.status !== 401) return { response, body: await read(response) }
      // Others that were under way may have asked for it by now.
      if (token === sessionStorage.getItem(TOKEN)) await this.#token(token !== null)
    }
  }

  /** One question for all that wait for it. */
  #token(wasWrong) {
    this.#asking ??= this.#askToken(wasWrong)
      .then((token) => sessionStorage.setItem(TOKEN, token))
      .finally(() => {
        this.#asking = null
      })
    return this.#asking
  }
}

export function scriptPath(name) {
  return `scripts/${encodeURIComponent(name)}`
}

async function request(method, path, { body, type, headers = {} }, token) {
  const all = new Headers(headers)
  if (type !== undefined) all.set('Content-Type', type)
  if (token !== null) all.set('Authorization', `Bearer ${token}`)
  try {
    return await fetch(new URL(`api/v1/${path}`, document.baseURI), {
      method,
      headers: all,
      body,
      cache: 'no-store',
      signal: AbortSignal.timeout(method === 'GET' ? LOOK : CHANGE),
    })
  } catch (error) {
    throw new Unreachable(error.name === 'TimeoutError' ? 'no answer in time' : 'no answer')
  }
}

/** @throws Problem, Unreachable */
async function read(response) {
  const text = await response.text().catch(() => {
    throw new Unreachable('the answer ended too early')
  })
  let body = null
  try {
    body = text === '' ? {} : JSON.parse(text)
  } catch {
    throw new Unreachable(`the answer (${response.status}) is none of this API`)
  }
  if (!response.ok) throw new Problem(response.status, body)
  return body
}
