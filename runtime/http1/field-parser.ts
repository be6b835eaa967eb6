/**
 * Reads field lines into offsets, a line at a time and each line once. What to do about doubtful names is a policy
 * given from outside; what can never be right (controls, white space before the colon, folded lines, an empty name)
 * is refused whatever the policy. Knows no connection and no start line.
 *
 * RFC 9112 sections 2.2 and 5; nginx's `ignore_invalid_headers`, `underscores_in_headers`, `max_headers`,
 * `large_client_header_buffers`.
 */
import type { HttpFault } from './fault.ts'
import { Field, fieldIdAt, looksLikeFraming } from './field-names.ts'
import { FieldBlock, STRIDE } from './fields.ts'
import { COLON, CR, DEL, HT, isBlank, LF, NAME_OCTETS, NameOctet, SP } from './octets.ts'

/** What to accept, and what to say when something is not accepted. */
export interface FieldPolicy {
  /** `_` is an ordinary character of names. */
  readonly underscores: boolean
  /** So is every other token character of RFC 9110. */
  readonly tokens: boolean
  /** Lines whose name is not accepted are left out; else they are a fault. */
  readonly drop: boolean
  /** A lookalike of a framing field is a fault even where other names are dropped. */
  readonly refuseLookalikes: boolean
  /** Lines may end in a lone LF. */
  readonly bareLf: boolean
  readonly maxFields: number
  /** Fields that may occur once: {@link fieldBits}. */
  readonly once: number
  /** Fields that are left out, by id; null: none. */
  readonly forbidden: Uint8Array | null
  /** First buffer; and how many more of which size may follow. A line stands in one buffer whole. */
  readonly room: number
  readonly largeCount: number
  readonly largeSize: number
  readonly faults: {
    readonly FIELD: HttpFault
    readonly TOO_LONG: HttpFault
    readonly TOO_MANY: HttpFault
    readonly DUPLICATE: HttpFault
    readonly DUPLICATE_HOST: HttpFault
  }
}

/** Slots of a block that most heads fit into; more are added when needed. */
const USUAL_FIELDS = 16

// Constants of their own: read once a byte, they are a tenth faster than properties.
const PLAIN = NameOctet.PLAIN
const NEVER = NameOctet.NEVER

/** Ways a field name can be received by {@link FieldParser}. */
const Verdict = { KEEP: 0, DROP: 1, REFUSE: 2 } as const

export class FieldParser {
  readonly #policy: FieldPolicy
  /** Set by {@link read} when it met the empty line. */
  done = false
  fault: HttpFault | null = null
  #count = 0
  #slots: number[] = []
  #low = 0
  #high = 0
  /** Bytes left in the buffer that nginx would be filling, and buffers it could still take. */
  #room = 0
  #largeLeft = 0

  constructor(policy: FieldPolicy) {
    this.#policy = policy
  }

  /** Forgets the last block. Call before the first line of a head. */
  begin(): void {
    this.done = false
    this.fault = null
    this.#count = 0
    this.#slots = new Array(USUAL_FIELDS * STRIDE)
    this.#low = 0
    this.#high = 0
    this.#room = this.#policy.room
    this.#largeLeft = this.#policy.largeCount
  }

