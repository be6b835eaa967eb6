// The demo as `npm start` runs it: what it prints is done here, on a free port and with a copy of the script.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { WebSocket } from 'ws'
import { freePort } from '../lib/ports.ts'
import { MAIN } from '../lib/proxy-process.ts'
import { HttpClient } from '../lib/raw-http.ts'
import { recordingUpstream } from '../lib/recording-upstream.ts'
import { tempDir } from '../lib/temp.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const running = new Set<ChildProcess>()

// TERM, so that the demo ends what it started.
function stopAll(): void {
  for (const child of running) child.kill('SIGTERM')
}

process.on('exit', stopAll)
test.after(stopAll)

/** The demo in a process of its own, with the program of this build folder. */
class Demo {
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  text = ''
  #wake: () => void = () => {}

  constructor(port: number, script: string) {
    const env = { ...process.env, PORT: String(port), SLUICE: MAIN }
    this.child = spawn(process.execPath, [join(ROOT, 'examples/demo/start.mjs'), script], {
      env,
      stdio: 'pipe',
    })
    running.add(this.child)
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.text += text
        this.#wake()
      })
    }
    this.exited = once(this.child, 'close').then(([code]) => {
      running.delete(this.child)
      return code as number | null
    })
  }

  /** Waits until its output matches. */
  printed(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`${pattern} was not printed:\n${this.text}`)), 10_000)
      this.#wake = () => {
        const match = pattern.exec(this.text)
        if (match === null) return
        clearTimeout(timer)
        done(match)
      }
      this.#wake()
    })
  }
}

function copyOfScript(): string {
  const path = join(tempDir(), 'balancer.js')
  writeFileSync(path, readFileSync(join(ROOT, 'scripts/balancer.js')))
  return path
}

/** The name of the server that answers each user. */
async function serversOf(port: number, users: readonly number[]): Promise<string[]> {
  const client = new HttpClient(port)
  const names: string[] = []
  for (const user of users) names.push((await client.get(`/chat?userId=${user}`)).body)
  client.close()
  return names.map((body) => /^([ABC]) answers GET \/chat\?userId=\d+\n$/.exec(body)?.[1] ?? body)
}

/** The next `count` messages of a WebSocket. */
async function messages(socket: WebSocket, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) texts.push(String((await once(socket, 'message'))[0]))
  return texts
}

test('the demo does what it says: users stay, WebSockets go with them, a saved script serves at once', async () => {
  const port = await freePort()
  const script = copyOfScript()
  const demo = new Demo(port, script)
  await demo.printed(/Ctrl-C ends it\./)
  assert.match(demo.text, `curl -s "http://127.0.0.1:${port}/chat?userId=$user"`)
  assert.match(demo.text, `npx wscat -c 'ws://127.0.0.1:${port}/chat?userId=7'`)
  assert.match(demo.text, `In ${script} write\n\n     return upstream.peers[0]\n`)

  const users = Array.from({ length: 30 }, (_, i) => i + 1)
  const before = await serversOf(port, users)
  assert.equal(await serversOf(port, users), before)
  assert.equal([...new Set(before)].sort(), ['A', 'B', 'C'])

  const chat = users.find((user) => before[user - 1] === 'B')!
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat?userId=${chat}`)
  assert.equal(await messages(socket, 1), ['you are on B'])
  socket.send('hello')
  assert.equal(await messages(socket, 1), ['B heard: hello'])

  const source = readFileSync(script, 'utf8')
  writeFileSync(script, source.replace(/return .*/, 'return upstream.peers[0]'))
  await demo.printed(/scripts changed: generation 2 serves/)
  assert.equal(new Set(await serversOf(port, users)), new Set(['A']))
  socket.send('still here')
  assert.equal(await messages(socket, 1), ['B heard: still here'])

  writeFileSync(script, source.replace(/return .*/, 'return ('))
  await demo.printed(/balancer\.js:\d+.*the scripts of generation 2 stay/)
  assert.equal(new Set(await serversOf(port, users)), new Set(['A']))

  demo.child.kill('SIGINT')
  assert.is(await demo.exited, 0)
  assert.is(await freeAgain(port), true)
})

test('a port that is taken is named with what to type instead', async () => {
  const other = await recordingUpstream()
  const demo = new Demo(other.port, copyOfScript())
  assert.is(await demo.exited, 1)
  assert.match(
    demo.text,
    /^sluice: 127\.0\.0\.1:\d+ is taken by another program; choose another port: PORT=\d+ npm start\n$/,
  )
  await other.close()
})

test('a script that cannot be loaded ends the demo with its reason', async () => {
  const script = join(tempDir(), 'broken.js')
  writeFileSync(script, 'export function balancer( {\n')
  const demo = new Demo(await freePort(), script)
  assert.is(await demo.exited, 1)
  assert.match(demo.text, /broken\.js/)
  assert.not.match(demo.text, 'Sluice listens')
})

/** Nobody accepts connections there any more. */
async function freeAgain(port: number): Promise<boolean> {
  const client = new HttpClient(port)
  return client.get('/').then(
    () => false,
    () => true,
  )
}

test.run()
