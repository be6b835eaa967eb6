/**
 * The page: asks the API every two seconds while somebody looks, and hands what it says to the parts. Knows what each part
 * is given, not how it is shown.
 */
import { Api, Problem, Unreachable } from './api.js'
import { Configuration } from './configuration.js'
import { askToken } from './dialogs.js'
import { DryRun } from './dry-run.js'
import { Editor } from './editor.js'
import { byId, write } from './elements.js'
import { Fleet } from './fleet.js'
import { printable, time } from './format.js'
import { Generations } from './generations.js'
import { say } from './messages.js'
import { Overview } from './overview.js'
import { Scripts } from './scripts.js'
import { Upstreams } from './upstreams.js'

/** ms between two looks. */
const EVERY = 2_000

class Page {
  #api = new Api((wasWrong) => {
    this.#pulse('waits for the token', 'warn')
    return askToken(wasWrong)
  })
  #fleet = new Fleet(this.#api)
  #changed = (rollout) => {
    this.#fleet.begin(rollout)
    void this.#look()
  }
  #overview = new Overview()
  #upstreams = new Upstreams(this.#api, () => this.#changed())
  #scripts = new Scripts(this.#api, {
    changed: this.#changed,
    edit: (name) => void this.#edit(name),
    fleet: this.#fleet,
  })
  #generations = new Generations(this.#api, () => this.#changed())
  #configuration = new Configuration(this.#api, () => this.#changed())
  #editor = null
  #timer = 0
  /** A look is under way; another one is wanted after it. */
  #looks = false
  #again = false
  #isPaused = false
  /** Generation and process that the history and the configuration were read from. */
  #read = ''
  /** ms since the epoch of the last answer, and of the first question since that had none; 0: none. */
  #answered = 0
  #lost = 0

  constructor() {
    new DryRun(this.#api)
    byId('pause').addEventListener('click', (event) => this.#pause(event.currentTarget))
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible') clearTimeout(this.#timer)
      else if (!this.#isPaused) void this.#look()
    })
    void this.#look()
  }

  async #look() {
    clearTimeout(this.#timer)
    if (this.#looks) {
      this.#again = true
      return
    }
    this.#looks = true
    try {
      await this.#refresh()
      this.#found()
    } catch (error) {
      this.#missed(error)
    }
    this.#looks = false
    const isWanted = this.#again
    this.#again = false
    if (isWanted) void this.#look()
    else if (!this.#isPaused && document.visibilityState === 'visible')
      this.#timer = setTimeout(() => void this.#look(), EVERY)
  }

  async #refresh() {
    const api = this.#api
    const [status, scripts, upstreams, fleet] = await Promise.all([
      api.get('status'),
      api.get('scripts'),
      api.get('upstreams'),
      this.#fleet.load(),
    ])
    this.#overview.show(status)
    this.#fleet.show(fleet)
    this.#scripts.show(scripts)
    this.#upstreams.show(upstreams.upstreams)
    if (this.#editor?.isOpen) this.#editor.look(scripts.scripts)
    await this.#readRest(status)
  }

  /** What changes with a generation alone. */
  async #readRest({ generation, startedAt, pid }) {
    const now = `${pid} ${startedAt} ${generation}`
    if (now === this.#read) return
    const [history, config] = await Promise.all([this.#api.get('generations'), this.#api.get('config')])
    this.#generations.show(history.generations, generation)
    this.#configuration.show(config.files)
    this.#read = now
  }

  async #edit(name) {
    this.#editor = await Editor.open(this.#api, name, { fleet: this.#fleet, changed: this.#changed })
  }

  #pause(button) {
    this.#isPaused = !this.#isPaused
    button.setAttribute('aria-pressed', String(this.#isPaused))
    if (this.#isPaused) clearTimeout(this.#timer)
    else void this.#look()
    this.#showPulse()
  }

  // ---- whether anybody answers ----

  #found() {
    this.#answered = Date.now()
    if (this.#lost !== 0) {
      byId('outage').hidden = true
      say('The proxy answers again')
    }
    this.#lost = 0
    this.#showPulse()
  }

  #missed(error) {
    if (!(error instanceof Unreachable || error instanceof Problem)) console.error(error)
    this.#lost ||= Date.now()
    const last = this.#answered === 0 ? '' : ` What is shown is as of ${time(this.#answered)}.`
    const what =
      error instanceof Unreachable ? `${location.host} does not answer` : `${location.host} refuses`
    const why = error instanceof Unreachable ? '' : `: ${printable(error.message)}`
    const outage = byId('outage')
    write(outage, `${what} since ${time(this.#lost)}${why}.${last} It is asked again every two seconds.`)
    outage.hidden = false
    this.#showPulse()
  }

  #showPulse() {
    // Whoever has several open finds the one that is in trouble.
    document.title = `${this.#lost === 0 ? '' : 'No answer: '}${location.host} · Sluice`
    if (this.#lost !== 0) this.#pulse('no answer', 'bad')
    else if (this.#isPaused) this.#pulse(`paused at ${time(this.#answered)}`, 'warn')
    else this.#pulse(time(this.#answered), 'ok')
  }

  #pulse(text, tone) {
    const pulse = byId('pulse')
    write(pulse, text)
    pulse.dataset.tone = tone
  }
}

new Page()
