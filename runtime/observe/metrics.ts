/**
 * Counters as Prometheus reads them: families in the plain form that prom-client aggregates over processes and writes
 * out, and the text made of those of all workers. Knows the format, not what is counted.
 */
import type { Registry } from 'prom-client'
import { BOUNDS, type TimeHistogram } from './metrics-histogram.ts'

export type Labels = Readonly<Record<string, string>>

/** One metric of one process, with all its labels: plain data, as `Registry.getMetricsAsJSON` gives it. */
export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** What the numbers of several processes make together. */
  readonly aggregator: 'sum' | 'max' | 'first'
  readonly values: MetricValue[]
}

interface MetricValue {
  readonly metricName?: string
  readonly labels: Labels
  readonly value: number
}

export const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

type Row = readonly [labels: Labels, value: number]

export function counter(name: string, help: string, rows: readonly Row[]): MetricFamily {
  return family(name, help, 'counter', 'sum', rows)
}

/** @param aggregator `max`: all processes speak of the same thing */
export function gauge(
  name: string,
  help: string,
  rows: readonly Row[],
  aggregator: 'sum' | 'max' = 'sum',
): MetricFamily {
  return family(name, help, 'gauge', aggregator, rows)
}

function family(
  name: string,
  help: string,
  type: 'counter' | 'gauge',
  aggregator: MetricFamily['aggregator'],
  rows: readonly Row[],
): MetricFamily {
  return { name, help, type, aggregator, values: rows.map(([labels, value]) => ({ labels, value })) }
}

export function histogram(
  name: string,
  help: string,
  rows: readonly (readonly [labels: Labels, times: TimeHistogram])[],
): MetricFamily {
  const values = rows.flatMap(([labels, times]) => histogramValues(name, labels, times))
  return { name, help, type: 'histogram', aggregator: 'sum', values }
}

/** Buckets of Prometheus hold what is below them as well; its times are seconds. */
function histogramValues(name: string, labels: Labels, { counts, sum }: TimeHistogram): MetricValue[] {
  const metricName = `${name}_bucket`
  let total = 0
  const values: MetricValue[] = counts.map((count, at) => {
    total += count
    const le = at < BOUNDS.length ? String(BOUNDS[at] / 1000) : '+Inf'
    return { metricName, labels: { le, ...labels }, value: total }
  })
  values.push({ metricName: `${name}_sum`, labels, value: sum / 1000 })
  values.push({ metricName: `${name}_count`, labels, value: total })
  return values
}

/** ms between two looks at how late the event loop is: the finest look costs more than it tells. */
const LOOP_PRECISION = 100

/** CPU, memory, event loop and garbage collection of this process, measured from the first scrape on. */
export class ProcessMetrics {
  #registry: Registry | null = null

  async read(): Promise<MetricFamily[]> {
    if (this.#registry === null) {
      const { collectDefaultMetrics, Registry } = await import('prom-client')
      this.#registry = new Registry()
      collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: LOOP_PRECISION })
    }
    return (await this.#registry.getMetricsAsJSON()) as unknown as MetricFamily[]
  }
}

/** The text of the metrics of all processes together. */
export async function metricsText(processes: readonly (readonly MetricFamily[])[]): Promise<string> {
  const { AggregatorRegistry } = await import('prom-client')
  return AggregatorRegistry.aggregate(processes.map((families) => [...families])).metrics()
}
