/**
 * The request to the upstream: which URI, which fields. Compiled per location; the built head is one string.
 * Framing and hop-by-hop fields are always written anew (RFC 9110 section 7.6.1), never copied from the client.
 */
import { Field, type FieldBlock, fieldId } from '../http1/fields.ts'
import { escapeUri } from '../http1/uri.ts'
import type { Exchange } from './exchange.ts'
import { isFraming } from './field-edits.ts'
import type { Binder, Effective, Getter, ProxyTarget, UpstreamRequestPlan } from './plan.ts'
import { OWN_FIELDS } from './web-socket-offer.ts'

/** What of the location decides how its name is cut from the URI. */
export interface LocationName {
  readonly kind: string
  readonly name: string
}

interface SetField {
  /** `Name: ` */
  readonly prefix: string
  readonly value: Getter
  /** A WebSocket that the proxy speaks itself writes this one too. */
  readonly handshake: boolean
}

export function compileUpstreamRequest(
  settings: Effective,
  location: LocationName,
  binder: Binder,
): UpstreamRequestPlan {
  const overrides = new Overrides(settings, binder)
  const method = settings.proxyMethod === undefined ? null : binder.bind(settings.proxyMethod)
  const body = settings.proxySetBody === undefined ? null : binder.bind(settings.proxySetBody)
  const tail = settings.proxyHttpVersion === '1.0' ? ' HTTP/1.0\r\n' : ' HTTP/1.1\r\n'
  const passFields = settings.proxyPassRequestHeaders
  const passBody = settings.proxyPassRequestBody
  const cut = location.kind === 'pattern' || location.kind === 'named' ? 0 : location.name.length
  const head = (x: Exchange, target: ProxyTarget): string => {
    let text = `${method === null ? x.method : method(x)} ${upstreamUri(x, target, cut)}${tail}`
    text += overrides.hostField(x, target)
    for (const field of overrides.fields) {
      const value = field.value(x)
      if (value !== '' && (x.relay === null || !field.handshake)) text += `${field.prefix + clean(value)}\r\n`
    }
    const connection = overrides.connectionFields(x)
    text += connection
    const webSocket = connection.startsWith('Upgrade: ') ? x.relay : null
    if (webSocket !== null) text += webSocket.offer.requestFields()
    if (body !== null) text += `Content-Length: ${body(x).length}\r\n`
    else if (passBody) text += bodyFields(x)
    if (passFields) text += overrides.passed(x, webSocket !== null)
    return `${text}\r\n`
  }
  const upgrades = (x: Exchange): boolean => overrides.connectionFields(x).startsWith('Upgrade: ')
  return { head, body, upgrades, version: settings.proxyHttpVersion }
}

/** nginx's rule for the URI: replaced behind the location's name, or passed on as it came. */
export function upstreamUri(x: Exchange, target: ProxyTarget, cut: number): string {
  const { uri } = target
  if (target.whole && uri !== null) return inOneWord(uri)
  if (uri === null && x.unparsedValid) return x.unparsedUri
  const path =
    uri !== null && x.locationValid ? uri + escapeUri(x.path.slice(cut), 'uri') : escapeUri(x.path, 'uri')
  return x.args === '' ? path : inOneWord(`${path}?${x.args}`)
}

const ENDS_WORD = /[\x00-\x20\x7f]/g

/** What variables carry decoded into a target or a query must not end it, let alone the request line. */
function inOneWord(target: string): string {
  return target.search(ENDS_WORD) < 0 ? target : target.replace(ENDS_WORD, (octet) => escapeUri(octet, 'uri'))
}

/** A value out of variables may hold what a client sent decoded: no line may be made of it. */
function clean(value: string): string {
  return /[\r\n\0]/.test(value) ? value.replace(/[\r\n\0]/g, '') : value
}

function bodyFields(x: Exchange): string {
  const { body } = x
  if (body === null || body.lost)
    return x.head.fields.find(Field.CONTENT_LENGTH) >= 0 ? 'Content-Length: 0\r\n' : ''
  const { length } = body
  return length >= 0 ? `Content-Length: ${length}\r\n` : 'Transfer-Encoding: chunked\r\n'
}

