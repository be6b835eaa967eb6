/** What `limit_req` and `limit_conn` have done with a client's request. Kept at `Exchange.main`: one decision for all of it. */

/** `$limit_req_status` */
export type RateStatus = 'PASSED' | 'DELAYED' | 'REJECTED' | 'DELAYED_DRY_RUN' | 'REJECTED_DRY_RUN'

/** `$limit_conn_status` */
export type ConnectionStatus = 'PASSED' | 'REJECTED' | 'REJECTED_DRY_RUN'

/** Where a request is counted while it is under way. */
export interface Holder {
  release(key: string): void
}

export class LimitState {
  rate: RateStatus | null = null
  connections: ConnectionStatus | null = null
  readonly #held: { readonly holder: Holder; readonly key: string }[] = []

  /** Counted until the request ends. */
  hold(holder: Holder, key: string): void {
    this.#held.push({ holder, key })
  }

  releaseAll(): void {
    for (const { holder, key } of this.#held.splice(0)) holder.release(key)
  }
}
