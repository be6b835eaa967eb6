/**
 * DNS messages (RFC 1035 section 4): one question as bytes, and what an answer to it says. Answers come from anywhere, so
 * whatever is not to the letter, or does not answer the question, is none. No I/O; knows no servers and no time.
 */
import { SocketAddress } from 'node:net'
import { MAX_NAME, MalformedMessage, NameReader } from './name-reader.ts'

export type QuestionType = 'A' | 'AAAA' | 'SRV'

export interface NameQuestion {
  /** Lower case, without a dot at its end. */
  readonly name: string
  readonly type: QuestionType
}

/** RFC 2782 */
export interface ServiceRecord {
  readonly name: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

export interface NameMessage {
  /** RCODE: 0 no error, 3 no such name. */
  readonly code: number
  /** TC: the whole answer is to be asked for over TCP. */
  readonly truncated: boolean
  readonly addresses: readonly string[]
  readonly services: readonly ServiceRecord[]
  /** What the name stands for, where the answer says no more (CNAME); '': nothing. */
  readonly alias: string
  /** Seconds that it holds; Infinity: untold. */
  readonly ttl: number
}

export const NO_ERROR = 0
export const FORMAT_ERROR = 1
export const NO_SUCH_NAME = 3
/** REFUSED is the last code that a plain question is answered with. */
export const LAST_CODE = 5

const TYPES = { A: 1, AAAA: 28, SRV: 33 } as const
const CNAME = 5
const CLASS_IN = 1
const HEAD = 12
/** A question that asks for recursion. */
const FLAGS_ASKED = 0x0100
/** QR, opcode and the reserved bit: of these a response to a plain question has the first alone. */
const FLAGS_KIND = 0xf840
const FLAGS_RESPONSE = 0x8000
const FLAG_TRUNCATED = 0x0200
const MAX_LABEL = 63
/** As RFC 2181 section 8: a TTL of the other half of the range is 0. */
const MAX_TTL = 0x7fffffff

interface DnsRecord {
  readonly owner: string
  readonly ttl: number
  /** Of a CNAME. */
  readonly alias?: string
  readonly address?: string
  readonly service?: ServiceRecord
}

/** @param id 16 bits @returns null: there can be no such name */
export function writeQuestion(id: number, { name, type }: NameQuestion): Buffer | null {
  const labels = name.split('.')
  if (name.length > MAX_NAME || labels.some((label) => label === '' || label.length > MAX_LABEL)) return null
  const message = Buffer.alloc(HEAD + name.length + 6)
  message.writeUInt16BE(id, 0)
  message.writeUInt16BE(FLAGS_ASKED, 2)
  message.writeUInt16BE(1, 4)
  let at = HEAD
  for (const label of labels) {
    at = message.writeUInt8(label.length, at)
    at += message.write(label, at, 'latin1')
  }
  at = message.writeUInt8(0, at)
  at = message.writeUInt16BE(TYPES[type], at)
  message.writeUInt16BE(CLASS_IN, at)
  return message
}

/** @returns null: it is no answer to this question, or not to the letter */
export function readMessage(message: Buffer, id: number, question: NameQuestion): NameMessage | null {
  if (message.length < HEAD || message.readUInt16BE(0) !== id) return null
  const flags = message.readUInt16BE(2)
  if ((flags & FLAGS_KIND) !== FLAGS_RESPONSE) return null
  const code = flags & 0xf
  const truncated = (flags & FLAG_TRUNCATED) !== 0
  const nothing = { code, truncated, addresses: [], services: [], alias: '', ttl: Infinity }
  // Who cannot read a question cannot repeat it.
  if (code === FORMAT_ERROR) return { ...nothing, truncated: false }
  try {
    const reader = new NameReader(message, HEAD)
    if (!repeats(reader, message, question)) return null
    if (truncated || code !== NO_ERROR) return nothing
    return {
      ...nothing,
      ...follow(readRecords(reader, message.readUInt16BE(6), question.type), question.name),
    }
  } catch (error) {
    if (error instanceof MalformedMessage) return null
    throw error
  }
}

function repeats(reader: NameReader, message: Buffer, { name, type }: NameQuestion): boolean {
  if (message.readUInt16BE(4) !== 1) return false
  return reader.name() === name && reader.uint16() === TYPES[type] && reader.uint16() === CLASS_IN
}

/** Records of other types and classes are passed over. */
function readRecords(reader: NameReader, count: number, wanted: QuestionType): DnsRecord[] {
  const records: DnsRecord[] = []
  for (let i = 0; i < count; i++) {
    const owner = reader.name()
    const type = reader.uint16()
    const isInternet = reader.uint16() === CLASS_IN
    const told = reader.uint32()
    const end = reader.uint16() + reader.at
    const ttl = told > MAX_TTL ? 0 : told
    if (isInternet && type === CNAME) records.push({ owner, ttl, alias: reader.name() })
    else if (isInternet && type === TYPES[wanted]) records.push({ owner, ttl, ...readData(reader, wanted) })
    else reader.skipTo(end)
    if (reader.at !== end) throw new MalformedMessage()
  }
  return records
}

function readData(reader: NameReader, type: QuestionType): Pick<DnsRecord, 'address' | 'service'> {
  if (type === 'A') return { address: reader.bytes(4).join('.') }
  if (type === 'AAAA') return { address: ipv6Text(reader.bytes(16)) }
  const [priority, weight, port] = [reader.uint16(), reader.uint16(), reader.uint16()]
  return { service: { name: reader.name(), port, priority, weight } }
}

/** What belongs to the name, directly or through aliases: an answer may hold anything else beside it. */
function follow(records: readonly DnsRecord[], name: string) {
  const aliases = new Map<string, DnsRecord>()
  for (const record of records) if (record.alias !== undefined) aliases.set(record.owner, record)
  let owner = name
  let ttl = Infinity
  for (let next = aliases.get(owner); next !== undefined; next = aliases.get(owner)) {
    // Each is gone through once: they may stand for each other.
    aliases.delete(owner)
    ttl = Math.min(ttl, next.ttl)
    owner = next.alias!
  }
  const own = records.filter((record) => record.owner === owner && record.alias === undefined)
  for (const record of own) ttl = Math.min(ttl, record.ttl)
  return {
    addresses: own.flatMap(({ address }) => address ?? []),
    services: own.flatMap(({ service }) => service ?? []),
    alias: own.length > 0 || owner === name ? '' : owner,
    ttl,
  }
}

/** As Node writes it, which all processes agree on. */
function ipv6Text(bytes: Buffer): string {
  const words = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16))
  return new SocketAddress({ address: words.join(':'), family: 'ipv6' }).address
}
