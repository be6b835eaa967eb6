/** Where a request's URI lies in the file system: `root` and `alias` (ngx_http_map_uri_to_path). */
import { join } from 'node:path'
import type { Exchange } from './exchange.ts'

/**
 * The file's path, not normalized beyond what the URI is: whoever opens it checks it (`isUnsafePath`), because a
 * rewrite or a variable in `root` may have brought `..` into it.
 */
export function mapPath(x: Exchange): string {
  const root = rootPath(x)
  const { alias, aliased } = x.location.files
  if (!alias || x.belowAlias) return root + x.path
  return aliased === null ? root : root + x.path.slice(aliased.length)
}

/** `$document_root`: the value of `root` or `alias` for this request, absolute. */
export function rootPath(x: Exchange): string {
  const root = x.location.files.root(x)
  return root.startsWith('/') ? root : join(x.generation.services.prefix, root)
}
