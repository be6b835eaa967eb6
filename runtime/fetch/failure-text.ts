/** Failures of the network in words that a script's author can act upon. Byte strings. */
import { getSystemErrorMap } from 'node:util'

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was closed before a complete answer',
  EPIPE: 'the connection was closed before a complete answer',
  ETIMEDOUT: 'the connection timed out',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'the network is unreachable',
  HPE_HEADER_OVERFLOW: 'the head of the answer is too large',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is for another name',
}

const MAX_TEXT = 300

export function failureText(error: NodeJS.ErrnoException): string {
  const { code = '', message, errno } = error
  const words = WORDS[code]
  if (words !== undefined) return words
  if (code.startsWith('HPE_')) return 'the answer is not HTTP/1.1'
  // OpenSSL's names of what is wrong with a certificate are Node's codes, its words the message.
  if (/^[A-Z_]*(?:CERT|SIGNATURE|CRL|ISSUER)[A-Z_]*$/.test(code))
    return `the certificate is refused: ${cut(message)}`
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO') return 'the TLS handshake failed'
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno)
  return known === undefined ? cut(message) : known[1]
}

function cut(text: string): string {
  return Buffer.from(text.slice(0, MAX_TEXT), 'utf8').toString('latin1')
}
