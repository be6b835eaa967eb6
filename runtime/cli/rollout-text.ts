/** Pieces of text about a fleet. What is said of other machines comes from other machines: no terminal may obey it. */
import type { Rollout } from '../fleet/fleet.ts'

/** Hex digits of a version that people are shown. */
export const SHORT = 16

/** Why nothing was changed, for stderr: a line, and below it what each machine has against it. */
export function refusalLines({ name, kind, reason, machines }: Rollout): string[] {
  const against = machines.filter((one) => one.state === 'refused' && one.reason !== '')
  if (against.length === 0) return [`${printable(reason)}; nothing has changed`]
  const lines = against.map((one) => `  ${printable(one.machine)}: ${indented(one.reason)}`)
  return [`the ${kind} of ${printable(name)} is refused, and nothing has changed`, ...lines]
}

/** `5 % by $arg_userId` */
export function shareText({ percent, key }: { readonly percent: number; readonly key: string }): string {
  return `${percent / 100} % by ${key === '' ? 'address' : printable(key)}`
}

/** Further lines stand below the first. */
export function indented(text: string): string {
  return text.split('\n').map(printable).join('\n    ')
}

/** Without what a terminal obeys. */
export function printable(text: string): string {
  return text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '?')
}
