// Runs hooks of the standard library in the real engine: a described request, and what came of it, in the words of a test.
// Nothing of the proxy.

import { fileURLToPath } from 'node:url'
import type { Outcome, Phase } from '../../runtime/phases.ts'
import type { Script } from '../../runtime/script/engine.ts'
import { FakeBalancer, FakeRequest, load } from '../script/fake-request.ts'

export { load, refusal } from '../script/fake-request.ts'

/** The repository's root folder, with a slash at the end. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** A request as a test writes it down. */
export interface Described {
  readonly uri?: string
  readonly args?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Fields of the response. */
  readonly response?: Readonly<Record<string, string>>
  /** Beside those that follow from the fields, as `$http_NAME` and `$cookie_NAME`. */
  readonly variables?: Readonly<Record<string, string>>
}

/** What a hook answered. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | null
}

/** One request over all its phases. */
export class SandboxRequest extends FakeRequest {
  readonly peers = new FakeBalancer()

  constructor({ headers = {}, response = {}, variables, ...line }: Described = {}) {
    const known = {
      host: 'example.com',
      scheme: 'http',
      remote_addr: '192.0.2.7',
      ...fieldVariables(headers),
    }
    super({
      uri: '/',
      ...line,
      headers: Object.entries(headers),
      response: Object.entries(response),
      variables: { ...known, ...variables },
    })
  }

  override start(script: Script, phase: Phase): Outcome {
    this.balancer = this.peers
    return super.start(script, phase)
  }

  /** null: no hook has answered. */
  get reply(): Reply | null {
    if (this.answered === null) return null
    return { ...this.answered, headers: Object.fromEntries(this.answered.headers) }
  }
}

function fieldVariables(headers: Readonly<Record<string, string>>): Record<string, string> {
  const variables: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    variables[`http_${name.toLowerCase().replaceAll('-', '_')}`] = value
    if (name !== 'Cookie') continue
    for (const [, cookie, text] of value.matchAll(/(\w+)=([^;]*)/g)) variables[`cookie_${cookie}`] = text!
  }
  return variables
}

/** The value of an expression over what `imports` brings in, computed in the sandbox. */
export async function evaluate(imports: string, expression: string): Promise<unknown> {
  const source = `${imports}\nexport function content(r) { return { status: 200, body: JSON.stringify(${expression}) } }`
  const script = await load(source)
  try {
    const request = new SandboxRequest()
    await request.run(script, 'content')
    if (request.failure !== null) throw new Error(request.failure[1])
    return JSON.parse(Buffer.from(String(request.reply?.body), 'latin1').toString())
  } finally {
    script.dispose()
  }
}
