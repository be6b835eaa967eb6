/** The host functions behind `console`, `sluice.phase` and `setTimeout`, and those by which the guest reports to us. */
import { parseTime } from '../config/values.ts'
import type { LogLevel } from '../phases.ts'
import { argument, type DoorContext, type HostFunctions, MAX_BODY, MAX_NAME, objectAt } from './door.ts'
import { GuestError } from './guest-values.ts'

/** Objects of a slot, in the order in which the prelude tells them. */
const SLOT_OBJECTS = 7

export function globalsDoor(door: DoorContext): HostFunctions {
  const { values } = door
  return {
    log(_self, argv) {
      const level = values.text(argv, 'level', MAX_NAME) as LogLevel
      const request = door.current?.request ?? null
      const sink = request === null ? door.host.log : (of: LogLevel, line: string) => request.log(of, line)
      door.log.write(sink, level, values.text(argument(argv, 1), 'text', MAX_BODY))
      return 0
    },
    phase: () => values.string(door.current === null ? (door.ready ? 'timer' : 'init') : door.current.phase),
    startTimer(_self, argv) {
      const ms = values.isNumber(argv) ? values.number(argv) : 0
      return values.int(door.startTimer(ms))
    },
    /** In place of the sandbox's own, where the host has one. */
    hostRandom: () => values.double(door.host.random!()),
    stopTimer(_self, argv) {
      door.stopTimer(values.low(argv))
      return 0
    },
    /** Milliseconds, or a time as nginx writes it. */
    every(_self, argv) {
      const ms = values.isNumber(argv)
        ? values.number(argv)
        : parseTime(values.text(argv, 'the interval of sluice.every', MAX_NAME))
      if (ms === null)
        throw new GuestError('TypeError', 'sluice.every takes a time such as "10s", or milliseconds')
      return values.int(door.repeats.add(ms))
    },
    stopRepeat(_self, argv) {
      door.repeats.remove(values.low(argv))
      return 0
    },
    loadWebGlobals() {
      door.loadWebGlobals()
      return 0
    },
    slotMade(_self, argv) {
      const addresses: number[] = []
      for (let i = 0; i < SLOT_OBJECTS; i++) addresses.push(objectAt(door, argument(argv, i)))
      door.slots.made(addresses)
      return 0
    },
    settled(_self, argv) {
      door.settled(values.low(argv), values.low(argument(argv, 1)) === 1, argument(argv, 2))
      return 0
    },
  }
}
