/** The host functions behind `ws` and `msg`. */
import type { WebSocketMessage, WebSocketSide, WebSocketView } from '../phases.ts'
import {
  argument,
  bytesAt,
  type DoorContext,
  type HostFunctions,
  isAbsent,
  MAX_NAME,
  MAX_VALUE,
  objectAt,
} from './door.ts'
import { GuestError, Tag } from './guest-values.ts'
import type { Address } from './quickjs-module.ts'
import type { Slot } from './slots.ts'

/** Bytes of a message that a script sends. */
const MAX_MESSAGE = 1024 * 1024
/** RFC 6455 section 7.4.1: a normal closure. */
const NORMAL = 1000

export function webSocketDoor(door: DoorContext): HostFunctions {
  const { values } = door
  return {
    wsProtocol: (self) => values.string(viewOf(door, self).protocol),
    wsReconnects: (self) => values.int(viewOf(door, self).reconnects),
    /** `(to, text)` or `(to, buffer, offset, length)` */
    wsSend(self, argv) {
      const view = viewOf(door, self)
      const to = sideAt(door, argv)
      const data = bytesAt(door, argv, 1, 'the message', MAX_MESSAGE)
      view.send(to, data, values.tag(argument(argv, 1)) === Tag.OBJECT)
      return 0
    },
    wsClose(self, argv) {
      const view = viewOf(door, self)
      const code = isAbsent(door, argv) ? NORMAL : values.isNumber(argv) ? values.number(argv) : Number.NaN
      if (!Number.isInteger(code))
        throw new GuestError('TypeError', 'the code of ws.close() is a whole number')
      const reason = argument(argv, 1)
      view.close(
        code,
        isAbsent(door, reason) ? '' : values.text(reason, 'the reason of ws.close()', MAX_VALUE),
      )
      return 0
    },
    stateTouched(self) {
      door.sockets.touch(socketSlot(door, self))
      return 0
    },
    ...messageDoor(door),
  }
}

function messageDoor(door: DoorContext): HostFunctions {
  const { values } = door
  return {
    messageFrom: (self) => values.string(messageOf(messageSlot(door, self)).from),
    messageBinary: (self) => values.boolean(messageOf(messageSlot(door, self)).binary),
    messageData(self) {
      const slot = messageSlot(door, self)
      return door.sockets.dataOf(slot, messageOf(slot))
    },
  }
}

/** The slot whose `ws` this is. @throws GuestError when it is none, or its request is over */
function socketSlot(door: DoorContext, self: Address): Slot {
  const address = objectAt(door, self)
  const slot = door.slots.of(address)
  if (slot.socket?.wsAddress !== address)
    throw new GuestError('TypeError', 'a method of a WebSocket was called on something else')
  return slot
}

function viewOf(door: DoorContext, self: Address): WebSocketView {
  const view = socketSlot(door, self).request!.webSocket
  if (view === null) throw new GuestError('Error', 'this WebSocket is over')
  return view
}

/** The slot whose `msg` this is. @throws GuestError when it is none, or its hook has ended */
function messageSlot(door: DoorContext, self: Address): Slot {
  const address = objectAt(door, self)
  const slot = door.slots.find(address)
  if (slot?.socket?.messageAddress === address && slot.active && slot.phase === 'wsMessage') return slot
  throw OVER
}

function messageOf(slot: Slot): WebSocketMessage {
  const message = slot.request?.webSocket?.message ?? null
  if (message === null) throw OVER
  return message
}

function sideAt(door: DoorContext, cell: Address): WebSocketSide {
  const side = door.values.isString(cell) ? door.values.text(cell, 'to', MAX_NAME) : ''
  if (side === 'client' || side === 'upstream') return side
  throw new GuestError('TypeError', "ws.send(to, data): to is 'client' or 'upstream'")
}

const OVER = new GuestError('Error', 'this message is over: msg can be used while its wsMessage hook runs')
