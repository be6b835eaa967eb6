/**
 * What a fleet keeps in its Redis, and how it is read from there: strictly, since anybody may have written it. Pure; knows
 * neither Redis nor what signs it.
 *
 *   record     of a script: what it is to serve everywhere, by a serial number that grows with every change
 *   proposal   of a change, before anybody has said whether it could serve by it
 *   answer     of one machine to a proposal, and later to the record
 */
import { createHash } from 'node:crypto'
import type { CanaryShare, FleetVersion, MachineState, RolloutKind } from './fleet.ts'
import { countOf, linesOf, listOf, Malformed, matchOf, membersOf, oneOf, textOf } from './strict.ts'

/** Versions that can be gone back to. */
export const MAX_EARLIER = 20
/** Bytes of a script: as many as one on the disk may have. */
export const MAX_SCRIPT = 1024 * 1024
/** Characters: of a record or proposal as it is kept, of a name, of an author, of a canary's key, of a reason. */
export const MAX_SEALED = 64 * 1024
export const MAX_NAME = 256
export const MAX_AUTHOR = 200
export const MAX_KEY = 1024
export const MAX_REASON = 4096
/** Hundredths of a percent. */
const WHOLE = 10_000
/** ms since the epoch that are a date. */
const MAX_TIME = 8.64e15

const KINDS = ['push', 'canary', 'promote', 'remove', 'rollback'] as const satisfies readonly RolloutKind[]
const VERSION_KINDS = [...KINDS, 'before'] as const satisfies readonly FleetVersion['kind'][]
const STATES = [
  'asked',
  'ready',
  'refused',
  'unused',
  'serving',
  'failed',
  'away',
] as const satisfies readonly MachineState[]

export const DIGEST = /^[0-9a-f]{64}$/
const ID = /^[0-9a-f]{16}$/

export interface FleetRecord {
  readonly name: string
  readonly serial: number
  /** Of the roll-out that has made it. */
  readonly id: string
  readonly kind: RolloutKind
  readonly author: string
  /** ms since the epoch */
  readonly at: number
  /** Why a canary was ended; else ''. */
  readonly reason: string
  readonly live: FleetVersion
  readonly canary: (FleetVersion & CanaryShare) | null
  /** The latest first. */
  readonly earlier: readonly FleetVersion[]
}

export interface Proposal {
  readonly id: string
  readonly kind: RolloutKind
  readonly name: string
  /** Of what is to be served. */
  readonly digest: string
  /** Of what the canary is to stand beside; '' where that is what changes. */
  readonly beside: string
  readonly author: string
  /** ms since the epoch */
  readonly at: number
  readonly canary: CanaryShare | null
}

export interface Answer {
  readonly state: MachineState
  readonly reason: string
  readonly generation: number
  /** ms */
  readonly took: number
  /** Of the last record of any script that the machine has taken over; 0: none. */
  readonly serial: number
}

/** Hash of a script's text. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}

export function isId(text: string): boolean {
  return ID.test(text)
}

/** The end of a path, as scripts are called: no path that leads anywhere else. */
export function isScriptName(name: string): boolean {
  if (name.length === 0 || name.length > MAX_NAME || /[\0-\x1f\x7f-\x9f\\]/.test(name)) return false
  return name.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

function nameOf(value: unknown): string {
  if (typeof value === 'string' && isScriptName(value)) return value
  throw new Malformed('the name is no name of a script')
}

/** @throws Malformed */
export function readRecord(value: unknown): FleetRecord {
  const { name, serial, id, kind, author, at, reason, live, canary, earlier } = membersOf(value, 'the record')
  return {
    name: nameOf(name),
    serial: countOf(serial, 'the serial number'),
    id: matchOf(id, 'the id', ID),
    kind: oneOf(kind, 'the kind', KINDS),
    author: textOf(author, 'the author', MAX_AUTHOR),
    at: countOf(at, 'the time', MAX_TIME),
    reason: textOf(reason, 'the reason', MAX_REASON),
    live: readVersion(live),
    canary: canary === null ? null : { ...readVersion(canary), ...readShare(canary) },
    earlier: listOf(earlier, 'the list of versions', MAX_EARLIER, readVersion),
  }
}

function readVersion(value: unknown): FleetVersion {
  const { digest, author, at, kind } = membersOf(value, 'a version')
  return {
    digest: matchOf(digest, 'a digest', DIGEST),
    author: textOf(author, 'an author', MAX_AUTHOR),
    at: countOf(at, 'the time of a version', MAX_TIME),
    kind: oneOf(kind, 'the kind of a version', VERSION_KINDS),
  }
}

function readShare(value: unknown): CanaryShare {
  const { percent, key } = membersOf(value, 'the canary')
  return { percent: countOf(percent, 'its share', WHOLE), key: textOf(key, 'its key', MAX_KEY) }
}

/** @throws Malformed */
export function readProposal(value: unknown): Proposal {
  const { id, kind, name, digest, beside, author, at, canary } = membersOf(value, 'the proposal')
  return {
    id: matchOf(id, 'the id', ID),
    kind: oneOf(kind, 'the kind', KINDS),
    name: nameOf(name),
    digest: matchOf(digest, 'the digest', DIGEST),
    beside: beside === '' ? '' : matchOf(beside, 'the digest beside it', DIGEST),
    author: textOf(author, 'the author', MAX_AUTHOR),
    at: countOf(at, 'the time', MAX_TIME),
    canary: canary === null ? null : readShare(canary),
  }
}

/** @throws Malformed */
export function readAnswer(value: unknown): Answer {
  const { state, reason, generation, took, serial } = membersOf(value, 'the answer')
  return {
    state: oneOf(state, 'the state', STATES),
    reason: linesOf(reason, 'the reason', MAX_REASON),
    generation: countOf(generation, 'the generation'),
    took: countOf(took, 'the time'),
    serial: countOf(serial, 'the serial number'),
  }
}

/** All texts that a record names. */
export function digestsOf({ live, canary, earlier }: FleetRecord): Set<string> {
  const versions = canary === null ? [live, ...earlier] : [live, canary, ...earlier]
  return new Set(versions.map(({ digest }) => digest))
}

/** Of its reason, without the line of the script below it. */
export function firstLine({ reason }: Pick<Answer, 'reason'>): string {
  return reason.split('\n')[0]
}
