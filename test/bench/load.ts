// The load: wrk with 64 keep-alive connections on the load generator's core, a different userId in every request.

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { LOAD_CORE } from './process.ts'
import { programPath } from './tools.ts'

/** Outcome of one run of wrk. */
export interface LoadResult {
  readonly requests: number
  readonly seconds: number
  /** Answers that were not 2xx or 3xx, and socket errors. */
  readonly errors: number
}

const CONNECTIONS = 64
const USERS = 5000
// The requests are made beforehand, so that the generator's own cost stays small.
const SCRIPT = `
local requests = {}
local at = 0
function init()
  local headers = {
    ["Host"] = "chat.example.com", ["User-Agent"] = "bench/1.0", ["Accept"] = "*/*",
    ["Accept-Language"] = "en", ["X-Api-Key"] = "k1", ["Cookie"] = "session=0123456789abcdef",
  }
  for i = 1, ${USERS} do
    requests[i] = wrk.format("GET", "/chat?userId=" .. i, headers)
  end
end
function request()
  at = at % ${USERS} + 1
  return requests[at]
end
function done(summary)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout))
end
`

/** Puts the script for wrk into `folder`; returns its path. */
export function writeLoadScript(folder: string): string {
  const path = join(folder, 'load.lua')
  writeFileSync(path, SCRIPT)
  return path
}

/** Loads 127.0.0.1:`port` for `seconds`. @param cores of wrk @throws Error when wrk does not say what it did */
export async function load(
  script: string,
  port: number,
  seconds: number,
  cores = String(LOAD_CORE),
): Promise<LoadResult> {
  const wrk = [programPath('wrk'), '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', script]
  const args = ['-c', cores, ...wrk, `http://127.0.0.1:${port}/`]
  const child = spawn(programPath('taskset'), args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text))
  await new Promise((done) => child.on('close', done))
  const result = /^RESULT (\d+) (\d+) (\d+)$/m.exec(output)
  if (result === null) throw new Error(`wrk failed: ${output.trim()}`)
  return { requests: Number(result[1]), seconds: Number(result[2]) / 1e6, errors: Number(result[3]) }
}
