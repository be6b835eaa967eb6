/** CPU time of the thread that asks. Node 20 tells only that of the whole process, V8's helpers included. */
import { readFileSync } from 'node:fs'

/** Linux: ns on the processor, ns of waiting, time slices. */
const SCHEDSTAT = '/proc/thread-self/schedstat'

let isTold = true

/** ms that this thread has run; of the whole process where the system does not tell. About 20 µs. */
export function threadTime(): number {
  if (isTold) {
    try {
      const time = Number.parseInt(readFileSync(SCHEDSTAT, 'latin1'), 10)
      if (time > 0) return time / 1e6
    } catch {
      // No Linux, or no such file there.
    }
    isTold = false
  }
  return processTime()
}

/** ms that all threads of the process have run. */
export function processTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
