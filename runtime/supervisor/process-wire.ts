/** The channel that Node opens between a process and one that it forks, as a wire. */
import type { Wire } from '../lib/channel.ts'

/** What both ends have: `process` itself, and a forked one. */
export interface IpcEnd {
  readonly connected?: boolean
  send?(message: unknown, handle: undefined, options: undefined, done: (error: Error | null) => void): boolean
  on(event: 'message', listener: (message: unknown) => void): unknown
  on(event: 'disconnect', listener: () => void): unknown
}

export function wireOf(end: IpcEnd): Wire {
  return {
    send(message) {
      // Whoever waits for an answer hears of a cut wire by its end, not from here.
      if (end.connected) end.send?.(message, undefined, undefined, () => undefined)
    },
    onMessage: (listener) => void end.on('message', listener),
    onClose: (listener) => void end.on('disconnect', listener),
  }
}
