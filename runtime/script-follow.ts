/** Who follows the calls of one script (`script_shadow`, `script_record`), made of what the configuration says. */
import type { ScriptModel } from './config/model.ts'
import { type HookRequest, Outcome, type Phase, type PhaseHandler } from './phases.ts'
import type { RequestBinder } from './proxy/binder.ts'
import type { Services } from './proxy/exchange.ts'
import { stateKeyOf } from './replay/hook-input.ts'
import { type Journals, ScriptRecorder } from './script-record.ts'
import { Shadow, type ShadowResults } from './script-shadow.ts'
import { type Follower, ScriptTap } from './script-tap.ts'
import type { LoadedScript } from './script-versions.ts'

export interface FollowedScript {
  readonly tap: ScriptTap
  /** What runs where the candidate has a hook and the script has none; undefined: it has none either. */
  candidateAlone(phase: Phase): PhaseHandler | undefined
}

export interface FollowOptions {
  readonly model: ScriptModel
  /** null: there is no candidate, or it was taken out of service. */
  readonly pair: {
    readonly candidate: LoadedScript
    readonly results: ShadowResults
    readonly isCurrent: () => boolean
  } | null
  readonly binder: RequestBinder
  readonly services: Services
  readonly journals: Journals
}

/** null: nobody does. */
export function followScript(options: FollowOptions): FollowedScript | null {
  const { model, services, journals } = options
  const shadow = makeShadow(options)
  const followers: Follower[] = shadow === null ? [] : [shadow]
  if (model.record !== undefined) {
    const { record, file, params } = model
    followers.push(new ScriptRecorder({ record, file, params, services, journals }))
  }
  if (followers.length === 0) return null
  const stateKey = stateKeyOf(model.file, model.params)
  const alone = shadow === null ? null : new ScriptTap([shadow], stateKey)
  return {
    tap: new ScriptTap(followers, stateKey),
    candidateAlone: (phase) =>
      shadow?.options.hooks[phase] === undefined ? undefined : alone!.handler(phase, pass),
  }
}

function makeShadow({ model, pair, binder, services }: FollowOptions): Shadow | null {
  if (model.shadow === undefined || pair === null) return null
  const { script } = pair.candidate
  return new Shadow({
    file: script.file,
    sample: model.shadow.sample,
    hooks: script.hooks,
    results: pair.results,
    isCurrent: pair.isCurrent,
    stateKey: stateKeyOf(script.file, model.params),
    variable: (name) => binder.variable(name),
    log: (level, message) => services.log(level, message, null),
  })
}

function pass(_request: HookRequest): Outcome {
  return Outcome.PASS
}
