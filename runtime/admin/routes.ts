/** The table of the admin API and its console: every path, what may be done there, and who does it. */
import type { Control } from '../control.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { CONTENT_TYPE, metricsText } from '../observe/metrics.ts'
import { ConfigApi } from './config-api.ts'
import { Console } from './console.ts'
import { FleetApi } from './fleet-api.ts'
import { Refusal } from './problem.ts'
import { type ApiRequest, invalid, notFound, plain, type Reply } from './reply.ts'
import { ScriptsApi } from './scripts-api.ts'
import { TryApi, type TryPlace } from './try-api.ts'
import { UpstreamsApi } from './upstreams-api.ts'

type Answer = (request: ApiRequest, ...names: string[]) => Reply | Promise<Reply>

interface Route {
  readonly path: RegExp
  readonly methods: Readonly<Record<string, Answer>>
}

/** A name may have slashes in it, as they are or as `%2F`. */
const NAME = '(.+)'
const ONE = '([^/]+)'

export class Routes {
  readonly #routes: readonly Route[]

  /** @param shared null: this machine is on its own */
  constructor(control: Control, place: TryPlace, shared: Fleet | null) {
    const config = new ConfigApi(control)
    const fleet = new FleetApi(shared)
    const scripts = new ScriptsApi(control, fleet)
    const upstreams = new UpstreamsApi(control)
    const dryRun = new TryApi(place)
    const page = new Console()
    this.#routes = [
      at('/', { GET: (request) => page.page(request) }),
      at(`/console/${ONE}`, { GET: (request, name) => page.file(name, request) }),
      at('/healthz', { GET: () => plain('ok\n') }),
      at('/readyz', { GET: () => ready(control) }),
      at('/metrics', { GET: () => metrics(control, fleet) }),
      at('/api/v1/status', { GET: () => config.status() }),
      at('/api/v1/config', { GET: () => config.effective() }),
      at('/api/v1/config/reload', { POST: (request) => config.reload(request) }),
      at('/api/v1/generations', { GET: () => scripts.generations() }),
      at('/api/v1/generations/rollback', { POST: (request) => scripts.rollbackAll(request) }),
      at('/api/v1/scripts', { GET: () => scripts.list() }),
      at(`/api/v1/scripts/${NAME}/rollback`, { POST: (request, name) => scripts.rollback(name, request) }),
      at(`/api/v1/scripts/${NAME}/adopt`, { POST: (request, name) => scripts.adopt(name, request) }),
      at(`/api/v1/scripts/${NAME}/promote`, { POST: (request, name) => scripts.promote(name, request) }),
      at(`/api/v1/scripts/${NAME}`, {
        GET: (_, name) => scripts.get(name),
        PUT: (request, name) => scripts.put(name, request),
        DELETE: (request, name) => scripts.delete(name, request),
      }),
      at('/api/v1/fleet', { GET: () => fleet.status() }),
      at(`/api/v1/rollouts/${ONE}`, { GET: (_, id) => fleet.rollout(id) }),
      at('/api/v1/upstreams', { GET: () => upstreams.list() }),
      at(`/api/v1/upstreams/${ONE}`, { GET: (_, name) => upstreams.get(name) }),
      at(`/api/v1/upstreams/${ONE}/servers`, { POST: (request, name) => upstreams.add(name, request) }),
      at(`/api/v1/upstreams/${ONE}/servers/${NAME}`, {
        PATCH: (request, name, server) => upstreams.patch(name, server, request),
        DELETE: (_, name, server) => upstreams.remove(name, server),
      }),
      at('/api/v1/try', { POST: (request) => dryRun.run(request) }),
    ]
  }

  /** @throws Refusal, or what an answer throws */
  async answer(request: ApiRequest): Promise<Reply> {
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const allowed = new Set<string>()
    for (const { path, methods } of this.#routes) {
      const match = path.exec(request.path)
      if (match === null) continue
      if (Object.hasOwn(methods, method)) return methods[method](request, ...match.slice(1).map(decode))
      for (const name of Object.keys(methods)) allowed.add(name)
    }
    if (allowed.size === 0) throw notFound(`there is nothing at ${request.path}`)
    const list = [...allowed].join(', ')
    throw new Refusal(405, 'method not allowed', `here is ${list}`, { headers: { Allow: list } })
  }
}

function at(path: string, methods: Route['methods']): Route {
  return { path: new RegExp(`^${path}$`), methods }
}

function decode(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    throw invalid(`${JSON.stringify(name)} is not encoded as a URL is`)
  }
}

/** Whether new requests should come here. */
async function ready(control: Control): Promise<Reply> {
  const { workers } = await control.status()
  const isReady = workers.some(({ state }) => state === 'serving')
  return isReady ? plain('ready\n') : plain('no worker serves\n', 503)
}

async function metrics(control: Control, fleet: FleetApi): Promise<Reply> {
  const body = await metricsText([...(await control.metrics()), await fleet.metrics()])
  return { status: 200, type: CONTENT_TYPE, body }
}
