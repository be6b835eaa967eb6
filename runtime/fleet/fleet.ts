/**
 * Machines that share a Redis share their scripts: what a machine's admin API can ask of the fleet. Every change is a
 * roll-out in two steps: each machine loads the version beside what serves and says whether it could serve by it; when
 * all that are there have said so, it is recorded, and each serves by it.
 */

/** What is to be served, and by whom. */
export type RolloutKind = 'push' | 'canary' | 'promote' | 'remove' | 'rollback'

export interface Push {
  /** As the admin API names scripts: the end of the file's path that no other script has. */
  readonly name: string
  readonly text: string
  readonly author: string
  /** Beside what serves, for a share of the keys; absent: in its place. */
  readonly canary?: CanaryShare
}

export interface CanaryShare {
  /** Hundredths of a percent. */
  readonly percent: number
  /** A text with nginx variables; '': the client's address. */
  readonly key: string
}

/**
 * `asked`: no answer yet; `ready`: it could serve by it; `refused`: it could not; `unused`: it has no such script;
 * `serving`; `failed`: it was ready, and then it did not work; `away`: it has not answered in time, and catches up when
 * it is back.
 */
export type MachineState = 'asked' | 'ready' | 'refused' | 'unused' | 'serving' | 'failed' | 'away'

export interface MachineProgress {
  readonly machine: string
  readonly state: MachineState
  /** Why it was refused or failed; else ''. */
  readonly reason: string
  /** That serves by it; 0: none. */
  readonly generation: number
  /** ms from when the machine was told to when it served; 0: it does not. */
  readonly took: number
}

export interface Rollout {
  /** '': there is none, since it is recorded and serves everywhere already. */
  readonly id: string
  readonly kind: RolloutKind
  readonly name: string
  /** Hash of what is to be served. */
  readonly digest: string
  readonly author: string
  /** ms since the epoch */
  readonly at: number
  readonly canary: CanaryShare | null
  /** `asking`: machines validate; `refused`: nothing has changed; `recorded`: machines change; `done`: all that are there have answered. */
  readonly state: 'asking' | 'refused' | 'recorded' | 'done'
  /** Why it was refused; else ''. */
  readonly reason: string
  readonly machines: readonly MachineProgress[]
}

/** A version that the fleet has recorded. */
export interface FleetVersion {
  readonly digest: string
  /** '': nobody has pushed it. */
  readonly author: string
  /** ms since the epoch */
  readonly at: number
  /** `before`: it served when the first version was pushed. */
  readonly kind: RolloutKind | 'before'
}

export interface FleetScript {
  readonly name: string
  /** Grows with every change, over all scripts. */
  readonly serial: number
  /** Name of a newer record of what is the same file on this machine, which serves by that; '': none. */
  readonly supersededBy: string
  readonly live: FleetVersion
  readonly canary: (FleetVersion & CanaryShare) | null
  /** Those before, the latest first. */
  readonly earlier: readonly FleetVersion[]
}

export interface FleetMachine {
  readonly machine: string
  /** Its process that takes signals. */
  readonly pid: number
  readonly version: string
  /** ms since the epoch that it was heard of last. */
  readonly seen: number
  readonly away: boolean
  /** It takes nothing that is not signed. */
  readonly signs: boolean
  /** Digest of what it serves, by the name of the record where there is one, and else by its own. */
  readonly scripts: Readonly<Record<string, string>>
  /** Names that it serves another version of than the fleet has recorded, and why. */
  readonly drift: Readonly<Record<string, string>>
}

export interface FleetStatus {
  /** This machine's name. */
  readonly machine: string
  /** Redis is there. */
  readonly connected: boolean
  readonly signed: boolean
  /** None where Redis is away; the scripts are those that were seen last. */
  readonly machines: readonly FleetMachine[]
  readonly scripts: readonly FleetScript[]
}

/** What the fleet has recorded, taken over by this machine in place of its own. */
export interface Adoption {
  readonly file: string
  /** That serves by it. */
  readonly generation: number
  /** ms */
  readonly took: number
  /** Files in which what it had itself is kept. */
  readonly kept: readonly string[]
}

/** What could not be asked of the fleet, and what to do instead. */
export class FleetError extends Error {
  readonly code: 'unavailable' | 'unknown' | 'refused' | 'conflict'

  constructor(code: FleetError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export interface Fleet {
  /** `store redis://…` is configured, and `script_fleet` is not off. All else throws FleetError where it is false. */
  readonly on: boolean
  /** @returns once all machines have answered, `refused` or `recorded`; or at once, if so wanted @throws FleetError */
  push(push: Push, wait: 'verdict' | 'nothing'): Promise<Rollout>
  /** To the version before. @throws FleetError when there is none, or a canary stands beside it */
  rollback(name: string, author: string): Promise<Rollout>
  /** A canary takes the script's place. @throws FleetError when there is none */
  promote(name: string, author: string): Promise<Rollout>
  /** Ends a canary. @throws FleetError when there is none */
  removeCanary(name: string, author: string, reason: string): Promise<Rollout>
  /** What is recorded in place of what this machine alone has; changes no other one. @throws FleetError */
  adopt(name: string): Promise<Adoption>
  /** What the fleet calls a script that has another name here; else the name itself. */
  recordedName(name: string): string
  /** @throws FleetError when it is not known (any more) */
  rollout(id: string): Promise<Rollout>
  status(): Promise<FleetStatus>
}
