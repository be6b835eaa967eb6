/** The media type of a path by its extension (`types`, `default_type`). */
import type { Exchange } from './exchange.ts'

/** `Content-Type` for the request's path at its location. */
export function mediaType(x: Exchange): string {
  const { files } = x.location
  const extension = extensionOf(x.path)
  return (extension === '' ? undefined : files.types.get(extension)) ?? files.defaultType
}

/** What follows the last dot of the last segment, lower case; a dot at its beginning does not count. */
export function extensionOf(path: string): string {
  const dot = path.lastIndexOf('.')
  if (dot < 2 || path.charCodeAt(dot - 1) === 0x2f || path.indexOf('/', dot) >= 0) return ''
  return path.slice(dot + 1).toLowerCase()
}
