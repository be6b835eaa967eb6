/** Variables of the process: time, names, counters. */
import { hostname } from 'node:os'
import { formatSeconds, timeIso8601, timeLocal } from '../lib/time-format.ts'
import type { VariableGetter } from './plan.ts'

/** The nginx whose language and semantics are followed. */
const NGINX_VERSION = '1.31.5'

const HOSTNAME = hostname().toLowerCase()
const PID = String(process.pid)

export const PROCESS_VARIABLES: Readonly<Record<string, VariableGetter>> = {
  hostname: () => HOSTNAME,
  pid: () => PID,
  nginx_version: () => NGINX_VERSION,
  msec: () => formatSeconds(Date.now()),
  time_local: timeLocal,
  time_iso8601: timeIso8601,
  connections_active: (x) => String(x.generation.services.stats.active),
  connections_reading: (x) => String(x.generation.services.stats.reading),
  connections_writing: (x) => String(x.generation.services.stats.writing),
  connections_waiting: (x) => String(x.generation.services.stats.waiting),
  sluice_generation: (x) => String(x.generation.id),
}
