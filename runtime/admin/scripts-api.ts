/**
 * `/api/v1/scripts` and `/api/v1/generations`: what serves, and another version of it; on all machines where there is a
 * fleet, unless this machine alone is meant.
 */
import type { Control } from '../control.ts'
import { isCanaryFile } from '../fleet/canary-overlay.ts'
import { replaceFile } from '../lib/atomic-write.ts'
import { nameOf } from '../script-names.ts'
import type { ScriptStatus } from '../script-registry.ts'
import { textIn } from '../script-snapshot.ts'
import type { SwapResult } from '../swap.ts'
import type { FleetApi, FleetChange, FleetWish } from './fleet-api.ts'
import { type ChangeQuery, readQuery } from './fleet-request.ts'
import { Refusal } from './problem.ts'
import { type ApiRequest, invalid, json, type Reply, readObject } from './reply.ts'
import { fileOf } from './script-names.ts'

export class ScriptsApi {
  readonly #control: Control
  readonly #fleet: FleetApi

  constructor(control: Control, fleet: FleetApi) {
    this.#control = control
    this.#fleet = fleet
  }

  async list(): Promise<Reply> {
    const rows = await this.#control.scripts()
    const files = this.#control.scriptFiles
    const scripts = rows.map((row) => ({ name: nameOf(row.file, files), ...row }))
    const own = new Set(rows.map(({ file }) => file))
    const modules = files
      .filter((file) => !own.has(file))
      .map((file) => ({ name: nameOf(file, files), file }))
    return json({ scripts, modules })
  }

