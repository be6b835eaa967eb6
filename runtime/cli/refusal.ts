/** How a refusal looks on a terminal: the line that the log would get, and below it the script's own line with a caret. */
import type { Style } from './style.ts'

/** The message in one line, followed by the script's line where there is one. */
export function refusalText(error: unknown, style: Style): string {
  if (!(error instanceof Error)) return String(error)
  const excerpt = excerptOf(error)
  return excerpt === '' ? error.message : `${error.message}\n${caret(excerpt, style)}`
}

/** The two lines of an excerpt, the caret in a colour. */
export function caret(excerpt: string, { dim, red }: Style): string {
  return excerpt.replace(/^( *\d* \| )/gm, (margin) => dim(margin)).replace(/\^$/, (sign) => red(sign))
}

/**
 * While the proxy runs, the error log has the one line. Whoever looks on at a terminal gets the script's line as well.
 * @param stream usually stderr
 */
export function showExcerpt(error: unknown, stream: NodeJS.WriteStream, style: Style): void {
  const excerpt = excerptOf(error)
  if (stream.isTTY && excerpt !== '') stream.write(`${caret(excerpt, style)}\n`)
}

/** Of a `ScriptError`, or of one that a worker process has told. */
function excerptOf(error: unknown): string {
  return error instanceof Error && 'excerpt' in error ? String(error.excerpt) : ''
}
