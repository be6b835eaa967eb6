/** Times as nginx logs them, in the local time zone; each made once a second. */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

let second = -1
let local = ''
let iso = ''

/** The current time, `31/Jan/2026:23:59:59 +0100`. */
export function timeLocal(): string {
  refresh()
  return local
}

/** The current time, `2026-01-31T23:59:59+01:00`. */
export function timeIso8601(): string {
  refresh()
  return iso
}

/** `31/Jan/2026:23:59:59 +0100`. @param ms since the epoch */
export function formatLocal(ms: number): string {
  const date = new Date(ms)
  return `${two(date.getDate())}/${MONTHS[date.getMonth()]}/${date.getFullYear()}:${clock(date)} ${offset(date, '')}`
}

/** `2026-01-31T23:59:59+01:00`. @param ms since the epoch */
export function formatIso8601(ms: number): string {
  const date = new Date(ms)
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${clock(date)}${offset(date, ':')}`
}

/** Seconds with three decimals, `12.345`, as `$request_time` has them. @param ms negative counts as 0 */
export function formatSeconds(ms: number): string {
  const whole = Math.max(0, Math.trunc(ms))
  const rest = whole % 1000
  return `${(whole - rest) / 1000}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`
}

function refresh(): void {
  const now = Math.floor(Date.now() / 1000)
  if (now === second) return
  second = now
  local = formatLocal(now * 1000)
  iso = formatIso8601(now * 1000)
}

function clock(date: Date): string {
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

function offset(date: Date, separator: string): string {
  const minutes = -date.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${separator}${two(size % 60)}`
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value)
}
