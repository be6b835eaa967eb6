// The programs that a benchmark needs beside Sluice: where they are, how to get them, their versions; the machine.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

interface Need {
  readonly name: string
  readonly package: string
  readonly file?: string
}

/** The part of test/setup.mjs that is used here. */
interface Setup {
  missingFromSystem(needs: readonly Need[]): Need[]
  installFromSystem(needs: readonly Need[]): boolean
  installCommand(needs: readonly Need[]): string
  findOnPath(name: string): string | null
}

/** The repository's root; this file runs from `<build folder>/test/bench`. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../../..')
/** Sluice's entry in the build folder that the benchmark runs from. */
export const SLUICE = fileURLToPath(new URL('../../runtime/cli/main.js', import.meta.url))
/** The Node peers, run from source: they are plain JavaScript. */
export const PEERS = join(ROOT, 'test/bench/peers')

const LUA = '/usr/lib/nginx/modules/ngx_http_lua_module.so'
const NEEDS = {
  nginx: [{ name: 'nginx', package: 'nginx' }],
  openresty: [
    { name: 'nginx', package: 'nginx' },
    { name: 'ngx_http_lua_module', package: 'libnginx-mod-http-lua', file: LUA },
  ],
  haproxy: [{ name: 'haproxy', package: 'haproxy' }],
  wrk: [{ name: 'wrk', package: 'wrk' }],
} as const

export type Tool = keyof typeof NEEDS

const setup = (await import(pathToFileURL(join(ROOT, 'test/setup.mjs')).href)) as Setup

/** Null when the tool is there (or could be installed), else one line that says what to type. */
export function whyMissing(tool: Tool): string | null {
  const missing = setup.missingFromSystem(NEEDS[tool])
  if (missing.length === 0 || setup.installFromSystem(missing)) return null
  return `${tool} is not installed; type: ${setup.installCommand(missing)}`
}

/** Full path of a program that is known to be there. */
export function programPath(name: string): string {
  return setup.findOnPath(name) ?? name
}

/** Two lines of text on where the numbers were measured. */
export function machineText(): string {
  const processor = cpus()[0]?.model ?? 'unknown processor'
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  return `${processor}, ${cpus().length} cores, ${memory}, Linux ${kernel}\n${versionsText()}`
}

function versionsText(): string {
  const nginx = versionOf('nginx', ['-v'], /nginx\/(\S+)/)
  const parts = [`node ${process.versions.node}`, `nginx ${nginx}`]
  if (existsSync(LUA)) parts.push(`ngx_lua ${packageVersion('libnginx-mod-http-lua')}`)
  parts.push(`haproxy ${versionOf('haproxy', ['-v'], /version (\S+)/)}`)
  parts.push(`wrk ${versionOf('wrk', ['-v'], /^wrk (?:debian\/)?(\S+)/)}`)
  for (const name of ['http-proxy', 'fast-proxy', 'httpxy', 'undici'])
    parts.push(`${name} ${npmVersion(name)}`)
  return parts.join(', ')
}

function versionOf(program: string, args: readonly string[], pattern: RegExp): string {
  const { stdout, stderr } = spawnSync(programPath(program), args, { encoding: 'utf8' })
  return pattern.exec(`${stdout}${stderr}`)?.[1] ?? 'absent'
}

function packageVersion(name: string): string {
  const { stdout } = spawnSync('dpkg-query', ['-W', name], { encoding: 'utf8' })
  return /\t(?:\d+:)?([^+\s-]+)/.exec(stdout ?? '')?.[1] ?? 'unknown'
}

function npmVersion(name: string): string {
  const require = createRequire(import.meta.url)
  for (const folder of require.resolve.paths(name) ?? []) {
    const path = join(folder, name, 'package.json')
    if (existsSync(path)) return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
  }
  return 'absent'
}
