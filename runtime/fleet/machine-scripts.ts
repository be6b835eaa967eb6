/**
 * The scripts of this machine: which file a name means, what serves, whether a text could, and another text in its place,
 * on the disk and in service as one act. Knows the proxy as its `Control`, and nothing of the fleet.
 */
import { accessSync, constants } from 'node:fs'
import { dirname } from 'node:path'
import type { Control } from '../control.ts'
import { writeWhole } from '../lib/atomic-write.ts'
import { realpath } from '../script/module-files.ts'
import { filesCalled, nameOf } from '../script-names.ts'
import { type ScriptsSnapshot, textIn } from '../script-snapshot.ts'
import type { SwapResult } from '../swap.ts'
import { digestOf } from './record.ts'

/** Keeps a generation that could serve from serving. */
class Rehearsed extends Error {}

export class MachineScripts {
  readonly #control: Control
  constructor(control: Control) {
    this.#control = control
  }

  /** @returns null when there is none @throws Error when it may be one of several */
  find(name: string): string | null {
    const found = filesCalled(name, this.#control.scriptFiles)
    if (found.length < 2) return found[0] ?? null
    const names = found.map((file) => this.nameOf(file)).join(', ')
    throw new Error(`${JSON.stringify(name)} may be any of ${names}`)
  }

  /** @returns null when there is none, or when it may be one of several */
  only(name: string): string | null {
    const found = filesCalled(name, this.#control.scriptFiles)
    return found.length === 1 ? found[0] : null
  }

  /** All that a name may mean. */
  called(name: string): readonly string[] {
    return filesCalled(name, this.#control.scriptFiles)
  }

  nameOf(file: string): string {
    return nameOf(file, this.#control.scriptFiles)
  }

  get names(): string[] {
    return this.#control.scriptFiles.map((file) => this.nameOf(file))
  }

  /** What serves now. */
  async served(): Promise<ServedScripts> {
    return new ServedScripts(await this.#control.snapshot())
  }

  /** Loads a text in a file's place, in all workers, and serves nothing by it. @throws why it could not serve */
  async rehearse(file: string, text: string): Promise<void> {
    accessSync(dirname(realpath(file)), constants.W_OK)
    try {
      await this.#control.swap({ kind: 'push', texts: new Map([[file, text]]) }, () => {
        throw new Rehearsed()
      })
    } catch (error) {
      if (!(error instanceof Rehearsed)) throw error
    }
  }

  /**
   * A file that was deleted is there again.
   * @param before runs once it could serve, right before the file is replaced
   * @throws why it does not serve; the file is as it was then, and what served serves
   */
  async serve(file: string, text: string, before: () => void): Promise<SwapResult> {
    const change = { kind: 'push', texts: new Map([[file, text]]) } as const
    const result = await this.#control.swap(change, () => {
      before()
      writeWhole(file, Buffer.from(text, 'utf8'))
    })
    return result!
  }
}

export interface ServedText {
  readonly text: string
  readonly digest: string
}

/** What serves at one moment. */
export class ServedScripts {
  readonly #snapshot: ScriptsSnapshot

  constructor(snapshot: ScriptsSnapshot) {
    this.#snapshot = snapshot
  }

  /** What a file serves with; null: nothing of it does. */
  of(file: string): ServedText | null {
    const text = textIn(file, this.#snapshot)
    return text === null ? null : { text, digest: digestOf(text) }
  }
}
