/**
 * A descriptor that several slices of one file read from: closed when the last of them is, never under a read that
 * is still under way. Knows no exchanges.
 */
import { close, read } from 'node:fs'
import type { OpenFile } from './exchange.ts'

class Descriptor {
  readonly fd: number
  #users = 0

  constructor(fd: number) {
    this.fd = fd
  }

  acquire(): void {
    this.#users++
  }

  release(): void {
    if (--this.#users === 0) close(this.fd, ignore)
  }
}

class FileHandle implements OpenFile {
  readonly #descriptor: Descriptor
  #closed = false

  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor
    descriptor.acquire()
  }

  read(block: Uint8Array, position: number, done: (error: Error | null, count: number) => void): void {
    if (this.#closed) throw new Error('a closed file cannot be read')
    const descriptor = this.#descriptor
    let filled = 0
    const next = (): void =>
      read(descriptor.fd, block, filled, block.length - filled, position + filled, onRead)
    const onRead = (error: Error | null, count: number): void => {
      filled += count
      if (error === null && count > 0 && filled < block.length) next()
      else {
        descriptor.release()
        done(error, filled)
      }
    }
    descriptor.acquire()
    next()
  }

  share(): OpenFile {
    return new FileHandle(this.#descriptor)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#descriptor.release()
  }
}

/** Takes the descriptor over: it is closed with the last handle. */
export function openFile(fd: number): OpenFile {
  return new FileHandle(new Descriptor(fd))
}

function ignore(): void {}
