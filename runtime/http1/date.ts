/**
 * Dates as HTTP writes them, RFC 9110 section 5.6.7. Knows no fields.
 */

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

const DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)'
const LONG_DAY = '(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day'
const MONTH = `(${MONTHS.join('|')})`
const TIME = '(\\d\\d):(\\d\\d):(\\d\\d)'

/** `Sun, 06 Nov 1994 08:49:37 GMT` */
const IMF = new RegExp(`^${DAY}, (\\d\\d) ${MONTH} (\\d{4}) ${TIME} GMT$`)
/** `Sunday, 06-Nov-94 08:49:37 GMT` */
const RFC850 = new RegExp(`^${LONG_DAY}, (\\d\\d)-${MONTH}-(\\d\\d) ${TIME} GMT$`)
/** `Sun Nov  6 08:49:37 1994` */
const ASCTIME = new RegExp(`^${DAY} ${MONTH} ([ \\d]\\d) ${TIME} (\\d{4})$`)

let lastSecond = -1
let lastText = ''

/** The current time, made once a second. */
export function httpDate(): string {
  const second = Math.floor(Date.now() / 1000)
  if (second !== lastSecond) {
    lastSecond = second
    lastText = formatHttpDate(second * 1000)
  }
  return lastText
}

/** The preferred form. @param ms since the epoch; parts of a second are cut off */
export function formatHttpDate(ms: number): string {
  const date = new Date(ms)
  const day = `${DAYS[date.getUTCDay()]}, ${two(date.getUTCDate())} ${MONTHS[date.getUTCMonth()]}`
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`
  return `${day} ${String(date.getUTCFullYear()).padStart(4, '0')} ${time} GMT`
}

/** Milliseconds since the epoch of a date in any of the three forms; NaN if it is none. */
export function parseHttpDate(text: string): number {
  let match = IMF.exec(text)
  if (match !== null) return timeOf(Number(match[3]), match[2], match[1], match.slice(4))
  match = RFC850.exec(text)
  if (match !== null) return timeOf(fullYear(Number(match[3])), match[2], match[1], match.slice(4))
  match = ASCTIME.exec(text)
  if (match !== null) return timeOf(Number(match[6]), match[1], match[2], match.slice(3, 6))
  return Number.NaN
}

function timeOf(year: number, month: string, day: string, clock: readonly string[]): number {
  const [hours, minutes, seconds] = clock.map(Number)
  // 60 is a leap second: taken as the second before.
  if (hours > 23 || minutes > 59 || seconds > 60) return Number.NaN
  const date = new Date(0)
  date.setUTCFullYear(year, MONTHS.indexOf(month), Number(day))
  if (date.getUTCDate() !== Number(day)) return Number.NaN
  return date.setUTCHours(hours, minutes, Math.min(seconds, 59))
}

/** RFC 9110: a year that would be more than 50 years ahead is the last one in the past with these digits. */
function fullYear(digits: number): number {
  const now = new Date().getUTCFullYear()
  const year = now - (now % 100) + digits
  return year > now + 50 ? year - 100 : year
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value)
}
