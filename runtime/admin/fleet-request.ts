/** What a request asks of a fleet, read strictly: a parameter that is misspelt must not make another change of it. */
import { parsePercent } from '../config/values.ts'
import type { CanaryShare } from '../fleet/fleet.ts'
import { type ApiRequest, invalid } from './reply.ts'

/** Of an author, and of a canary's key. */
const MAX_AUTHOR = 100
const MAX_KEY = 255

/** Hundredths of a percent. */
const WHOLE = 10_000

/** What follows the `?` of a change. */
export interface ChangeQuery {
  /** This machine alone. */
  readonly local: boolean
  readonly canary: CanaryShare | null
  /** What is asked for is answered before anybody has said whether it could serve by it. */
  readonly atOnce: boolean
}

/** @param known parameters that this change takes @throws Refusal */
export function readQuery({ query }: ApiRequest, known: readonly string[]): ChangeQuery {
  for (const name of new Set(query.keys())) {
    if (!known.includes(name))
      throw invalid(`there is no parameter ${JSON.stringify(name)}; those known are ${known.join(', ')}`)
    if (query.getAll(name).length > 1) throw invalid(`the parameter ${name} is given twice`)
  }
  const local = readFlag(query, 'local', '1')
  const canary = readCanary(query)
  const atOnce = readFlag(query, 'wait', '0')
  if (local && (canary !== null || atOnce)) throw invalid('"local=1" is for this machine, without a fleet')
  return { local, canary, atOnce }
}

function readFlag(query: URLSearchParams, name: string, yes: string): boolean {
  const value = query.get(name)
  if (value === null || value === yes) return value !== null
  throw invalid(`"${name}=${value}" is none; write "${name}=${yes}", or nothing`)
}

function readCanary(query: URLSearchParams): CanaryShare | null {
  const [share, key] = [query.get('canary'), query.get('key')]
  if (share === null) {
    if (key !== null) throw invalid('"key" is for "canary"')
    return null
  }
  const percent = parsePercent(share.endsWith('%') ? share : `${share}%`)
  if (percent === null || percent === 0 || percent > WHOLE)
    throw invalid(`"canary=${share}" is no share; write one above 0 and up to 100, such as "canary=5%25"`)
  if (key !== null && !isVisible(key, MAX_KEY))
    throw invalid(`"key" is a text with variables, such as "$arg_userId", of at most ${MAX_KEY} characters`)
  return { percent, key: key ?? '' }
}

/** Who makes a change: `X-Sluice-Author`, in UTF-8. @throws Refusal */
export function readAuthor(request: ApiRequest): string {
  const sent = request.header('x-sluice-author')
  if (sent === undefined) return 'unknown'
  const author = Buffer.from(sent, 'latin1').toString('utf8')
  if (isVisible(author, MAX_AUTHOR)) return author
  throw invalid(`X-Sluice-Author is a name of at most ${MAX_AUTHOR} visible characters`)
}

/** Nothing that a terminal obeys, or that stands for bytes that were no text. */
function isVisible(text: string, max: number): boolean {
  return text.length <= max && /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]+$/u.test(text) && !text.includes('\ufffd')
}
