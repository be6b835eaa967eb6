// How different servers would read the bytes of one forwarded request. A proxy writes one request on a connection (the
// recording upstream closes after each answer), so every reading must end exactly where the bytes end. Pure functions.

/** Where one way of reading says that the first request ends; Infinity: it waits for more bytes. */
const READINGS = {
  /** RFC 9112: an exact `Transfer-Encoding: chunked` wins over a length. */
  strict: (head) => (isChunkedExactly(head) ? 'chunked' : length(head)),
  /** A server that takes anything alike for chunked, and a bare CR for the end of a line. */
  lenient: (head) => (hasChunkedLookalike(head) ? 'chunked' : length(head)),
  /** A server that looks at the length first. */
  lengthFirst: (head) => (length(head) > 0 || !isChunkedExactly(head) ? length(head) : 'chunked'),
}

const LOOKALIKE = /transfer[^a-z0-9]?encoding/
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/**
 * Judges what an upstream got on one connection.
 * @param {string} bytes latin1
 * @returns {{ smuggled: string | null, unclean: string[] }} reasons
 */
export function judgeForwarded(bytes) {
  const headEnd = /\r?\n\r?\n/.exec(bytes)
  if (headEnd === null) return { smuggled: null, unclean: [] } // nothing that a server would act on
  const head = bytes.slice(0, headEnd.index)
  const bodyStart = headEnd.index + headEnd[0].length
  const ends = Object.entries(READINGS).map(([name, frame]) => [name, endOf(bytes, bodyStart, frame(head))])
  return {
    smuggled: disagreement(ends, bytes),
    unclean: [...uncleanHead(head), ...uncleanBody(bytes, bodyStart, head)],
  }
}

/** True when a client's head asks for chunked in a way that every server understands. */
export function isChunkedExactly(head) {
  const codings = fieldLines(head).filter((line) => /^transfer-encoding:/i.test(line))
  return codings.length === 1 && /^transfer-encoding:[ \t]*chunked[ \t]*$/i.test(codings[0])
}

function disagreement(ends, bytes) {
  const strictEnd = ends[0][1]
  for (const [name, end] of ends) {
    if (end !== strictEnd) return `a ${name} reader ends the request at ${end}, a strict one at ${strictEnd}`
  }
  if (strictEnd < bytes.length)
    return `${bytes.length - strictEnd} bytes after the request: ${bytes.slice(strictEnd, strictEnd + 40)}`
  return null
}

function endOf(bytes, start, framing) {
  if (framing !== 'chunked')
    return start + framing > bytes.length ? Number.POSITIVE_INFINITY : start + framing
  let at = start
  for (;;) {
    const line = /([0-9a-fA-F]+)[^\n]*\n/y
    line.lastIndex = at
    const match = line.exec(bytes)
    if (match === null) return Number.POSITIVE_INFINITY
    const size = Number.parseInt(match[1], 16)
    at = line.lastIndex + size
    if (size === 0) return endOfTrailers(bytes, line.lastIndex)
    at += bytes.startsWith('\r\n', at) ? 2 : bytes[at] === '\n' ? 1 : 0
    if (at >= bytes.length) return Number.POSITIVE_INFINITY
  }
}

function endOfTrailers(bytes, start) {
  let at = start
  for (;;) {
    const newline = bytes.indexOf('\n', at)
    if (newline === -1) return Number.POSITIVE_INFINITY
    const line = bytes.slice(at, newline)
    at = newline + 1
    if (line === '' || line === '\r') return at
  }
}

function uncleanHead(head) {
  const reasons = []
  const [requestLine, ...lines] = head.split('\r\n')
  if (/[\r\n]/.test(requestLine + lines.join(''))) reasons.push('bare CR or LF in the head')
  if (!/^[!-~]+ [!-~\x80-\xff]+ HTTP\/1\.[01]$/.test(requestLine)) reasons.push(`request line ${requestLine}`)
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon))
    if (!TOKEN.test(name)) reasons.push(`field name in ${line}`)
    if (/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(line.slice(colon))) reasons.push(`control byte in ${line}`)
    if (isLookalike(name) && name.toLowerCase() !== 'transfer-encoding') reasons.push(`lookalike ${line}`)
  }
  const lengths = valuesOf(lines, 'content-length')
  const codings = valuesOf(lines, 'transfer-encoding')
  if (lengths.length > 1) reasons.push('two lengths')
  if (lengths.some((value) => !/^\d+$/.test(value))) reasons.push(`length ${lengths.join()}`)
  if (lengths.length > 0 && codings.length > 0) reasons.push('length and Transfer-Encoding')
  if (codings.length > 1 || codings.some((value) => value.toLowerCase() !== 'chunked')) {
    reasons.push(`Transfer-Encoding ${codings.join()}`)
  }
  return reasons
}

/** Chunks must be framed as RFC 9112 section 7.1 says, to the byte. */
function uncleanBody(bytes, start, head) {
  if (!isChunkedExactly(head)) return []
  let at = start
  while (at < bytes.length) {
    const line = /([0-9a-fA-F]{1,16})\r\n/y
    line.lastIndex = at
    const match = line.exec(bytes)
    if (match === null) return [`chunk line ${bytes.slice(at, at + 30)}`]
    const size = Number.parseInt(match[1], 16)
    at = line.lastIndex + size
    if (size === 0) return bytes.startsWith('\r\n', at) || at === bytes.length ? [] : ['trailers']
    if (at < bytes.length && !bytes.startsWith('\r\n', at)) return ['a chunk does not end in CRLF']
    at += 2
  }
  return []
}

function hasChunkedLookalike(head) {
  return head.split(/[\r\n]+/).some((line) => {
    const colon = line.indexOf(':')
    return colon !== -1 && isLookalike(line.slice(0, colon)) && /chunked/i.test(line.slice(colon))
  })
}

function isLookalike(name) {
  return LOOKALIKE.test(name.toLowerCase().replace(/[\x00-\x20\x7f-\xff]+$|^[\x00-\x20\x7f-\xff]+/g, ''))
}

function length(head) {
  const [value] = valuesOf(fieldLines(head), 'content-length')
  return Number.parseInt(value ?? '0', 10) || 0
}

function fieldLines(head) {
  return head.split(/\r?\n/).slice(1)
}

function valuesOf(lines, lowerName) {
  return lines
    .map((line) => /^([^:]*):[ \t]*(.*?)[ \t]*$/s.exec(line))
    .filter((match) => match?.[1].toLowerCase() === lowerName)
    .map((match) => match[2])
}
