/**
 * Records and proposals as they are kept: with a signature where this machine has a key (`script_sign_key`). The signature
 * covers the whole of a record, what it is of, and the prefix of the store, so that none serves as another.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { ConfigError } from '../config/config-error.ts'
import type { HttpModel } from '../config/model.ts'
import { type FleetRecord, MAX_SEALED, type Proposal, readProposal, readRecord } from './record.ts'
import { Malformed, membersOf, parseJson } from './strict.ts'

/** Bytes of a key that nobody guesses. */
const LEAST_KEY = 32
const LARGEST_KEY = 64 * 1024
const WORLD = 0o004
/** How what is signed ends. */
const SIGNED = /"signature":"[0-9a-f]{64}"\}$/

export class Seal {
  readonly #key: Buffer | null
  readonly #scope: string

  /** @param key null: nothing is signed, and nothing has to be @param scope the same on all machines of the fleet */
  constructor(key: Buffer | null, scope: string) {
    this.#key = key
    this.#scope = scope
  }

  get signs(): boolean {
    return this.#key !== null
  }

  /** This machine has no key, and the record has a signature: others do. */
  isUnchecked(record: string): boolean {
    return this.#key === null && SIGNED.test(record)
  }

  closeRecord(record: FleetRecord): string {
    return this.#close('record', readRecord(record))
  }

  /** @throws Malformed when it is none, or is not signed with this machine's key */
  openRecord(text: string): FleetRecord {
    return this.#open('record', text, readRecord)
  }

  closeProposal(proposal: Proposal): string {
    return this.#close('proposal', readProposal(proposal))
  }

  /** @throws Malformed as {@link openRecord} */
  openProposal(text: string): Proposal {
    return this.#open('proposal', text, readProposal)
  }

  #close(kind: string, value: object): string {
    const signature = this.#key === null ? '' : this.#sign(kind, value).toString('hex')
    return JSON.stringify({ [kind]: value, signature })
  }

  #open<T extends object>(kind: string, text: string, read: (value: unknown) => T): T {
    const members = membersOf(parseJson(text, MAX_SEALED), `the ${kind}`)
    const value = read(members[kind])
    if (this.#key === null) return value
    const { signature } = members
    if (typeof signature !== 'string' || signature === '')
      throw new Malformed(`the ${kind} is not signed, and this machine has a key (script_sign_key)`)
    const given = Buffer.from(signature, 'hex')
    const right = this.#sign(kind, value)
    if (given.length !== right.length || !timingSafeEqual(given, right))
      throw new Malformed(`the ${kind} is not signed with this machine's key (script_sign_key)`)
    return value
  }

  /** What was read has its members in one order, whatever the order they were written in. */
  #sign(kind: string, value: object): Buffer {
    const hmac = createHmac('sha256', this.#key!)
    return hmac.update(`sluice fleet ${kind} 1\n${this.#scope}\n${JSON.stringify(value)}`).digest()
  }
}

/** @param warn is told of a key that others may read @returns null where none is configured @throws ConfigError */
export function readSignKey(
  { scriptSignKey }: Pick<HttpModel, 'scriptSignKey'>,
  warn: (message: string) => void,
): Buffer | null {
  if (scriptSignKey === null) return null
  const { file, where } = scriptSignKey
  let text: string
  try {
    const { mode, size } = statSync(file)
    if (size > LARGEST_KEY) throw new Error(`it is larger than ${LARGEST_KEY} bytes`)
    text = readFileSync(file, 'latin1').trim()
    if ((mode & WORLD) !== 0)
      warn(`script_sign_key "${file}" can be read by everybody; type: chmod o-r ${file}`)
  } catch (error) {
    throw new ConfigError(where, `script_sign_key "${file}" cannot be read: ${(error as Error).message}`)
  }
  if (text.length >= LEAST_KEY) return Buffer.from(text, 'latin1')
  throw new ConfigError(
    where,
    `script_sign_key "${file}" holds no key of at least ${LEAST_KEY} bytes; make one: openssl rand -hex 32`,
  )
}
