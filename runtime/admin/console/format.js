/** Numbers, times and names as people read them. Knows no elements. */

/** Hex digits that tell versions apart at a glance. */
const SHORT = 8

const whole = new Intl.NumberFormat('en')
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = new Intl.DateTimeFormat('en-GB', { day: '2-digit', month: 'short' })

export function count(number) {
  return whole.format(number)
}

/** `0`, `3.4`, `1,240` in a second; an unknown one is a dash. */
export function rate(perSecond) {
  if (perSecond === null) return '–'
  return perSecond > 0 && perSecond < 100 ? perSecond.toFixed(1) : whole.format(Math.round(perSecond))
}

export function bytes(number) {
  if (number < 1024) return `${number} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let value = number / 1024
  let unit = 0
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1024
  return `${value.toFixed(value < 100 ? 1 : 0)} ${units[unit]}`
}

/** The two largest units: `3 d 4 h`, `5 min 6 s`. */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ]
  const first = parts.findIndex(([number]) => number > 0)
  if (first === -1) return '0 s'
  const shown = parts.slice(first, first + 2).filter(([number]) => number > 0)
  return shown.map(([number, unit]) => `${number} ${unit}`).join(' ')
}

/** @param micros microseconds */
export function micros(micros) {
  if (micros < 1000) return `${micros < 10 ? micros.toFixed(1) : Math.round(micros)} µs`
  return `${(micros / 1000).toFixed(micros < 10_000 ? 2 : 1)} ms`
}

export function percent(part, all) {
  return `${all === 0 ? 0 : ((100 * part) / all).toFixed(1)} %`
}

/** @param ms since the epoch */
export function time(ms) {
  const at = new Date(ms)
  const today = new Date().toDateString() === at.toDateString()
  return today ? clock.format(at) : `${day.format(at)} ${clock.format(at)}`
}

export function short(digest) {
  return printable(digest.slice(0, SHORT))
}

/** `server`, `servers` */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? '' : 's'}`
}

/** Without what would turn or hide the text beside it: names and reasons come from scripts and other machines. */
export function printable(text) {
  return text.replace(/[^\p{L}\p{M}\p{N}\p{P}\p{S}\n ]/gu, '\u00b7')
}

/** `5 % by $arg_userId` of a canary in the fleet. */
export function share({ percent: hundredths, key }) {
  return `${hundredths / 100} % by ${key === '' ? 'address' : printable(key)}`
}
