/** A curve without axes: where the last two or three minutes went. */
import { draw } from './elements.js'
import { rate } from './format.js'

const WIDTH = 300
const HEIGHT = 48
/** Points that fill the width while there are no more. */
const LEAST = 30
/** Room for the stroke. */
const EDGE = 2

export class Sparkline {
  #line = draw('path.curve')
  #area = draw('path.area')

  constructor() {
    this.element = draw(
      'svg.sparkline',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
      this.#area,
      this.#line,
    )
  }

  /** @param {(number | null)[]} points the oldest first; null is a gap */
  show(points) {
    const most = Math.max(1, ...points.map((point) => point ?? 0))
    const x = (at) => WIDTH - ((points.length - 1 - at) * WIDTH) / (Math.max(LEAST, points.length) - 1)
    const y = (point) => HEIGHT - EDGE - ((HEIGHT - 2 * EDGE) * point) / most
    const runs = runsOf(points).map((run) =>
      run.map(({ at, point }) => `${x(at).toFixed(1)} ${y(point).toFixed(1)}`),
    )
    this.#line.setAttribute('d', runs.map((run) => `M${run.join('L')}`).join(''))
    this.#area.setAttribute('d', runs.map(areaBelow).join(''))
    const known = points.filter((point) => point !== null)
    const label =
      known.length === 0 ? 'no figures yet' : `${rate(Math.min(...known))} to ${rate(Math.max(...known))}`
    this.element.setAttribute('aria-label', `Requests per second of late: ${label}`)
  }
}

function runsOf(points) {
  const runs = []
  for (const [at, point] of points.entries()) {
    if (point === null) continue
    if (at === 0 || points[at - 1] === null) runs.push([])
    runs.at(-1).push({ at, point })
  }
  return runs
}

function areaBelow(run) {
  const [first, last] = [run[0].split(' ')[0], run.at(-1).split(' ')[0]]
  return `M${first} ${HEIGHT}L${run.join('L')}L${last} ${HEIGHT}Z`
}
