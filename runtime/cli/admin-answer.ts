/**
 * What an address answers that is taken for the admin API, and may be anybody's: told apart from any other HTTP server,
 * and never trusted to have the members that a command is going to read. Pure.
 */

/** Members that an answer has, each with a value of the right kind. */
export type Shape = Readonly<Record<string, unknown>>

export interface Answer {
  readonly status: number
  /** Content-Type; '': none. */
  readonly type: string
  readonly text: string
}

/** `application/problem+json`, as far as it is one. */
export interface Problem {
  readonly detail: string
  readonly problems: readonly unknown[]
  readonly rollout: unknown
}

/** @param shapes any one will do; none: nothing is read of it. @returns undefined when it is none of the API's */
export function readAnswer({ status, type, text }: Answer, shapes: readonly Shape[]): unknown {
  if (status === 204) return shapes.length === 0 ? null : undefined
  if (essenceOf(type) !== 'application/json') return undefined
  const answer = parse(text)
  return isObject(answer) && (shapes.length === 0 || shapes.some((shape) => fits(answer, shape)))
    ? answer
    : undefined
}

/** @returns undefined when it is none of the API's */
export function readProblem({ type, text }: Answer): Problem | undefined {
  if (essenceOf(type) !== 'application/problem+json') return undefined
  const problem = parse(text)
  if (!isObject(problem) || typeof problem.detail !== 'string') return undefined
  const { detail, problems, rollout } = problem
  return { detail, problems: Array.isArray(problems) ? problems.filter(isObject) : [], rollout }
}

function fits(answer: Record<string, unknown>, shape: Shape): boolean {
  return Object.entries(shape).every(([name, sample]) => kindOf(answer[name]) === kindOf(sample))
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

function isObject(value: unknown): value is Record<string, unknown> {
  return kindOf(value) === 'object'
}

function essenceOf(type: string): string {
  return type.split(';')[0].trim().toLowerCase()
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