  async get(name: string): Promise<Reply> {
    const { file, versions } = await this.#find(name)
    const source = textIn(file, await this.#control.snapshot())
    const digest = versions.find(({ state }) => state !== 'quarantined')?.digest
    return json({ name, file, versions, source }, 200, digest === undefined ? {} : { ETag: `"${digest}"` })
  }

  /** One act: loaded everywhere, then written to the disk, then served everywhere; or nothing of it. */
  async put(name: string, request: ApiRequest): Promise<Reply> {
    const query = readQuery(request, ['local', 'canary', 'key', 'wait'])
    if (this.#fleet.on && !query.local) return this.#putEverywhere(name, request, query)
    if (query.canary !== null) {
      throw new Refusal(
        409,
        'no fleet',
        'a canary is pushed to the machines that share a Redis; "store redis://…" makes a fleet, "script_canary" a canary without one',
      )
    }
    const { file, versions } = await this.#find(name)
    checkMatch(request.header('if-match'), versions)
    const { bytes, text } = await readScript(request)
    const write = (): void => {
      try {
        replaceFile(file, bytes)
      } catch (error) {
        throw new Refusal(507, 'cannot be stored', `${file} cannot be written: ${(error as Error).message}`)
      }
    }
    const change = { kind: 'push', texts: new Map([[file, text]]) } as const
    return this.#swapped(file, (await this.#control.swap(change, write))!)
  }

  async #putEverywhere(name: string, request: ApiRequest, query: ChangeQuery): Promise<Reply> {
    const shared = this.#sharedName(name)
    const condition = request.header('if-match')
    if (condition !== undefined) checkMatch(condition, (await this.#find(name)).versions)
    const { text } = await readScript(request)
    const change = await this.#fleet.push(shared, text, request, query)
    const { rollout } = change
    // Where nothing had to change, there is no roll-out to look at later.
    if (!query.atOnce || rollout.id === '') return this.#changed(shared, change)
    return json({ rollout }, 202, { Location: `/api/v1/rollouts/${encodeURIComponent(rollout.id)}` })
  }

  /** A canary, or what runs in the shadow, is taken out of service; a script itself is the configuration's to name. */
  async delete(name: string, request: ApiRequest): Promise<Reply> {
    const done = await this.#everywhere('remove', name, request)
    if (done !== null) return done
    const { file, versions } = await this.#find(name)
    const version = versions.find(({ state }) => state === 'canary' || state === 'shadow')
    if (version === undefined) {
      throw new Refusal(
        409,
        'in use',
        `${file} serves because the configuration names it; remove its "script" line`,
      )
    }
    const reason = version.state === 'canary' ? 'canary rolled back' : 'shadow switched off'
    const { role, digest: from } = version
    const removal = { reason, role, file, from, to: null, why: 'removed by the admin API' } as const
    return this.#swapped(file, (await this.#control.swap({ kind: 'removal', removal }))!)
  }

  async rollback(name: string, request: ApiRequest): Promise<Reply> {
    await readObject(request, [])
    const done = await this.#everywhere('rollback', name, request)
    if (done !== null) return done
    const { file } = await this.#find(name)
    return this.#swapped(file, await this.#control.rollback(file))
  }

  async promote(name: string, request: ApiRequest): Promise<Reply> {
    await readObject(request, [])
    const done = await this.#everywhere('promote', name, request)
    if (done !== null) return done
    const { file } = await this.#find(name)
    return this.#swapped(file, await this.#control.promoteCanary(file))
  }

  /** What the fleet has recorded takes the place of what this machine alone has. */
  async adopt(name: string, request: ApiRequest): Promise<Reply> {
    await readObject(request, [])
    readQuery(request, [])
    const { file, generation, took, kept } = await this.#fleet.adopt(name)
    const { versions } = await this.#find(file)
    const digest = versions.find(({ state }) => state !== 'quarantined')?.digest ?? null
    return json({ generation, took, file, digest, kept })
  }

  async generations(): Promise<Reply> {
    return json({ generations: await this.#control.history() })
  }

  /** All scripts as the generation before had them. */
  async rollbackAll(request: ApiRequest): Promise<Reply> {
    await readObject(request, [])
    return json(await this.#control.rollback())
  }

  /** @returns null: it is not the fleet's to change */
  async #everywhere(wish: FleetWish, name: string, request: ApiRequest): Promise<Reply | null> {
    const { local } = readQuery(request, ['local'])
    if (local || !this.#fleet.on) return null
    const shared = this.#sharedName(name)
    const change = await this.#fleet.change(wish, shared, request)
    return change === null ? null : this.#changed(shared, change)
  }

  /** As every machine knows it; a script that this one does not have may serve on others. */
  #sharedName(name: string): string {
    const files = this.#control.scriptFiles
    const file = fileHere(name, files)
    if (file === null) return name
    if (!isCanaryFile(file)) return nameOf(file, files)
    throw new Refusal(
      409,
      'a canary of the fleet',
      `${file} is a canary; give the name of the script it stands beside`,
    )
  }

  /** As `#swapped`, of this machine, and what became of it everywhere. */
  async #changed(name: string, { rollout, own }: FleetChange): Promise<Reply> {
    const file = fileHere(name, this.#control.scriptFiles)
    const rows = await this.#control.scripts()
    const serving = rows.find((row) => row.file === file && row.state !== 'quarantined')
    const { generation = 0, took = 0 } = own ?? {}
    return json({ generation, took, file, digest: serving?.digest ?? null, rollout })
  }

  async #find(name: string): Promise<{ file: string; versions: ScriptStatus[] }> {
    const rows = await this.#control.scripts()
    const file = fileOf(name, this.#control.scriptFiles)
    return { file, versions: rows.filter((row) => row.file === file) }
  }

  async #swapped(file: string, { generation, took }: SwapResult): Promise<Reply> {
    const rows = await this.#control.scripts()
    const serving = rows.find((row) => row.file === file && row.state !== 'quarantined')
    return json({ generation, took, file, digest: serving?.digest ?? null })
  }
}

/** @returns null where there is none @throws Refusal when it may be one of several */
function fileHere(name: string, files: readonly string[]): string | null {
  try {
    return fileOf(name, files)
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return null
    throw error
  }
}

async function readScript(request: ApiRequest): Promise<{ bytes: Buffer; text: string }> {
  const bytes = await request.body()
  if (bytes.includes(0)) throw invalid('a script holds no NUL')
  return { bytes, text: bytes.toString('utf8').replace(/^\ufeff/, '') }
}

/** RFC 9110 section 13.1.1: whoever has seen a version may say that no other one is to be replaced. */
function checkMatch(condition: string | undefined, versions: readonly ScriptStatus[]): void {
  if (condition === undefined || condition === '*') return
  const digests = condition.split(',').map((tag) => tag.trim().replace(/^"(.*)"$/, '$1'))
  if (versions.some(({ digest, state }) => state !== 'quarantined' && digests.includes(digest))) return
  throw new Refusal(412, 'precondition failed', 'another version serves by now')
}
