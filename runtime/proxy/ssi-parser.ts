/**
 * Finds SSI commands in a body that comes in pieces: `<!--#name param="value" -->`. Holds no more than a command's
 * own parts, each with a limit. Knows no command by name.
 *
 *   TEXT --<!--#--> NAME --> PARAM -> EQUAL -> VALUE -> AFTER --> ... --> END0 -> END1 --> TEXT
 *                     \______________ anything unexpected ______________/ -> BROKEN --- --> ---> TEXT, an error
 */

/** nginx's NGX_HTTP_SSI_COMMAND_LEN, _PARAM_LEN and _MAX_PARAMS. */
const MAX_NAME = 32
const MAX_PARAM_NAME = 32
const MAX_PARAMS = 16

const OPENING = '<!--#'

export interface SsiParam {
  readonly name: string
  value: string
}

export type SsiEvent =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'command'; readonly name: string; readonly params: readonly SsiParam[] }
  /** What began as a command is none; the reason has been reported. */
  | { readonly kind: 'error' }

const State = {
  TEXT: 0,
  BEFORE_NAME: 1,
  NAME: 2,
  BEFORE_PARAM: 3,
  PARAM: 4,
  EQUAL: 5,
  BEFORE_VALUE: 6,
  VALUE: 7,
  ESCAPED: 8,
  AFTER_VALUE: 9,
  END0: 10,
  END1: 11,
  BROKEN: 12,
  BROKEN_END0: 13,
  BROKEN_END1: 14,
} as const
type State = (typeof State)[keyof typeof State]

export class SsiParser {
  readonly #valueLength: number
  readonly #report: (reason: string) => void
  #input = ''
  #at = 0
  #state: State = State.TEXT
  #name = ''
  #params: SsiParam[] = []
  #key = ''
  #value = ''
  #quote = ''

  /** @param valueLength `ssi_value_length` @param report hears why something is no command */
  constructor(valueLength: number, report: (reason: string) => void) {
    this.#valueLength = valueLength
    this.#report = report
  }

  /** Bytes given that no event has covered yet. */
  get pending(): number {
    return this.#input.length - this.#at
  }

  push(text: string): void {
    this.#input = this.#at === this.#input.length ? text : this.#input.slice(this.#at) + text
    this.#at = 0
  }

  /** The next piece of text or command; null: more input is needed. */
  next(): SsiEvent | null {
    if (this.#state === State.TEXT) {
      const text = this.#text()
      if (text !== null) return text
    }
    while (this.#at < this.#input.length && this.#state !== State.TEXT) {
      const event = this.#step(this.#input[this.#at++])
      if (event !== null) return event
    }
    return null
  }

  /** No more input comes: text that could have become a command is text. */
  end(): string {
    const rest = this.#state === State.TEXT ? this.#input.slice(this.#at) : ''
    this.#at = this.#input.length
    return rest
  }

