/**
 * The connections of fetches, kept alive between them. One for the process: a connection is to an address that was
 * judged and, by TLS, to a name; scripts and generations share it as they share the network.
 */
import { Agent } from 'node:http'
import { Agent as SecureAgent } from 'node:https'

/** Idle connections kept for each address. */
const MAX_IDLE = 32
/** ms that one may be idle. */
const IDLE_TIMEOUT = 15_000

export interface FetchAgentsOptions {
  /** Certificates to trust, in place of the well-known authorities; PEM. */
  readonly ca?: string
}

export class FetchAgents {
  readonly http: Agent
  readonly https: SecureAgent
  /** What every TLS connection is made with. */
  readonly tls: { readonly rejectUnauthorized: true; readonly ca?: string }

  constructor(options: FetchAgentsOptions = {}) {
    const kept = { keepAlive: true, maxFreeSockets: MAX_IDLE, timeout: IDLE_TIMEOUT }
    this.http = new Agent(kept)
    this.https = new SecureAgent(kept)
    this.tls = { ...options, rejectUnauthorized: true }
  }

  /** Closes every connection; fetches under way fail. */
  close(): void {
    this.http.destroy()
    this.https.destroy()
  }
}
