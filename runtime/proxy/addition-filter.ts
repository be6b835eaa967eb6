/** Responses of other URIs before and after a body (ngx_http_addition_module: `add_before_body`, `add_after_body`). */
import type { Exchange, ResponseOutput } from './exchange.ts'
import { IncludingFilter } from './including-filter.ts'
import type { Effective } from './plan.ts'
import { forgetBody, isOfType, weakenEtag } from './response-filter.ts'
import type { Step } from './step.ts'

/** `add_before_body`, `add_after_body`, `addition_types` of one location; '': none. */
export interface AdditionPlan {
  readonly before: string
  readonly after: string
  readonly types: ReadonlySet<string>
}

/** null: nothing is added. */
export function compileAddition(settings: Effective): AdditionPlan | null {
  const { addBeforeBody: before, addAfterBody: after, additionTypes } = settings
  return before === '' && after === '' ? null : { before, after, types: new Set(additionTypes) }
}

/** Whether something is added to this response; if so, its head knows. */
export function beginAddition(x: Exchange, plan: AdditionPlan): boolean {
  if (x.status !== 200 || x.parent !== null || !isOfType(x, plan.types)) return false
  forgetBody(x)
  weakenEtag(x)
  return true
}

export class AdditionFilter extends IncludingFilter {
  readonly #plan: AdditionPlan

  constructor(x: Exchange, next: ResponseOutput, plan: AdditionPlan) {
    super(x, next)
    this.#plan = plan
  }

  get idle(): boolean {
    return true
  }

  work(): void {}

  sendHead(x: Exchange, first: Uint8Array | string | null): boolean {
    this.#add(this.#plan.before)
    return first === null ? this.hasRoom : this.sendBody(x, first)
  }

  sendBody(_x: Exchange, chunk: Uint8Array | string): boolean {
    this.putBytes(chunk)
    this.advance()
    return this.hasRoom
  }

  override sendEnd(x: Exchange): Step {
    this.#add(this.#plan.after)
    return super.sendEnd(x)
  }

  #add(path: string): void {
    if (path !== '') this.addSubrequest({ path, args: '', mode: 'stream' })
  }
}