  /** Text up to a command, which becomes the state; null: there is none. */
  #text(): SsiEvent | null {
    const input = this.#input
    const from = this.#at
    const found = input.indexOf(OPENING, from)
    const end = found < 0 ? input.length - partialOpening(input, from) : found
    this.#at = end
    if (end > from) return { kind: 'text', text: input.slice(from, end) }
    if (found >= 0) {
      this.#at = found + OPENING.length
      this.#state = State.BEFORE_NAME
    }
    return null
  }

  #step(char: string): SsiEvent | null {
    switch (this.#state) {
      case State.BEFORE_NAME:
        if (isBlank(char)) return null
        this.#name = char
        this.#params = []
        this.#state = State.NAME
        return null
      case State.NAME:
        return this.#inName(char)
      case State.BEFORE_PARAM:
        return this.#beforeParam(char)
      case State.PARAM:
        return this.#inParam(char)
      case State.EQUAL:
        if (char === '=') this.#state = State.BEFORE_VALUE
        else if (!isBlank(char)) this.#break(char, `after "${this.#key}" parameter`)
        return null
      case State.BEFORE_VALUE:
        if (char === '"' || char === "'") {
          this.#quote = char
          this.#value = ''
          this.#state = State.VALUE
        } else if (!isBlank(char)) this.#break(char, `before value of "${this.#key}" parameter`)
        return null
      case State.VALUE:
        return this.#inValue(char)
      case State.ESCAPED:
        this.#state = State.VALUE
        this.#addToValue(char)
        return null
      case State.AFTER_VALUE:
        if (isBlank(char)) this.#state = State.BEFORE_PARAM
        else if (char === '-') this.#state = State.END0
        else this.#break(char, `after value of "${this.#key}" parameter`)
        return null
      default:
        return this.#ending(char)
    }
  }

  #inName(char: string): null {
    if (isBlank(char)) this.#state = State.BEFORE_PARAM
    else if (char === '-') this.#state = State.END0
    else if (this.#name.length < MAX_NAME) this.#name += char
    else {
      this.#report(`the "${this.#name}${char}..." SSI command is too long`)
      this.#state = State.BROKEN
    }
    return null
  }

  #beforeParam(char: string): null {
    if (isBlank(char)) return null
    if (char === '-') {
      this.#state = State.END0
      return null
    }
    this.#key = char
    this.#state = State.PARAM
    if (this.#params.length === MAX_PARAMS) {
      this.#report(`too many SSI command parameters: "${this.#name}"`)
      this.#state = State.BROKEN
    }
    return null
  }

  #inParam(char: string): null {
    if (isBlank(char)) this.#state = State.EQUAL
    else if (char === '=') this.#state = State.BEFORE_VALUE
    else if (char === '-') this.#break(char, `after "${this.#key}" parameter`)
    else if (this.#key.length < MAX_PARAM_NAME) this.#key += char
    else {
      this.#report(`too long "${this.#key}${char}..." parameter in "${this.#name}" SSI command`)
      this.#state = State.BROKEN
    }
    return null
  }

  #inValue(char: string): null {
    if (char === this.#quote) {
      this.#params.push({ name: this.#key, value: this.#value })
      this.#state = State.AFTER_VALUE
      return null
    }
    // The backslash stays: what it means is for whoever evaluates the value.
    if (char === '\\') this.#state = State.ESCAPED
    this.#addToValue(char)
    return null
  }

  #addToValue(char: string): void {
    if (this.#value.length < this.#valueLength) {
      this.#value += char
      return
    }
    this.#report(`too long value of "${this.#key}" parameter in "${this.#name}" SSI command`)
    this.#state = State.BROKEN
  }

  #ending(char: string): SsiEvent | null {
    switch (this.#state) {
      case State.END0:
        if (char === '-') this.#state = State.END1
        else this.#break(char, '')
        return null
      case State.END1:
        if (char !== '>') {
          this.#break(char, '')
          return null
        }
        this.#state = State.TEXT
        return { kind: 'command', name: this.#name, params: this.#params }
      case State.BROKEN:
        if (char === '-') this.#state = State.BROKEN_END0
        return null
      case State.BROKEN_END0:
        this.#state = char === '-' ? State.BROKEN_END1 : State.BROKEN
        return null
      default:
        this.#state = char === '>' ? State.TEXT : State.BROKEN
        return char === '>' ? { kind: 'error' } : null
    }
  }

  #break(char: string, where: string): void {
    const at = where === '' ? '' : `${where} `
    this.#report(`unexpected "${char}" symbol ${at}in "${this.#name}" SSI command`)
    this.#state = char === '-' ? State.BROKEN_END0 : State.BROKEN
  }
}

function isBlank(char: string): boolean {
  return char === ' ' || char === '\t' || char === '\r' || char === '\n'
}

/** How many characters at the end of `text` could begin a command. */
function partialOpening(text: string, from: number): number {
  for (let size = Math.min(OPENING.length - 1, text.length - from); size > 0; size--) {
    if (text.endsWith(OPENING.slice(0, size))) return size
  }
  return 0
}