  /** Accounts for a line of that many bytes, its end included; false if the buffers do not hold it. */
  takeRoom(size: number): boolean {
    if (size <= this.#room) {
      this.#room -= size
      return true
    }
    if (this.#largeLeft === 0 || size > this.#policy.largeSize) return false
    this.#largeLeft--
    this.#room = this.#policy.largeSize - size
    return true
  }

  /** True if an unfinished line of that many bytes can still be completed. */
  hasRoom(size: number): boolean {
    return size < this.#room || (this.#largeLeft > 0 && size < this.#policy.largeSize)
  }

  /**
   * Reads every whole line from `position` on, up to and with the empty line that ends the block.
   * @param lastLf offset of the last LF in `bytes`: the loops below stop there, so they need no other bound
   * @param base offset that the block's text will start at
   * @returns where reading stopped: behind the empty line ({@link done}), at an unfinished line, or at a {@link fault}
   */
  read(bytes: Buffer, position: number, lastLf: number, base: number): number {
    const { faults, bareLf, forbidden } = this.#policy
    let at = position
    while (at <= lastLf) {
      const start = at
      let octet = bytes[at]
      while (NAME_OCTETS[octet] === PLAIN) octet = bytes[++at]
      let drop = false
      if (octet !== COLON || at === start) {
        if (at === start && (octet === CR || octet === LF)) return this.#endBlock(bytes, at)
        while (NAME_OCTETS[octet] !== NEVER) octet = bytes[++at]
        const verdict = octet === COLON && at > start ? this.#judge(bytes, start, at) : Verdict.REFUSE
        if (verdict === Verdict.REFUSE) return this.#refuse(faults.FIELD, start)
        drop = verdict === Verdict.DROP
      }
      const nameEnd = at
      octet = bytes[++at]
      while (isBlank(octet)) octet = bytes[++at]
      const valueStart = at
      // Comparisons, not a table: faster where most of the bytes are (test/bench/micro-http1.ts).
      while ((octet >= SP && octet !== DEL) || octet === HT) octet = bytes[++at]
      let valueEnd = at
      const crlf = octet === CR
      if (crlf) octet = bytes[++at]
      if (octet !== LF || !(crlf || bareLf)) return this.#refuse(faults.FIELD, start)
      at++
      if (!this.takeRoom(at - start)) return this.#refuse(faults.TOO_LONG, start)
      if (drop) continue
      while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1])) valueEnd--
      const canonical = crlf && at - valueEnd === 2 && valueStart - nameEnd === 2 && bytes[nameEnd + 1] === SP
      const id = fieldIdAt(bytes, start, nameEnd)
      if (!this.#admit(id)) return start
      if (forbidden !== null && forbidden[id] === 1) continue
      const slots = this.#slots
      const slot = this.#count++ * STRIDE
      slots[slot] = (id << 1) | (canonical ? 1 : 0)
      slots[slot + 1] = start - base
      slots[slot + 2] = nameEnd - base
      slots[slot + 3] = valueStart - base
      slots[slot + 4] = valueEnd - base
    }
    return at
  }

  /** The fields read since {@link begin}. `text` begins at the `base` given to {@link read}. */
  block(text: string): FieldBlock {
    const block = new FieldBlock(text, this.#count, this.#slots, this.#low, this.#high)
    this.#slots = []
    return block
  }

  /** True if this field was read; ids below 32 only. */
  saw(id: number): boolean {
    return ((this.#low >>> id) & 1) === 1
  }

  get count(): number {
    return this.#count
  }

  #endBlock(bytes: Buffer, start: number): number {
    const { faults, bareLf } = this.#policy
    const crlf = bytes[start] === CR
    const end = crlf ? start + 1 : start
    if (bytes[end] !== LF || !(crlf || bareLf)) return this.#refuse(faults.FIELD, start)
    if (!this.takeRoom(end + 1 - start)) return this.#refuse(faults.TOO_LONG, start)
    this.done = true
    return end + 1
  }

  /** Counts the field in; false (and a fault) if it is one too many. */
  #admit(id: number): boolean {
    const policy = this.#policy
    if (id >= 32) this.#high |= 1 << (id - 32)
    else {
      const bit = 1 << id
      if ((this.#low & bit & policy.once) !== 0) {
        this.fault = id === Field.HOST ? policy.faults.DUPLICATE_HOST : policy.faults.DUPLICATE
        return false
      }
      this.#low |= bit
    }
    if (this.#count < policy.maxFields) return true
    this.fault = policy.faults.TOO_MANY
    return false
  }

  /** Slow path: a name with more than letters, digits and `-` in it, but no control or space. */
  #judge(bytes: Buffer, start: number, end: number): number {
    const policy = this.#policy
    let accepted = true
    for (let i = start; i < end; i++) {
      const kind = NAME_OCTETS[bytes[i]]
      if (kind === NameOctet.UNDERSCORE) accepted &&= policy.underscores
      else if (kind === NameOctet.TOKEN) accepted &&= policy.tokens
      else if (kind === NameOctet.FOREIGN) accepted = false
    }
    if (looksLikeFraming(bytes.toString('latin1', start, end)))
      return policy.refuseLookalikes ? Verdict.REFUSE : Verdict.DROP
    if (accepted) return Verdict.KEEP
    return policy.drop ? Verdict.DROP : Verdict.REFUSE
  }

  #refuse(fault: HttpFault, at: number): number {
    this.fault = fault
    return at
  }
}
