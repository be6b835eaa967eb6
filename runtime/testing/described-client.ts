/** The client of a described request: has a body to give, and is sent nothing. */
import type { ClientTransport, Exchange, Listener } from '../proxy/exchange.ts'
import { Step } from '../proxy/step.ts'

export interface ClientFacts {
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2.0'
  readonly remoteAddress: string
  readonly listener: Listener
  readonly body: Buffer
}

export class DescribedClient implements ClientTransport {
  readonly protocol: ClientFacts['protocol']
  readonly remoteAddress: string
  readonly remotePort = '50000'
  readonly serverAddress = '127.0.0.1'
  readonly serverPort = '80'
  readonly connectionId = 1
  readonly requests = 1
  readonly openedAt = Date.now()
  readonly listener: Listener
  readonly pendingBytes = 0
  readonly #body: Buffer
  #exchange: Exchange | null = null

  constructor({ protocol, remoteAddress, listener, body }: ClientFacts) {
    this.protocol = protocol
    this.remoteAddress = remoteAddress
    this.listener = listener
    this.#body = body
  }

  /** Whose body this client gives. */
  serves(x: Exchange): void {
    this.#exchange = x
  }

  readBody(): void {
    const body = this.#exchange?.body
    if (body != null && !body.done) body.push(this.#body)
  }

  sendHead(): boolean {
    return true
  }

  sendBody(): boolean {
    return true
  }

  sendFramed(): boolean {
    return true
  }

  sendEnd(): Step {
    return Step.LOG
  }

  prereadBody(): null {
    return null
  }

  discardBody(): null {
    return null
  }

  sendInformational(): void {}

  abort(): void {}

  finished(): void {}

  pauseBody(): void {}

  resumeBody(): void {}
}
