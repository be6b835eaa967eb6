/** The fleet in `/metrics`, as this machine sees it: counted when it is asked for. */
import type { FleetStatus } from '../fleet/fleet.ts'
import { gauge, type MetricFamily } from '../observe/metrics.ts'

/** @param status null: Redis does not say */
export function fleetFamilies(status: FleetStatus | null): MetricFamily[] {
  const isThere = status?.connected === true
  const connected = gauge('sluice_fleet_connected', 'Whether the Redis of the fleet can be reached.', [
    [{}, isThere ? 1 : 0],
  ])
  if (status === null || !isThere) return [connected]
  const { machine, machines } = status
  const away = machines.filter((one) => one.away).length
  const own = machines.find((one) => one.machine === machine)
  return [
    connected,
    gauge('sluice_fleet_machines', 'Machines of the fleet.', [
      [{ state: 'there' }, machines.length - away],
      [{ state: 'away' }, away],
    ]),
    gauge('sluice_fleet_drift', 'Scripts of this machine that are not what the fleet has recorded.', [
      [{}, Object.keys(own?.drift ?? {}).length],
    ]),
  ]
}
