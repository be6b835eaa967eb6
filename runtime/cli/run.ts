/** `sluice -c FILE`: tests, signals, or runs the proxy. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { readToken } from '../admin/token.ts'
import { dumpConfig } from '../config/dump.ts'
import type { Model } from '../config/model.ts'
import { formatProblem, type Problem, parseConfig } from '../config/parse.ts'
import { readSignKey } from '../fleet/seal.ts'
import { createGateway } from '../gateway.ts'
import type { LogLevel } from '../phases.ts'
import { NGINX_VERSION, VERSION } from '../version.ts'
import type { RunArguments } from './arguments.ts'
import { refusalText } from './refusal.ts'
import { LEVEL, serve } from './serve.ts'
import { makeStyle, type Style } from './style.ts'

const SIGNALS = { stop: 'SIGTERM', quit: 'SIGQUIT', reload: 'SIGHUP', reopen: 'SIGUSR1' } as const

export async function runProxy(args: RunArguments): Promise<number> {
  if (args.version) {
    printVersion(args.build)
    return 0
  }
  const prefix = resolve(args.prefix ?? '.')
  const load = () =>
    parseConfig({
      file: resolve(prefix, args.config),
      prefix,
      directives: args.directives ?? undefined,
      errorLog: args.errorLog === null ? undefined : args.errorLog,
    })
  const loaded = load()
  const { model, problems, files } = loaded
  report(problems, args.quiet)
  const file = resolve(prefix, args.config)
  if (model === null) {
    if (args.test) process.stderr.write(`sluice: configuration file ${file} test failed\n`)
    return 1
  }
  if (args.signal !== null) return sendSignal(args.signal, resolve(prefix, model.main.pid))
  if (args.test) return await testOnly(model, prefix, file, args, files)
  return serve({ model, files, prefix, load })
}

function report(problems: readonly Problem[], quiet: boolean): void {
  for (const problem of problems) {
    if (problem.severity === 'error' || !quiet)
      process.stderr.write(`sluice: [${LEVEL[problem.severity]}] ${formatProblem(problem)}\n`)
  }
}

/** Everything but the sockets: scripts are loaded too. */
async function testOnly(
  model: Model,
  prefix: string,
  file: string,
  args: RunArguments,
  files: { path: string; text: string }[],
): Promise<number> {
  try {
    const log = (level: LogLevel, message: string): void => {
      process.stderr.write(`sluice: [${level}] ${message}\n`)
    }
    const gateway = createGateway(model, { prefix, log })
    await gateway.check()
    if (model.http?.admin != null) readToken(model.http.admin)
    if (model.http !== null) readSignKey(model.http, (message) => log('warn', message))
  } catch (error) {
    process.stderr.write(
      `sluice: [emerg] ${refusalText(error, terminal())}\nsluice: configuration file ${file} test failed\n`,
    )
    return 1
  }
  if (!args.quiet) {
    process.stderr.write(`sluice: the configuration file ${file} syntax is ok\n`)
    process.stderr.write(`sluice: configuration file ${file} test is successful\n`)
  }
  if (args.dump) process.stdout.write(dumpConfig(files), 'latin1')
  return 0
}

function sendSignal(signal: keyof typeof SIGNALS, pidFile: string): number {
  let pid: number
  try {
    pid = Number.parseInt(readFileSync(pidFile, 'latin1'), 10)
  } catch {
    process.stderr.write(
      `sluice: [error] open() "${pidFile}" failed (2: No such file or directory); is it running?\n`,
    )
    return 1
  }
  try {
    if (!(pid > 0)) throw new Error(`invalid PID number in "${pidFile}"`)
    process.kill(pid, SIGNALS[signal])
    return 0
  } catch (error) {
    process.stderr.write(`sluice: [alert] kill(${pid}) failed: ${message(error)}\n`)
    return 1
  }
}

function terminal(): Style {
  return makeStyle(process.stderr.isTTY)
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** nginx's own words first: programs that drive nginx read them. */
function printVersion(build: boolean): void {
  process.stderr.write(`nginx version: nginx/${NGINX_VERSION} (sluice/${VERSION})\n`)
  if (!build) return
  process.stderr.write(`built by node ${process.version}\nconfigure arguments: ${BUILT.join(' ')}\n`)
}

/** What works beyond nginx's defaults, and which of the defaults do not. */
const BUILT = [
  '--with-http_realip_module',
  '--with-http_addition_module',
  '--with-http_auth_request_module',
  '--with-http_sub_module',
  '--with-http_v2_module',
  '--without-http_charset_module',
  '--without-http_userid_module',
  '--without-http_auth_basic_module',
  '--without-http_autoindex_module',
  '--without-http_referer_module',
  '--without-http_fastcgi_module',
  '--without-http_uwsgi_module',
  '--without-http_scgi_module',
  '--without-http_grpc_module',
  '--without-http_memcached_module',
  '--without-http_browser_module',
  '--without-http-cache',
]
