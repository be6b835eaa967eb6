/** One process that serves, looked after as a supervisor with its workers is. */
import { type Companion, swapTogether } from './companion.ts'
import type { SourceFile } from './config/reader.ts'
import type {
  Control,
  ControlStatus,
  LoadConfig,
  ReloadResult,
  ServerChange,
  UpstreamStatus,
} from './control.ts'
import type { Gateway } from './gateway.ts'
import { GatewayMetrics } from './gateway-metrics.ts'
import { reportOf, upstreamsOf } from './gateway-report.ts'
import { InTurn } from './lib/in-turn.ts'
import type { MetricFamily } from './observe/metrics.ts'
import type { LogLevel } from './phases.ts'
import type { HistoryEntry, ScriptStatus } from './script-registry.ts'
import type { ScriptsSnapshot } from './script-snapshot.ts'
import { addressesFor, describeChange, groupNamed, keepServers, plannedServers } from './server-changes.ts'
import type { Change, SwapResult } from './swap.ts'
import { VERSION } from './version.ts'

export class GatewayControl implements Control {
  readonly #gateway: Gateway
  readonly #load: LoadConfig
  readonly #metrics: GatewayMetrics
  readonly #reloads = new InTurn()
  companion: Companion | null = null
  files: readonly SourceFile[]

  /**
   * @param gateway that listens
   * @param files what its configuration was read from
   */
  constructor(gateway: Gateway, load: LoadConfig, files: readonly SourceFile[] = []) {
    this.#gateway = gateway
    this.#load = load
    this.#metrics = new GatewayMetrics(gateway)
    this.files = files
  }

  get generation(): { readonly id: number; readonly watchScripts: boolean } {
    return this.#gateway.generation
  }

  get addresses(): readonly string[] {
    return this.#gateway.addresses
  }

  get scriptFiles(): readonly string[] {
    return this.#gateway.scriptFiles
  }

  async status(): Promise<ControlStatus> {
    const report = reportOf(this.#gateway)
    const { pid, startedAt, generation } = report
    const workers = [{ ...report, state: this.#gateway.draining ? 'leaving' : 'serving' }] as const
    return { version: VERSION, pid, startedAt, generation, addresses: this.addresses, restarts: 0, workers }
  }

  async history(): Promise<readonly HistoryEntry[]> {
    return this.#gateway.history
  }

  async scripts(): Promise<readonly ScriptStatus[]> {
    return this.#gateway.scripts
  }

  async upstreams(): Promise<readonly UpstreamStatus[]> {
    return upstreamsOf(this.#gateway)
  }

  reload(): Promise<ReloadResult> {
    return this.#reloads.run(() => this.#reload())
  }

  async #reload(): Promise<ReloadResult> {
    const { model, problems, files } = this.#load()
    if (model === null) return { problems, swap: null }
    const swap = await swapTogether(this.companion, model, () => this.#gateway.reload(model))
    this.files = files
    return { problems, swap }
  }

  async swap(change: Change, beforeCommit?: () => void): Promise<SwapResult | null> {
    const prepared = await this.#gateway.prepare(change)
    if (prepared === null) return null
    try {
      beforeCommit?.()
    } catch (error) {
      prepared.discard()
      throw error
    }
    return prepared.commit()
  }

  async changeServer(change: ServerChange): Promise<void> {
    const addresses = await addressesFor(change)
    await this.#reloads.run(async () => {
      const { upstreams } = this.#gateway.generation
      const live = groupNamed(upstreams, change.group)
      const stored = upstreams.named(change.group)!.stored
      if (stored !== null) {
        await stored.change(change, addresses, live)
        return
      }
      const servers = plannedServers(live, change, addresses)
      keepServers(upstreams.named(change.group)!.model!, servers)
      live.replace(servers)
    })
    this.log('notice', describeChange(change))
  }

  async snapshot(): Promise<ScriptsSnapshot> {
    return this.#gateway.snapshot()
  }

  async metrics(): Promise<readonly (readonly MetricFamily[])[]> {
    return [await this.#metrics.read()]
  }

  reloadScripts(): Promise<SwapResult | null> {
    return this.#gateway.reloadScripts()
  }

  rollback(file?: string): Promise<SwapResult> {
    return this.#gateway.rollback(file)
  }

  promoteCanary(file: string): Promise<SwapResult> {
    return this.#gateway.promoteCanary(file)
  }

  async reopen(): Promise<void> {
    this.#gateway.reopenLogs()
  }

  async restart(): Promise<void> {
    throw new Error('one process cannot take over from itself: it needs "worker_processes" above 1')
  }

  async stop(graceful: boolean): Promise<void> {
    this.log('notice', graceful ? 'gracefully shutting down' : 'exiting')
    await (graceful ? this.#gateway.drain() : this.#gateway.close())
  }

  log(level: LogLevel, message: string): void {
    this.#gateway.log(level, message)
  }
}
