/** `/api/v1/config` and `/api/v1/status`: what serves and by which configuration, and reading it again. */
import { decodeBytes } from '../config/problems.ts'
import type { Control } from '../control.ts'
import { configRefusal, located } from './problem.ts'
import { type ApiRequest, json, type Reply, readObject } from './reply.ts'

export class ConfigApi {
  readonly #control: Control

  constructor(control: Control) {
    this.#control = control
  }

  async status(): Promise<Reply> {
    const status = await this.#control.status()
    const now = Date.now()
    const workers = status.workers.map((worker) => ({ ...worker, uptime: now - worker.startedAt }))
    return json({ ...status, uptime: now - status.startedAt, workers })
  }

  /** As `-T` has it, but for passwords. */
  effective(): Reply {
    const files = this.#control.files.map(({ path, text }) => ({
      path,
      text: withoutSecrets(decodeBytes(text)),
    }))
    return json({ files })
  }

  async reload(request: ApiRequest): Promise<Reply> {
    await readObject(request, [])
    const { problems, swap } = await this.#control.reload()
    if (swap === null) throw configRefusal(problems)
    return json({ ...swap, problems: problems.map(located) })
  }
}

/** The password in the address of a store. */
function withoutSecrets(text: string): string {
  return text.replace(/\b((?:rediss?|redis\+unix):(?:\/\/)?[^:@/\s"';]*:)[^@/\s"';]*@/g, '$1…@')
}
