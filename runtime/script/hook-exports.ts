/** Which exports of a script are hooks. Pure: names in, names or a complaint out. */
import { PHASES, type Phase } from '../phases.ts'

/** The hooks that the engine runs. */
export const HOOKS = [
  'init',
  'rewrite',
  'access',
  'content',
  'balancer',
  'headerFilter',
  'bodyFilter',
  'log',
  'wsOpen',
  'wsMessage',
  'wsClose',
] as const satisfies Phase[]
export type Hook = (typeof HOOKS)[number]

/** Hooks for WebSockets. */
export const SOCKET_HOOKS = ['wsOpen', 'wsMessage', 'wsClose'] as const satisfies Hook[]

/** The export that is no hook: makes the `ws.state` of an earlier version of the script one of this version. */
export const MIGRATE = 'migrate'

const EXPORTS: readonly string[] = [...HOOKS, MIGRATE]

/** @returns what is wrong with an export, or null */
export function complaint(name: string, kind: string): string | null {
  if (EXPORTS.includes(name)) {
    return kind === 'function' ? null : `the export ${name} is ${article(kind)}, not a function`
  }
  if ((PHASES as readonly string[]).includes(name)) return `the hook ${name} does not exist in this version`
  const guess = similar(name)
  const hint = guess === null ? `the hooks are ${HOOKS.join(', ')}` : `did you mean ${guess}?`
  return name === 'default'
    ? 'hooks are exported by name, as in `export function access(r) {}`, not as default'
    : `the export ${name} is no hook; ${hint}`
}

function article(kind: string): string {
  return kind === 'undefined' ? kind : `${/^[aeiou]/.test(kind) ? 'an' : 'a'} ${kind}`
}

/** `header_filter`, `balance`, `acess`, `access_by_lua`: what was meant. */
function similar(name: string): string | null {
  const bare = simple(name)
  let best: string | null = null
  let least = Math.min(3, Math.floor(bare.length / 2))
  for (const hook of EXPORTS) {
    const steps = distance(bare, hook.toLowerCase())
    if (steps <= least && (best === null || steps < least)) {
      best = hook
      least = steps
    }
  }
  return best
}

function simple(name: string): string {
  return name
    .toLowerCase()
    .replace(/_by_lua.*$|^on_?/, '')
    .replaceAll('_', '')
}

/** Levenshtein. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      next[j] = Math.min(changed, row[j] + 1, next[j - 1] + 1)
    }
    row = next
  }
  return row[b.length]
}
