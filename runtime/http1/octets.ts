/**
 * Which octets may stand where in an HTTP/1 message, as tables of 256 entries: one lookup a byte in the hot loops.
 * Knows no grammar beyond single octets.
 */

export const HT = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SP = 0x20
export const SLASH = 0x2f
export const COLON = 0x3a
export const DEL = 0x7f

/**
 * Classes of octets in a field name. nginx takes letters, digits and `-` for ordinary; `_` is ordinary where
 * `underscores_in_headers` is on; the rest of RFC 9110's `tchar` is a token all the same.
 */
export const NameOctet = { NEVER: 0, PLAIN: 1, UNDERSCORE: 2, TOKEN: 3, FOREIGN: 4 } as const

const ALNUM = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

function table(fill: (octet: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, octet) => fill(octet))
}

function isOneOf(octet: number, characters: string): boolean {
  return characters.includes(String.fromCharCode(octet))
}

/** {@link NameOctet} of each octet; NEVER for controls, space and the colon. */
export const NAME_OCTETS = table((octet) => {
  if (isOneOf(octet, `${ALNUM}-`)) return NameOctet.PLAIN
  if (octet === 0x5f) return NameOctet.UNDERSCORE
  if (isOneOf(octet, "!#$%&'*+.^`|~")) return NameOctet.TOKEN
  return octet <= SP || octet === DEL || octet === COLON ? NameOctet.NEVER : NameOctet.FOREIGN
})

/** 1 where an octet may stand in a field value: RFC 9110 section 5.5, obs-text included, controls but HTAB not. */
export const VALUE_OCTETS = table((octet) => (octet === HT || (octet >= SP && octet !== DEL) ? 1 : 0))

/** 1 where an octet may stand in a request target. As nginx: everything but controls and space. */
export const TARGET_OCTETS = table((octet) => (octet > SP && octet !== DEL ? 1 : 0))

/** 1 where nginx takes an octet in a method: upper-case letters, `_` and `-`. */
export const METHOD_OCTETS = table((octet) => (isOneOf(octet, 'ABCDEFGHIJKLMNOPQRSTUVWXYZ_-') ? 1 : 0))

/** The value of a hexadecimal digit; 16 for every other octet. */
export const HEX_VALUES = table((octet) => {
  const value = '0123456789abcdef'.indexOf(String.fromCharCode(octet).toLowerCase())
  return value === -1 ? 16 : value
})

/** ASCII letters in lower case; every other octet as it is. */
export const LOWER_CASE = table((octet) => (octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet))

/** True for the optional white space of RFC 9110 section 5.6.3. */
export function isBlank(octet: number): boolean {
  return octet === SP || octet === HT
}
