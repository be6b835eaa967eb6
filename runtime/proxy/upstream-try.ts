/** One try at a peer, as the `$upstream_*` variables list it. */
import type { FieldBlock } from '../http1/fields.ts'

export class UpstreamTry {
  /** `$upstream_addr` */
  address: string
  /** Status of the answer, or the one its failure counts as; 0: none yet. */
  status = 0
  /** ms since the try began; -1: not reached. */
  connectTime = -1
  headerTime = -1
  responseTime = -1
  responseLength = 0
  bytesReceived = 0
  bytesSent = 0
  /** Over a connection that was open already. */
  reused = false
  /** An internal redirect lies between this try and the one before: ` : ` in the lists. */
  redirectBefore = false
  /** Fields of the answer, for `$upstream_http_NAME`. */
  fields: FieldBlock | null = null
  trailers: FieldBlock | null = null
  /** ms since the epoch. */
  readonly startedAt = Date.now()
  /** Name of the upstream group. */
  readonly group: string

  constructor(address: string, group = '') {
    this.address = address
    this.group = group
  }
}
