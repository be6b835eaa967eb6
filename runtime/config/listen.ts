/** `listen`: addresses, port ranges and parameters of a listening socket (ngx_http_core_module, `listen`). */
import { invalidParameter } from './directive.ts'
import type { Word } from './lexer.ts'
import type { Call, Draft, ListenDraft } from './scope.ts'
import { type Endpoint, parseCount, parseEndpoint, parseSize, parseTime } from './values.ts'

/** nginx's own default on Linux. */
export const DEFAULT_BACKLOG = 511

type Options = Draft<
  Pick<
    ListenDraft,
    'defaultServer' | 'backlog' | 'ipv6only' | 'reuseport' | 'proxyProtocol' | 'http2' | 'setsOptions'
  >
>

export function parseListen(call: Call): void {
  const { run, args, scope } = call
  const [word, ...parameters] = args as [Word, ...Word[]]
  const endpoint = parseEndpoint(word.text, { listen: true })
  if (typeof endpoint === 'string') {
    run.error(word.where, `${endpoint} in "listen ${word.text}"; write "ADDRESS:PORT", "PORT" or "unix:PATH"`)
    return
  }
  const options = defaultOptions()
  for (const parameter of parameters) readParameter(call, parameter, options)
  for (const { text, address } of expand(word.text, endpoint)) {
    scope.server!.listens.push({ where: call.where, text, address, ...options })
  }
}

/** What a server without `listen` listens on. */
export function implicitListen(where: ListenDraft['where']): ListenDraft {
  const port = process.getuid?.() === 0 ? 80 : 8000
  return { where, text: `*:${port}`, address: { host: '0.0.0.0', port }, ...defaultOptions() }
}

function defaultOptions(): Options {
  return {
    defaultServer: false,
    backlog: DEFAULT_BACKLOG,
    ipv6only: true,
    reuseport: false,
    proxyProtocol: false,
    http2: false,
    setsOptions: false,
  }
}

function expand(text: string, endpoint: Endpoint): Pick<ListenDraft, 'text' | 'address'>[] {
  if (endpoint.kind === 'unix') return [{ text, address: { path: endpoint.path } }]
  const { host } = endpoint
  const first = endpoint.port ?? 80
  if (endpoint.lastPort === null) return [{ text, address: { host, port: first } }]
  const prefix = text.replace(/[0-9]+-[0-9]+$/, '')
  return Array.from({ length: endpoint.lastPort - first + 1 }, (_, i) => ({
    text: `${prefix}${first + i}`,
    address: { host, port: first + i },
  }))
}

function readParameter(call: Call, word: Word, options: Options): void {
  const equals = word.text.indexOf('=')
  const key = equals < 0 ? word.text : word.text.slice(0, equals + 1)
  if (key === 'ssl' || key === 'quic') {
    call.run.error(word.where, `${UNBUILT[key]} is not built yet; remove "${key}"`)
  } else if (!Object.hasOwn(PARAMETERS, key)) {
    invalidParameter(call, word, '"default_server", "backlog=NUMBER" or another parameter of "listen"')
  } else {
    const instead = PARAMETERS[key]!(word.text.slice(key.length), options)
    if (instead) invalidParameter(call, word, instead)
  }
}

const UNBUILT = { ssl: 'TLS towards clients', quic: 'HTTP/3' } as const

/** Reads one parameter into the options; says what to write instead, or null. */
type ReadParameter = (value: string, options: Options) => string | null

const PARAMETERS: Readonly<Record<string, ReadParameter>> = {
  default_server: isDefault,
  default: isDefault,
  bind: (_, options) => setOption(options),
  'backlog=': (value, options) => {
    const backlog = parseCount(value)
    if (!backlog) return 'a number above 0'
    options.backlog = backlog
    return setOption(options)
  },
  'ipv6only=': (value, options) => {
    if (value !== 'on' && value !== 'off') return '"ipv6only=on" or "ipv6only=off"'
    options.ipv6only = value === 'on'
    return setOption(options)
  },
  reuseport: (_, options) => {
    options.reuseport = true
    return setOption(options)
  },
  proxy_protocol: (_, options) => {
    options.proxyProtocol = true
    return null
  },
  http2: (_, options) => {
    options.http2 = true
    return null
  },
  // Options of the socket that Node does not offer, or sets by itself: their form is checked.
  'setfib=': numberOption,
  'fastopen=': numberOption,
  'rcvbuf=': sizeOption,
  'sndbuf=': sizeOption,
  'accept_filter=': (_, options) => setOption(options),
  deferred: (_, options) => setOption(options),
  multipath: (_, options) => setOption(options),
  'so_keepalive=': (value, options) => {
    if (value !== 'on' && value !== 'off' && !isKeepaliveTriple(value)) {
      return '"on", "off" or "IDLE:INTERVAL:COUNT"'
    }
    return setOption(options)
  },
}

/** Parameters of the socket itself may be given once for an address. */
function setOption(options: Options): null {
  options.setsOptions = true
  return null
}

function isDefault(_: string, options: Options): null {
  options.defaultServer = true
  return null
}

function numberOption(value: string, options: Options): string | null {
  return parseCount(value) === null ? 'a whole number' : setOption(options)
}

function sizeOption(value: string, options: Options): string | null {
  return parseSize(value) === null ? 'a size, such as "64k"' : setOption(options)
}

function isKeepaliveTriple(value: string): boolean {
  const parts = value.split(':')
  const [idle = '', interval = '', count = ''] = parts
  const timesFit = [idle, interval].every((part) => part === '' || parseTime(part, 's') !== null)
  return parts.length <= 3 && timesFit && (count === '' || parseCount(count) !== null) && /[^:]/.test(value)
}
