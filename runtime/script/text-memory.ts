/**
 * The texts that the host has read from the guest or written for it last, by where they stand in linear memory: names
 * and keys become host strings only once. What stands there is compared, not trusted. Knows no engine.
 */

/** Bytes of a text that is remembered. */
export const REMEMBERED = 64
const SLOTS = 256
/** Words of a slot: the address, the length, a copy of the characters. */
const SLOT_WORDS = 2 + REMEMBERED / 4
/** Of the last word, what belongs to the text, by the length modulo 4. */
const TAILS = [0, 0xff, 0xffff, 0xffffff] as const

export class TextMemory {
  readonly #records = new Int32Array(SLOTS * SLOT_WORDS)
  readonly #texts: string[] = new Array(SLOTS).fill('')

  /**
   * The text, if it stands unchanged where it stood; else null. Compared word by word: several characters at once, and
   * none of the host's string (`test/bench/micro-hooks.ts`).
   * @param from the word with its first characters
   */
  recall(words: Int32Array, address: number, from: number, length: number): string | null {
    const records = this.#records
    const slot = (address >>> 4) % SLOTS
    const at = slot * SLOT_WORDS
    if (records[at] !== address || records[at + 1] !== length) return null
    const whole = length >>> 2
    let i = 0
    while (i < whole && words[from + i] === records[at + 2 + i]) i++
    if (i < whole || ((words[from + i] ^ records[at + 2 + i]) & TAILS[length & 3]) !== 0) return null
    return this.#texts[slot]
  }

  /** @param text what stands there now: ASCII, no longer than {@link REMEMBERED} */
  remember(words: Int32Array, address: number, from: number, text: string): void {
    const records = this.#records
    const slot = (address >>> 4) % SLOTS
    const at = slot * SLOT_WORDS
    const { length } = text
    records[at] = address
    records[at + 1] = length
    for (let i = 0; 4 * i < length; i++) records[at + 2 + i] = words[from + i]
    this.#texts[slot] = text
  }
}
