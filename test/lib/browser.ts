// A real Chromium without a screen, driven over the DevTools protocol: what a person would do with a page, and what the
// browser says of it. It looks no name up, reaches nothing but loopback, and ends with the test's process at the latest.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { tempDir } from './temp.ts'

const POLL = 20
const START_TIME = 20_000
const WAIT_TIME = 10_000
const running = new Set<ChildProcess>()

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--disable-breakpad',
  '--disable-extensions',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--no-default-browser-check',
  '--no-proxy-server',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  '--remote-debugging-port=0',
]

// biome-ignore lint/suspicious/noExplicitAny: messages of the DevTools protocol
type Json = any

/** Called with every event of a session. */
type Listener = (method: string, params: Json) => void

/** Commands and events of the DevTools protocol, of the browser and of all its pages, on one socket. */
class DevTools {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, { done(result: Json): void; failed(error: Error): void }>()
  readonly #listeners = new Map<string, Listener>()
  #last = 0

  constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data) => this.#read(JSON.parse(String(data))))
    socket.on('close', () => {
      for (const { failed } of this.#waiting.values()) failed(new Error('the browser has gone'))
    })
  }

  send(method: string, params: Json = {}, sessionId?: string): Promise<Json> {
    const id = ++this.#last
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }))
    return new Promise((done, failed) => this.#waiting.set(id, { done, failed }))
  }

  listen(sessionId: string, listener: Listener): void {
    this.#listeners.set(sessionId, listener)
  }

  close(): void {
    this.#socket.close()
  }

  #read({ id, result, error, method, params, sessionId }: Json): void {
    if (method !== undefined) {
      this.#listeners.get(sessionId)?.(method, params)
      return
    }
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.done(result)
    else waiting?.failed(new Error(error.message))
  }
}

export class Browser {
  readonly #child: ChildProcess
  readonly #tools: DevTools

  private constructor(child: ChildProcess, tools: DevTools) {
    this.#child = child
    this.#tools = tools
  }

  /** @throws Error when Chromium is not installed, or does not start */
  static async start(): Promise<Browser> {
    const home = tempDir('browser-test-')
    const profile = join(home, 'profile')
    const child = spawn('chromium', [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: 'ignore',
      env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home },
    })
    let fault = 'chromium did not start'
    child.once('error', () => {
      fault = 'chromium not found; type: sudo apt-get install -y chromium'
    })
    running.add(child)
    child.once('exit', () => running.delete(child))
    const file = join(profile, 'DevToolsActivePort')
    for (let waited = 0; !isWritten(file); waited += POLL) {
      if (waited > START_TIME || child.exitCode !== null || child.pid === undefined) {
        child.kill('SIGKILL')
        throw new Error(fault)
      }
      await pause(POLL)
    }
    const [port, path] = readFileSync(file, 'latin1').split('\n')
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { perMessageDeflate: false })
    await new Promise((done, failed) => socket.once('open', done).once('error', failed))
    return new Browser(child, new DevTools(socket))
  }

  /** A page with a storage of its own. */
  async open(url: string): Promise<Page> {
    const { browserContextId } = await this.#tools.send('Target.createBrowserContext')
    const target = { url: 'about:blank', browserContextId }
    const { targetId } = await this.#tools.send('Target.createTarget', target)
    const { sessionId } = await this.#tools.send('Target.attachToTarget', { targetId, flatten: true })
    const page = new Page(this.#tools, sessionId, targetId)
    await page.start(url)
    return page
  }

  async close(): Promise<void> {
    const gone = new Promise((done) => this.#child.once('exit', done))
    this.#tools.send('Browser.close').catch(() => undefined)
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), WAIT_TIME)
    await gone
    clearTimeout(timer)
    this.#tools.close()
  }
}

export class Page {
  readonly #tools: DevTools
  readonly #session: string
  readonly #target: string
  /** What the browser complains of: exceptions, `console.error`, violations of the policy, requests that failed. */
  readonly complaints: string[] = []
  /** Addresses of all requests. */
  readonly requests: string[] = []
  #loaded: () => void = () => undefined

  constructor(tools: DevTools, session: string, target: string) {
    this.#tools = tools
    this.#session = session
    this.#target = target
    tools.listen(session, (method, params) => this.#event(method, params))
  }

  async start(url: string): Promise<void> {
    for (const domain of ['Page', 'Runtime', 'Log', 'Network', 'Audits']) await this.send(`${domain}.enable`)
    await this.#navigate('Page.navigate', { url })
  }

  async reload(): Promise<void> {
    await this.#navigate('Page.reload', {})
  }

  async #navigate(method: string, params: Json): Promise<void> {
    const loaded = new Promise<void>((done) => {
      this.#loaded = done
    })
    await this.send(method, params)
    await loaded
  }

  send(method: string, params: Json = {}): Promise<Json> {
    return this.#tools.send(method, params, this.#session)
  }

