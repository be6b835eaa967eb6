// Somebody in front of the console: a browser, the proxies that it is shown, and what is done with the page again and again.

import { Browser, type Page } from '../lib/browser.ts'
import { answering } from './fleet-double.ts'
import { AdminSite } from './site.ts'

type MakeConfig = Parameters<typeof AdminSite.start>[0]

export const SERVER: MakeConfig = (port, admin) =>
  `admin ${admin};\nserver { listen 127.0.0.1:${port}; location / { script scripts/a.js; } }`

export class ConsoleUser {
  readonly #browser: Browser
  readonly #opened: { close(): Promise<void> }[] = []
  #page: Page | null = null

  private constructor(browser: Browser) {
    this.#browser = browser
  }

  static async start(): Promise<ConsoleUser> {
    return new ConsoleUser(await Browser.start())
  }

  /** The one that was opened last. */
  get page(): Page {
    return this.#page!
  }

  /** Is closed by `leave`. */
  keep<T extends { close(): Promise<void> }>(one: T): T {
    this.#opened.push(one)
    return one
  }

  /** A proxy; by default one with a script `a.js` that answers "one". */
  async site(
    make: MakeConfig = SERVER,
    files: Readonly<Record<string, string>> = { 'scripts/a.js': answering('one') },
  ): Promise<AdminSite> {
    return this.keep(await AdminSite.start(make, files))
  }

  async open(port: number): Promise<void> {
    this.#page = this.keep(await this.#browser.open(`http://127.0.0.1:${port}/`))
  }

  /** The same with its console, once that shows the scripts. */
  async openSite(...about: Parameters<ConsoleUser['site']>): Promise<AdminSite> {
    const site = await this.site(...about)
    await this.open(site.adminPort)
    await this.page.says('#versions', /live/)
    return site
  }

  /** The page asks now, as it does whenever somebody turns to it, and not only in two seconds. */
  async look(): Promise<void> {
    await this.page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`)
  }

  /** The text of the open editor becomes this. */
  async edit(text: string): Promise<void> {
    await this.page.press('Edit')
    await this.page.fill('dialog.editor textarea', text)
  }

  /** What a test has opened. */
  async leave(): Promise<void> {
    for (const one of this.#opened.splice(0).reverse()) await one.close()
  }

  async close(): Promise<void> {
    await this.leave()
    await this.#browser.close()
  }
}
