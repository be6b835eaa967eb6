/**
 * What an access log line costs: nanoseconds to format `combined`, and CPU microseconds to write it, with one line
 * and with 32 lines in a turn of the event loop, beside one synchronous write for each turn. Run it alone:
 *
 *   node dist/test/bench/micro-log.js
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { LogFile } from '../../runtime/observe/log-file.ts'
import { LogFormats } from '../../runtime/observe/log-format.ts'
import { tempDir } from '../lib/temp.ts'
import { fakeBinder, type Values } from '../observe/fake-binder.ts'

const LINES = 200_000
const REQUEST: Values = {
  remote_addr: '127.0.0.1',
  time_local: '21/Nov/2025:10:47:00 +0000',
  request: 'GET /chat?userId=7 HTTP/1.1',
  status: '200',
  body_bytes_sent: '43',
  http_user_agent: 'Mozilla/5.0 (X11; Linux x86_64)',
}
const combined = new LogFormats<Values>([], fakeBinder).get('combined')
const line = combined(REQUEST)

function formatting(): number {
  let bytes = 0
  const started = performance.now()
  for (let i = 0; i < LINES; i++) bytes += Buffer.byteLength(combined(REQUEST), 'latin1')
  if (bytes !== LINES * line.length) throw new Error('a line was lost')
  return ((performance.now() - started) * 1e6) / LINES
}

/** CPU microseconds for each line when `turn` takes `count` lines in each turn. */
async function writing(count: number, turn: () => void): Promise<number> {
  const before = process.cpuUsage()
  for (let i = 0; i < LINES; i += count) {
    turn()
    await new Promise((next) => setImmediate(next))
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / LINES
}

const path = join(tempDir(), 'access.log')
formatting()
process.stdout.write(`format combined: ${formatting().toFixed(0)} ns\n`)
for (const count of [1, 32]) {
  const file = new LogFile(path, () => {})
  const ours = await writing(count, () => {
    for (let i = 0; i < count; i++) file.append(line)
  })
  file.close()
  const fd = openSync(path, 'a')
  const text = `${line}\n`.repeat(count)
  const sync = await writing(count, () => void writeSync(fd, text, null, 'latin1'))
  closeSync(fd)
  const turns = await writing(count, () => {})
  const cost = (total: number) => `${(total - turns).toFixed(2)} µs`
  process.stdout.write(`${count} a turn: LogFile ${cost(ours)}, synchronous ${cost(sync)}\n`)
}
