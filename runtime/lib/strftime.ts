/** POSIX `strftime` in the C locale, for UTC and the process's own time zone. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

/** What the conversions read. */
interface Clock {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly weekday: number
  /** Days since the first of January. */
  readonly yearday: number
  /** Minutes east of UTC. */
  readonly offset: number
  readonly zone: string
  /** Seconds since the epoch. */
  readonly seconds: number
}

/**
 * Formats a time. Conversions that do not exist stay as they are.
 * @param ms since the epoch @param utc UTC instead of local time
 */
export function strftime(format: string, ms: number, utc: boolean): string {
  return convert(format, utc ? utcClock(ms) : localClock(ms))
}

function convert(format: string, clock: Clock): string {
  return format.replace(
    /%[EO]?([A-Za-z%])/g,
    (whole, letter: string) => CONVERSIONS[letter]?.(clock) ?? whole,
  )
}

const CONVERSIONS: Readonly<Record<string, (clock: Clock) => string>> = {
  '%': () => '%',
  n: () => '\n',
  t: () => '\t',
  a: (clock) => DAYS[clock.weekday].slice(0, 3),
  A: (clock) => DAYS[clock.weekday],
  b: (clock) => MONTHS[clock.month].slice(0, 3),
  B: (clock) => MONTHS[clock.month],
  h: (clock) => MONTHS[clock.month].slice(0, 3),
  c: (clock) => convert('%a %b %e %H:%M:%S %Y', clock),
  C: (clock) => zeros(Math.floor(clock.year / 100), 2),
  d: (clock) => zeros(clock.day, 2),
  D: (clock) => convert('%m/%d/%y', clock),
  e: (clock) => blanks(clock.day),
  F: (clock) => convert('%Y-%m-%d', clock),
  g: (clock) => zeros(isoWeek(clock).year % 100, 2),
  G: (clock) => String(isoWeek(clock).year),
  H: (clock) => zeros(clock.hour, 2),
  I: (clock) => zeros(clock.hour % 12 || 12, 2),
  j: (clock) => zeros(clock.yearday + 1, 3),
  k: (clock) => blanks(clock.hour),
  l: (clock) => blanks(clock.hour % 12 || 12),
  m: (clock) => zeros(clock.month + 1, 2),
  M: (clock) => zeros(clock.minute, 2),
  p: (clock) => (clock.hour < 12 ? 'AM' : 'PM'),
  P: (clock) => (clock.hour < 12 ? 'am' : 'pm'),
  r: (clock) => convert('%I:%M:%S %p', clock),
  R: (clock) => convert('%H:%M', clock),
  s: (clock) => String(clock.seconds),
  S: (clock) => zeros(clock.second, 2),
  T: (clock) => convert('%H:%M:%S', clock),
  u: (clock) => String(clock.weekday || 7),
  U: (clock) => zeros(Math.floor((clock.yearday + 7 - clock.weekday) / 7), 2),
  V: (clock) => zeros(isoWeek(clock).week, 2),
  w: (clock) => String(clock.weekday),
  W: (clock) => zeros(Math.floor((clock.yearday + 7 - ((clock.weekday + 6) % 7)) / 7), 2),
  x: (clock) => convert('%m/%d/%y', clock),
  X: (clock) => convert('%H:%M:%S', clock),
  y: (clock) => zeros(clock.year % 100, 2),
  Y: (clock) => String(clock.year),
  z: zoneOffset,
  Z: (clock) => clock.zone,
}

function utcClock(ms: number): Clock {
  const date = new Date(ms)
  const year = date.getUTCFullYear()
  return {
    year,
    month: date.getUTCMonth(),
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    weekday: date.getUTCDay(),
    yearday: yearday(year, date.getUTCMonth(), date.getUTCDate()),
    offset: 0,
    zone: 'GMT',
    seconds: Math.floor(ms / 1000),
  }
}

function localClock(ms: number): Clock {
  const date = new Date(ms)
  const year = date.getFullYear()
  return {
    year,
    month: date.getMonth(),
    day: date.getDate(),
    hour: date.getHours(),
    minute: date.getMinutes(),
    second: date.getSeconds(),
    weekday: date.getDay(),
    yearday: yearday(year, date.getMonth(), date.getDate()),
    offset: -date.getTimezoneOffset(),
    zone: zoneName(date),
    seconds: Math.floor(ms / 1000),
  }
}

function yearday(year: number, month: number, day: number): number {
  return Math.round((Date.UTC(year, month, day) - Date.UTC(year, 0, 1)) / 86_400_000)
}

/** `UTC`, `CET`, …; where the zone has no short name, what is made of its offset. */
function zoneName(date: Date): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(date)
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? ''
}

/** ISO 8601: the week belongs to the year that its Thursday is in. */
function isoWeek(clock: Clock): { year: number; week: number } {
  const thursday = clock.yearday + 3 - ((clock.weekday + 6) % 7)
  if (thursday < 0) {
    const days = yearday(clock.year - 1, 11, 31) + 1
    return { year: clock.year - 1, week: Math.floor((thursday + days) / 7) + 1 }
  }
  const days = yearday(clock.year, 11, 31) + 1
  if (thursday >= days) return { year: clock.year + 1, week: 1 }
  return { year: clock.year, week: Math.floor(thursday / 7) + 1 }
}

function zoneOffset(clock: Clock): string {
  const size = Math.abs(clock.offset)
  return `${clock.offset < 0 ? '-' : '+'}${zeros(Math.floor(size / 60), 2)}${zeros(size % 60, 2)}`
}

function zeros(value: number, width: number): string {
  return String(value).padStart(width, '0')
}

function blanks(value: number): string {
  return String(value).padStart(2, ' ')
}
