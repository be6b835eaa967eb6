/**
 * Copies of a request to other URIs, whose answers nobody sees (ngx_http_mirror_module). The response does not wait for
 * them, but the request is over only when they are: so its body stays, and no more of them pile up than there are
 * connections to ask for them.
 */
import type { Exchange } from './exchange.ts'
import type { Effective } from './plan.ts'
import { Step } from './step.ts'
import { maySubrequest, Subrequest, type SubrequestOwner } from './subrequest.ts'

/** `mirror` and `mirror_request_body` of one location. */
export interface MirrorPlan {
  readonly uris: readonly string[]
  readonly body: boolean
}

/** null: nothing is copied. */
export function compileMirror(settings: Effective): MirrorPlan | null {
  const uris = settings.mirrors
  return uris.length === 0 ? null : { uris, body: settings.mirrorRequestBody }
}

/** Sends the copies. False: no more subrequests may be made. */
export function mirror(x: Exchange, plan: MirrorPlan): boolean {
  const mirrors = (x.mirrors ??= new Mirrors(x))
  for (const path of plan.uris) {
    if (!maySubrequest(x, path)) return false
    mirrors.add(
      new Subrequest(x, mirrors, { path, args: x.args, mode: 'head', method: x.method, body: plan.body }),
    )
  }
  return true
}

/** The copies of one request that are under way. */
export class Mirrors implements SubrequestOwner {
  readonly pendingBytes = 0
  /** The response is over: the request ends with the last copy. */
  awaited = false
  #running = 0
  readonly #x: Exchange

  constructor(x: Exchange) {
    this.#x = x
  }

  /** True when all are done; else LOG is resumed with the last one. */
  end(): boolean {
    this.awaited = true
    return this.#running === 0
  }

  add(subrequest: Subrequest): void {
    this.#running++
    subrequest.begin()
  }

  subrequestData(): boolean {
    return true
  }

  subrequestEnded(): void {
    this.#running--
    if (this.awaited && this.#running === 0) this.#x.generation.services.resume(this.#x, Step.LOG)
  }
}
