/**
 * What was changed of upstream groups while they serve, for a worker that joins. As in the workers: a change holds for as
 * long as the configuration has the same group. Bounded.
 */
import type { UpstreamModel } from '../config/model.ts'
import type { ServerChange } from '../control.ts'

/** Kept in all; another change of the same server takes no more room. */
const MAX_CHANGES = 10_000

export class ChangeLog {
  #changes: ServerChange[] = []
  #groups = new Map<string, string>()

  get all(): readonly ServerChange[] {
    return this.#changes
  }

  note(change: ServerChange): void {
    const before = this.#changes.find((other) => isSame(other, change))
    const joined =
      before === undefined || before.kind === 'remove' || change.kind === 'remove'
        ? change
        : { ...change, options: { ...before.options, ...change.options } }
    this.#changes = [...this.#changes.filter((other) => other !== before), joined].slice(-MAX_CHANGES)
  }

  /** These groups serve from now on. */
  adopt(upstreams: readonly UpstreamModel[]): void {
    const groups = new Map(upstreams.map((model) => [model.name, textOf(model)]))
    this.#changes = this.#changes.filter(({ group }) => groups.get(group) === this.#groups.get(group))
    this.#groups = groups
  }
}

function isSame(a: ServerChange, b: ServerChange): boolean {
  return a.kind === 'patch' && b.kind === 'patch' && a.group === b.group && a.server === b.server
}

function textOf(model: UpstreamModel): string {
  return JSON.stringify(model, (key, value) => (key === 'where' ? undefined : value))
}
