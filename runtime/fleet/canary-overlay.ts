/**
 * Canaries of the fleet as if the configuration had them: a model with a `script_canary` on every line of a script, and
 * the file beside the script that holds its text. Pure but for the names of files; knows neither Redis nor records.
 */
import { basename, dirname, extname, join } from 'node:path'
import { CANARY_GUARD } from '../config/directives-canary.ts'
import type {
  CanaryModel,
  HttpModel,
  LocationModel,
  Model,
  ScriptModel,
  Settings,
  Template,
  Where,
} from '../config/model.ts'
import { encodeBytes } from '../config/problems.ts'
import { parseTemplate } from '../config/template.ts'
import { isBuiltinVariable } from '../config/variables-list.ts'
import type { CanaryShare } from './fleet.ts'

export interface Overlay {
  /** Absolute. */
  readonly file: string
  readonly share: CanaryShare
}

/** As {@link canaryFile} makes them. */
const CANARY_FILE = /^\..+\.fleet-canary-[0-9a-f]{16}(?:\.[^.]*)?$/

/** Beside the script, so that it imports the same; no two roll-outs share one. @param id of the roll-out */
export function canaryFile(script: string, id: string): string {
  const extension = extname(script)
  return join(dirname(script), `.${basename(script, extension)}.fleet-canary-${id}${extension}`)
}

/** The model with these canaries of the fleet, by script file, and no other ones; those of the configuration stay. */
export function withCanaries(model: Model, overlays: ReadonlyMap<string, Overlay>): Model {
  const { http } = model
  if (http === null) return model
  const change = (script: ScriptModel): ScriptModel => {
    const { canary, ...bare } = script
    if (canary !== undefined && !isOfFleet(canary)) return script
    const overlay = overlays.get(script.file)
    return overlay === undefined ? bare : { ...bare, canary: canaryOf(script, overlay) }
  }
  return { ...model, http: mapScripts(http, change) }
}

function canaryOf({ where }: ScriptModel, { file, share: { percent, key } }: Overlay): CanaryModel {
  return { where, file, percent, key: key === '' ? null : templateOf(key, where), ...CANARY_GUARD }
}

function templateOf(key: string, where: Where): Template {
  const template = parseTemplate(encodeBytes(key), where)
  if (Array.isArray(template)) throw new Error(template[0].message)
  return template as Template
}

/**
 * Why a script of this model can have no canary of the fleet.
 * @returns null when it can; else what is wrong, and where
 */
export function canaryFault({ http }: Model, file: string, { key }: CanaryShare): string | null {
  const lines = http === null ? [] : scriptsOf(http).filter((script) => script.file === file)
  if (lines.length === 0) return `${file}: no "script" line names it, and only those can have a canary`
  const own = lines.find(({ canary }) => canary !== undefined && !isOfFleet(canary))
  if (own !== undefined) {
    const { where } = own.canary!
    return `${placeOf(where)}: the configuration has a canary of it already; remove this "script_canary" first`
  }
  return keyFault(http!, key, lines[0].where)
}

function keyFault({ variables }: HttpModel, key: string, where: Where): string | null {
  const template = parseTemplate(encodeBytes(key), where)
  if (Array.isArray(template)) return `the key of the canary: ${template[0].message}`
  for (const part of (template as Template).parts) {
    if (typeof part === 'string' || isBuiltinVariable(part.variable) || variables.includes(part.variable))
      continue
    return `the key of the canary: this machine's configuration has no variable "$${part.variable}"`
  }
  return null
}

function placeOf({ file, line, column }: Where): string {
  return `${file}:${line}:${column}`
}

function isOfFleet({ file }: CanaryModel): boolean {
  return isCanaryFile(file)
}

/** The file is one that {@link canaryFile} has named. */
export function isCanaryFile(file: string): boolean {
  return CANARY_FILE.test(basename(file))
}

/** Every file that a "script" line names. */
export function scriptFilesOf({ http }: Model): ReadonlySet<string> {
  return new Set(http === null ? [] : scriptsOf(http).map(({ file }) => file))
}

function scriptsOf(http: HttpModel): ScriptModel[] {
  const all: ScriptModel[] = []
  mapScripts(http, (script) => {
    all.push(script)
    return script
  })
  return all
}

function mapScripts(http: HttpModel, change: (script: ScriptModel) => ScriptModel): HttpModel {
  const settings = <T extends Settings>(of: T): T =>
    of.scripts === undefined ? of : { ...of, scripts: of.scripts.map(change) }
  const location = (of: LocationModel): LocationModel => ({
    ...of,
    settings: settings(of.settings),
    locations: of.locations.map(location),
  })
  return {
    ...http,
    settings: settings(http.settings),
    upstreams: http.upstreams.map((of) => ({ ...of, scripts: of.scripts.map(change) })),
    servers: http.servers.map((of) => ({
      ...of,
      settings: settings(of.settings),
      locations: of.locations.map(location),
    })),
  }
}
