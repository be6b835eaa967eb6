/** Leave to go on, asked of another URI (ngx_http_auth_request_module): 2xx allows, 401 and 403 refuse, all else is an error. */
import type { HookRequest } from '../phases.ts'
import type { Exchange } from './exchange.ts'
import type { Binder, Effective, Getter } from './plan.ts'
import { Step } from './step.ts'
import { maySubrequest, Subrequest, type SubrequestOwner } from './subrequest.ts'

/** `auth_request` and `auth_request_set` of one location. */
export interface AuthRequestPlan {
  readonly uri: string
  readonly sets: readonly { readonly value: Getter; readonly set: (x: HookRequest, value: string) => void }[]
}

/**
 * null: nobody is asked.
 * @throws Error when `auth_request_set` names a variable that cannot be written
 */
export function compileAuthRequest(settings: Effective, binder: Binder): AuthRequestPlan | null {
  if (settings.authRequest === '') return null
  const sets = settings.authRequestSets.map(({ variable, value }) => {
    const set = binder.variable(variable)?.set
    if (!set) throw new Error(`auth_request_set cannot write "$${variable}"`)
    return { value: binder.bind(value), set }
  })
  return { uri: settings.authRequest, sets }
}

/** 0: allowed; null: not known yet, ACCESS is resumed; else the status that refuses. */
export function authorize(x: Exchange, plan: AuthRequestPlan): number | null {
  const { authorization } = x
  if (authorization !== null) return authorization.done ? verdict(x, authorization, plan) : null
  if (!maySubrequest(x, plan.uri)) return 500
  const waiting = new Waiting(x)
  // The body is for who answers, not for who is asked.
  const asked = new Subrequest(x, waiting, { path: plan.uri, args: '', mode: 'head', body: false })
  x.authorization = asked
  asked.begin()
  waiting.suspended = true
  return asked.done ? verdict(x, asked, plan) : null
}

function verdict(x: Exchange, { exchange, status }: Subrequest, plan: AuthRequestPlan): number {
  for (const { value, set } of plan.sets) set(x, value(exchange))
  if (status >= 200 && status < 300) return 0
  if (status === 401) {
    x.headers.remove('www-authenticate')
    for (const value of exchange.headers.getAll('www-authenticate')) x.headers.add('WWW-Authenticate', value)
    return 401
  }
  if (status === 403) return 403
  x.log('error', `auth request unexpected status: ${status}`)
  return 500
}

class Waiting implements SubrequestOwner {
  readonly pendingBytes = 0
  suspended = false
  readonly #x: Exchange

  constructor(x: Exchange) {
    this.#x = x
  }

  subrequestData(): boolean {
    return true
  }

  subrequestEnded(): void {
    const x = this.#x
    if (this.suspended && !x.closed && !x.completed) x.generation.services.resume(x, Step.ACCESS)
  }
}