  #event(method: string, params: Json): void {
    if (method === 'Page.loadEventFired') this.#loaded()
    else if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url)
    else if (method === 'Runtime.exceptionThrown') {
      const { text, exception } = params.exceptionDetails
      this.complaints.push(`${text} ${exception?.description ?? ''}`)
    } else if (method === 'Runtime.consoleAPICalled' && params.type === 'error')
      this.complaints.push(params.args.map((arg: Json) => arg.description ?? arg.value).join(' '))
    else if (method === 'Log.entryAdded' && params.entry.level === 'error')
      this.complaints.push(params.entry.text)
    else if (method === 'Audits.issueAdded') this.complaints.push(JSON.stringify(params.issue))
  }

  /** The value of an expression, in the page; a promise is waited for. @throws Error that it throws */
  async evaluate(expression: string): Promise<Json> {
    const how = { expression, awaitPromise: true, returnByValue: true }
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', how)
    if (exceptionDetails === undefined) return result.value
    throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
  }

  /** Until the expression is true, or anything but null, 0 and ''; returns it. */
  async until(expression: string, timeout = WAIT_TIME): Promise<Json> {
    const deadline = Date.now() + timeout
    for (;;) {
      const value = await this.evaluate(expression)
      if (value) return value
      if (Date.now() > deadline)
        throw new Error(`never: ${expression}\n${await this.evaluate('document.body.innerText')}`)
      await pause(POLL)
    }
  }

  /** What is to be read in an element, once it is there. */
  text(selector: string): Promise<string> {
    return this.until(`document.querySelector(${JSON.stringify(selector)})?.innerText`)
  }

  /** Until an element says so. */
  says(selector: string, pattern: RegExp, timeout?: number): Promise<true> {
    const element = `document.querySelector(${JSON.stringify(selector)})`
    return this.until(`${pattern}.test(${element}?.innerText ?? '')`, timeout)
  }

  /** Clicks with the mouse, where the element is. @param expression of the element; a string that holds no `(` is a selector */
  async click(expression: string): Promise<void> {
    const element = expression.includes('(')
      ? expression
      : `document.querySelector(${JSON.stringify(expression)})`
    await this.until(`!!(${element})`)
    const { x, y } = await this.evaluate(`(() => {
      const element = ${element}
      element.scrollIntoView({ block: 'center', behavior: 'instant' })
      const { left, top, width, height } = element.getBoundingClientRect()
      return { x: left + width / 2, y: top + height / 2 }
    })()`)
    const at = { x, y, button: 'left', clickCount: 1 }
    await this.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...at })
    await this.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...at })
  }

  /** Clicks the button with this name, in the topmost dialog if one is open. */
  async press(name: string): Promise<void> {
    const found = `[...([...document.querySelectorAll('dialog')].at(-1) ?? document).querySelectorAll('button')]
      .find((one) => !one.hidden && !one.disabled && (one.ariaLabel ?? one.innerText) === ${JSON.stringify(name)})`
    await this.click(found)
  }

  /** Types into what has the focus. */
  async type(text: string): Promise<void> {
    await this.send('Input.insertText', { text })
  }

  /** Replaces what is in a field. */
  async fill(selector: string, text: string): Promise<void> {
    await this.click(selector)
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).select()`)
    await this.type(text)
  }

  /** @param key as `KeyboardEvent.key` has it; @param control with the Control key held */
  async key(key: string, control = false): Promise<void> {
    const codes: Readonly<Record<string, number>> = { Escape: 27, Enter: 13, Tab: 9 }
    const windowsVirtualKeyCode = codes[key] ?? key.toUpperCase().charCodeAt(0)
    const more = key === 'Enter' ? { text: '\r' } : {}
    const event = { key, windowsVirtualKeyCode, modifiers: control ? 2 : 0, ...more }
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', ...event })
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event })
  }

  async size(width: number, height: number): Promise<void> {
    const metrics = { width, height, deviceScaleFactor: 1, mobile: false }
    await this.send('Emulation.setDeviceMetricsOverride', metrics)
  }

  async scheme(value: 'light' | 'dark'): Promise<void> {
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] })
  }

  /** A picture of the window, or of the whole page. */
  async screenshot(file: string, whole = false): Promise<void> {
    const { data } = await this.send('Page.captureScreenshot', { captureBeyondViewport: whole })
    writeFileSync(file, Buffer.from(data, 'base64'))
  }

  async close(): Promise<void> {
    await this.#tools.send('Target.closeTarget', { targetId: this.#target })
  }
}

/** Chromium writes both lines at once, after it listens. */
function isWritten(file: string): boolean {
  return existsSync(file) && readFileSync(file, 'latin1').includes('\n')
}

function pause(ms: number): Promise<void> {
  return new Promise((next) => setTimeout(next, ms))
}
