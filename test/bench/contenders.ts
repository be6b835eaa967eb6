// Who takes part: how each proxy is started on the same upstreams. Knows nothing of what is measured.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../lib/ports.ts'
import { tempDir, writeFiles } from '../lib/temp.ts'
import * as configs from './configs.ts'
import { LOAD_CORE, type Measured, PROXY_CORE, startPinned, waitUntilListening } from './process.ts'
import { PEERS, programPath, SLUICE, type Tool, whyMissing } from './tools.ts'

/** A proxy that can be started; `files` are written below its folder first. */
export interface Contender {
  readonly name: string
  readonly tool?: Tool
  /** Its three hooks do their work, which is checked before it is measured. */
  readonly scripted?: boolean
  files(places: configs.Places): Readonly<Record<string, string>>
  command(places: configs.Places): readonly string[]
}

/** One that runs, and where. */
export interface Running {
  readonly name: string
  readonly measured: Measured
  readonly port: number
}

/** Starts a contender on the proxy's core. Returns why not, in one line, when it does not come up. */
export async function start(contender: Contender, upstreams: readonly number[]): Promise<Running | string> {
  const missing = contender.tool ? whyMissing(contender.tool) : null
  if (missing !== null) return missing
  const places = { folder: tempDir('sluice-bench-'), port: await freePort(), upstreams }
  writeFiles(places.folder, contender.files(places))
  const measured = startPinned(contender.name, PROXY_CORE, contender.command(places))
  try {
    await waitUntilListening(measured, places.port)
    return { name: contender.name, measured, port: places.port }
  } catch (error) {
    await measured.stop()
    return `did not start: ${(error as Error).message}`
  }
}

/** The three upstreams, on the load generator's core; `folder` is where `/big` is looked for. */
export async function startUpstreams(
  folder: string,
): Promise<{ measured: Measured; ports: readonly number[] }> {
  const missing = whyMissing('nginx')
  if (missing !== null) throw new Error(missing)
  const ports = [await freePort(), await freePort(), await freePort()]
  writeFiles(folder, { 'nginx.conf': configs.upstreamConfig({ folder, port: 0, upstreams: ports }) })
  const measured = startPinned('upstreams', LOAD_CORE, nginxCommand(folder))
  await waitUntilListening(measured, ports[2]!)
  return { measured, ports }
}

/** Starts a compiled helper of this folder (`sink.js`, …) on the load generator's core. */
export async function startHelper(file: string, port: number): Promise<Measured> {
  const measured = startPinned(file, LOAD_CORE, [process.execPath, helperPath(file), String(port)])
  await waitUntilListening(measured, port)
  return measured
}

export function helperPath(file: string): string {
  return new URL(file, import.meta.url).pathname
}

/** nginx on a configuration made by `text`. */
export function nginx(
  text: (places: configs.Places) => string,
  name = 'nginx',
  tool: Tool = 'nginx',
): Contender {
  return {
    name,
    tool,
    files: (places) => ({ 'nginx.conf': text(places) }),
    command: ({ folder }) => nginxCommand(folder),
  }
}

/** Sluice on a configuration made by `text`, with hooks in scripts/hooks.js if any. */
export function sluice(text: (places: configs.Places) => string, name = 'Sluice', hooks?: string): Contender {
  const scripts: Record<string, string> = hooks === undefined ? {} : { 'scripts/hooks.js': hooks }
  return {
    name,
    files: (places) => ({ 'sluice.conf': text(places), ...scripts }),
    command: ({ folder }) => [process.execPath, SLUICE, '-p', folder, '-c', 'sluice.conf', '-e', 'error.log'],
  }
}

export const haproxy: Contender = {
  name: 'HAProxy',
  tool: 'haproxy',
  files: (places) => ({ 'haproxy.cfg': configs.haproxyConfig(places) }),
  command: ({ folder }) => [programPath('haproxy'), '-db', '-f', join(folder, 'haproxy.cfg')],
}

export const openresty: Contender = {
  ...nginx(configs.openrestyConfig, 'OpenResty', 'openresty'),
  scripted: true,
}

/** A proxy in peers/FILE.mjs. */
export function nodePeer(name: string, file: string): Contender {
  const path = join(PEERS, `${file}.mjs`)
  if (!existsSync(path)) throw new Error(`${path} is missing`)
  return {
    name,
    files: () => ({}),
    command: ({ port, upstreams }) => [
      process.execPath,
      path,
      String(port),
      upstreams.map(address).join(','),
    ],
  }
}

function address(port: number): string {
  return `127.0.0.1:${port}`
}

function nginxCommand(folder: string): string[] {
  return [programPath('nginx'), '-p', folder, '-c', 'nginx.conf', '-e', 'error.log']
}
