/**
 * Variables that follow from a request as a hook has it, without asking anybody: nginx's `$uri`, `$args`, `$arg_NAME`,
 * `$http_NAME`, `$cookie_NAME` and their kin. Byte strings.
 */
import type { HookRequest } from '../phases.ts'

const FIXED: Readonly<Record<string, (r: HookRequest) => string | undefined>> = {
  uri: (r) => r.uri,
  document_uri: (r) => r.uri,
  args: (r) => r.rawArgs,
  query_string: (r) => r.rawArgs,
  is_args: (r) => (r.rawArgs === '' ? '' : '?'),
  request_method: (r) => r.method,
  remote_addr: (r) => r.remoteAddress,
  server_protocol: (r) => `HTTP/${r.httpVersion}`,
  content_type: (r) => r.requestHeaders.get('content-type'),
  content_length: (r) => r.requestHeaders.get('content-length'),
}

/** How a variable follows from the request; null: it does not. @param name without the dollar */
export function derivedVariable(name: string): ((r: HookRequest) => string | undefined) | null {
  const lower = name.toLowerCase()
  if (Object.hasOwn(FIXED, lower)) return FIXED[lower]
  const [, kind, rest] = /^(arg|http|cookie)_(.+)$/.exec(lower) ?? []
  if (kind === 'arg') return (r) => argument(r.rawArgs, rest)
  if (kind === 'http') return (r) => r.requestHeaders.get(rest.replaceAll('_', '-'))
  if (kind === 'cookie') return (r) => cookie(r.requestHeaders.get('cookie') ?? '', rest)
  return null
}

/** The first of that name, in any case. @param name in lower case */
function argument(args: string, name: string): string | undefined {
  const found = args.split('&').find((arg) => arg.toLowerCase().startsWith(`${name}=`))
  return found?.slice(name.length + 1)
}

function cookie(header: string, name: string): string | undefined {
  const found = header
    .split(';')
    .map((pair) => pair.trimStart())
    .find((pair) => pair.toLowerCase().startsWith(`${name}=`))
  return found?.slice(name.length + 1)
}
