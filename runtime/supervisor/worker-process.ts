/**
 * The program of a worker process: serves what its supervisor tells it to, and takes orders from nobody else. Signals
 * from a terminal reach it too, as it is of the same process group; they are for the supervisor.
 */
import cluster from 'node:cluster'
import { Channel } from '../lib/channel.ts'
import { VERSION } from '../version.ts'
import { wireOf } from './process-wire.ts'
import { HEARTBEAT, type Hello, PROTOCOL } from './protocol.ts'
import { WorkerSession } from './worker-session.ts'

const SUPERVISORS = ['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGPIPE'] as const

function main(): void {
  for (const signal of SUPERVISORS) process.on(signal, () => undefined)
  const channel = new Channel(wireOf(process))
  const session = new WorkerSession(channel, () => process.exit(0))
  process.on('SIGTERM', () => session.stop())
  process.on('uncaughtException', (error) =>
    session.log('alert', `uncaught: ${error.stack ?? error.message}`),
  )
  process.on('unhandledRejection', (reason) => session.log('alert', `unhandled: ${String(reason)}`))
  // What `cluster` itself says to a supervisor that has gone; `disconnect` comes for that.
  ;(process as NodeJS.EventEmitter).on('error', () => undefined)
  cluster.worker!.on('disconnect', () => {
    // Without this the process would end here and now, with the requests that are under way.
    cluster.worker!.exitedAfterDisconnect = true
    session.onOrphaned()
  })
  channel.tell('hello', { protocol: PROTOCOL, version: VERSION } satisfies Hello)
  setInterval(() => channel.tell('alive'), HEARTBEAT)
}

main()
