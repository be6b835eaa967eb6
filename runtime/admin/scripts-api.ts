/** `/api/v1/scripts` and `/api/v1/generations`: what serves, and another version of it. */
import type { Control } from '../control.ts'
import { replaceFile } from '../lib/atomic-write.ts'
import type { ScriptStatus } from '../script-registry.ts'
import type { ScriptsSnapshot } from '../script-snapshot.ts'
import type { SwapResult } from '../swap.ts'
import { Refusal } from './problem.ts'
import { type ApiRequest, invalid, json, type Reply, readObject } from './reply.ts'
import { fileOf, nameOf } from './script-names.ts'

export class ScriptsApi {
  readonly #control: Control

  constructor(control: Control) {
    this.#control = control
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
    const source = textOf(file, await this.#control.snapshot())
    const digest = versions.find(({ state }) => state !== 'quarantined')?.digest
    return json({ name, file, versions, source }, 200, digest === undefined ? {} : { ETag: `"${digest}"` })
  }

  /** One act: loaded everywhere, then written to the disk, then served everywhere; or nothing of it. */
  async put(name: string, request: ApiRequest): Promise<Reply> {
    const { file, versions } = await this.#find(name)
    checkMatch(request.header('if-match'), versions)
    const bytes = await request.body()
    if (bytes.includes(0)) throw invalid('a script holds no NUL')
    const text = bytes.toString('utf8').replace(/^\ufeff/, '')
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

  /** A canary, or what runs in the shadow, is taken out of service; a script itself is the configuration's to name. */
  async delete(name: string): Promise<Reply> {
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
    const { file } = await this.#find(name)
    return this.#swapped(file, await this.#control.rollback(file))
  }

  async promote(name: string, request: ApiRequest): Promise<Reply> {
    await readObject(request, [])
    const { file } = await this.#find(name)
    return this.#swapped(file, await this.#control.promoteCanary(file))
  }

  async generations(): Promise<Reply> {
    return json({ generations: await this.#control.history() })
  }

  /** All scripts as the generation before had them. */
  async rollbackAll(request: ApiRequest): Promise<Reply> {
    await readObject(request, [])
    return json(await this.#control.rollback())
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

/** A file as it was written, of the version that serves; null: nothing of it does. */
function textOf(file: string, { files, versions }: ScriptsSnapshot): string | null {
  for (const { current } of files) {
    if (current === null) continue
    const { paths, written, sources } = versions[current].modules
    for (const [id, path] of paths) if (path === file) return written.get(id) ?? sources.get(id) ?? null
  }
  return null
}

/** RFC 9110 section 13.1.1: whoever has seen a version may say that no other one is to be replaced. */
function checkMatch(condition: string | undefined, versions: readonly ScriptStatus[]): void {
  if (condition === undefined || condition === '*') return
  const digests = condition.split(',').map((tag) => tag.trim().replace(/^"(.*)"$/, '$1'))
  if (versions.some(({ digest, state }) => state !== 'quarantined' && digests.includes(digest))) return
  throw new Refusal(412, 'precondition failed', 'another version serves by now')
}
