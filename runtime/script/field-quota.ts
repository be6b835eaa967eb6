/** How much a script may write into the header of one message. Knows no request. */
import { GuestError } from './guest-values.ts'

/** Fields, and bytes of their names and values, that one hook call sets. */
export const MAX_FIELDS = 64
export const MAX_FIELD_BYTES = 16 * 1024

export class FieldQuota {
  #fields = 0
  #bytes = 0

  /** A hook is called. */
  reset(): void {
    this.#fields = 0
    this.#bytes = 0
  }

  /** One more field. @throws GuestError over the quota */
  take(name: string, value: string): void {
    if (++this.#fields > MAX_FIELDS) {
      throw new GuestError('RangeError', `a hook call sets at most ${MAX_FIELDS} header fields`)
    }
    this.#bytes += name.length + value.length
    if (this.#bytes > MAX_FIELD_BYTES) {
      throw new GuestError('RangeError', `a hook call sets at most ${MAX_FIELD_BYTES} bytes of header fields`)
    }
  }
}