/** `proxy_set_header`, and which of the client's fields are not passed on because of it. */
class Overrides {
  readonly fields: SetField[] = []
  #host: Getter | null = null
  #connection: Getter | null = null
  #upgrade: Getter | null = null
  readonly #websocket: boolean
  /** 1: the field with this id is not passed on. */
  readonly #ids = new Uint8Array(256)
  readonly #names: string[] = []

  constructor(settings: Effective, binder: Binder) {
    this.#websocket = settings.proxyWebsocket && settings.proxyHttpVersion === '1.1'
    for (let id = 1; id < 256; id++) if (isFraming(id)) this.#ids[id] = 1
    this.#ids[Field.HOST] = 1
    this.#ids[Field.EXPECT] = 1
    for (const rule of settings.proxySetHeaders) this.#add(rule.name, binder.bind(rule.value))
  }

  #add(name: string, value: Getter): void {
    const id = fieldId(name)
    if (id === Field.HOST) this.#host = value
    else if (id === Field.CONNECTION) this.#connection = value
    else if (id === Field.UPGRADE) this.#upgrade = value
    else if (id !== Field.CONTENT_LENGTH && id !== Field.TRANSFER_ENCODING)
      this.fields.push({ prefix: `${name}: `, value, handshake: OWN_FIELDS.has(name.toLowerCase()) })
    if (id === Field.OTHER) this.#names.push(name.toLowerCase())
    else this.#ids[id] = 1
  }

  hostField(x: Exchange, target: ProxyTarget): string {
    const host = this.#host === null ? target.host : clean(this.#host(x))
    return host === '' ? `Host: ${target.host}\r\n` : `Host: ${host}\r\n`
  }

  /** An upgrade goes through by itself when it asks for a WebSocket and no field here says otherwise. */
  connectionFields(x: Exchange): string {
    const connection = this.#connection === null ? '' : clean(this.#connection(x))
    const upgrade = this.#upgrade === null ? '' : clean(this.#upgrade(x))
    if (this.#upgrade === null && connection === '' && this.#websocket && x.wantsWebSocket) {
      return 'Upgrade: websocket\r\nConnection: upgrade\r\n'
    }
    return (
      (upgrade === '' ? '' : `Upgrade: ${upgrade}\r\n`) +
      (connection === '' ? '' : `Connection: ${connection}\r\n`)
    )
  }

  /** The client's fields that go on, copied where they stand. */
  passed(x: Exchange, webSocket: boolean): string {
    const { block, hidden, extra } = x.requestHeaders
    const fields = block!
    const nominated = nominatedFields(fields)
    let text = ''
    for (let i = 0; i < fields.count; i++) {
      if (hidden !== null && hidden[i] === 1) continue
      const id = fields.id(i)
      if (this.#ids[id] === 1 || (id === Field.OTHER && this.#overridden(fields, i))) continue
      if (nominated?.has(fields.name(i).toLowerCase())) continue
      if (webSocket && OWN_FIELDS.has(fields.name(i).toLowerCase())) continue
      text += fields.line(i)
    }
    if (extra !== null) {
      for (let i = 0; i < extra.length; i += 2) {
        if (!webSocket || !OWN_FIELDS.has(extra[i].toLowerCase())) text += `${extra[i]}: ${extra[i + 1]}\r\n`
      }
    }
    return text
  }

  #overridden(fields: FieldBlock, index: number): boolean {
    for (const name of this.#names) if (fields.nameEquals(index, name)) return true
    return false
  }
}

/** Fields that the Connection field names end at this hop (RFC 9110 section 7.6.1); null in the common cases. */
export function nominatedFields(fields: FieldBlock): ReadonlySet<string> | null {
  const index = fields.find(Field.CONNECTION)
  if (index < 0) return null
  const value = fields.value(index)
  if (value === 'keep-alive' || value === 'close' || value === 'Upgrade' || value === 'upgrade') return null
  const names = new Set(value.toLowerCase().split(/[\s,]+/))
  for (const name of NEVER_NOMINATED) names.delete(name)
  return names.size === 0 ? null : names
}

/** Naming these would take from the receiver what it needs to tell who asks for what. */
const NEVER_NOMINATED = [
  '',
  'keep-alive',
  'close',
  'upgrade',
  'authorization',
  'cookie',
  'host',
  'content-type',
  'x-forwarded-for',
  'x-real-ip',
  'forwarded',
  'set-cookie',
  'www-authenticate',
]
