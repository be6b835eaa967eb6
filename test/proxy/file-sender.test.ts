// Files on their way to the client: block by block, never more than the client takes, never a short body that looks whole.

import { openSync, readlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FileSlice } from '../../runtime/proxy/exchange.ts'
import { sendFileSlice } from '../../runtime/proxy/file-sender.ts'
import { openFile } from '../../runtime/proxy/open-file.ts'
import { tempDir } from '../lib/temp.ts'
import { makeExchange } from './file-exchange.ts'

const SIZE = 300_000
const CONTENT = Buffer.from(Uint8Array.from({ length: SIZE }, (_, i) => (i * 7 + (i >> 8)) & 255)).toString(
  'latin1',
)

function slice(start: number, end: number): { slice: FileSlice; path: string; isOpen: () => boolean } {
  const path = join(tempDir(), 'file')
  writeFileSync(path, CONTENT, 'latin1')
  const fd = openSync(path, 'r')
  const isOpen = () => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path
    } catch {
      return false
    }
  }
  return { slice: { file: openFile(fd), start, end }, path, isOpen }
}

/** Descriptors are closed in the thread pool. */
async function closes(isOpen: () => boolean): Promise<boolean> {
  const deadline = Date.now() + 2000
  while (isOpen() && Date.now() < deadline) await new Promise((next) => setTimeout(next, 2))
  return !isOpen()
}

test('a client that takes everything gets the slice, in blocks', async () => {
  const { x, client } = makeExchange()
  const { slice: part, isOpen } = slice(10, SIZE - 10)
  const sizes: number[] = []
  client.takes = (_x, chunk) => {
    sizes.push(chunk.length)
    return true
  }
  await new Promise<void>((done) => sendFileSlice(x, part, done))
  assert.is(client.body, CONTENT.slice(10, -10))
  assert.equal(sizes, [65536, 65536, 65536, 65536, SIZE - 20 - 4 * 65536])
  assert.ok(await closes(isOpen))
})

test('a client that is full is waited for before the next block is read', async () => {
  const { x, client } = makeExchange()
  let waits = 0
  client.takes = () => {
    waits++
    setImmediate(() => {
      const resume = x.onDrained
      x.onDrained = null
      resume?.(x)
    })
    return false
  }
  await new Promise<void>((done) => sendFileSlice(x, slice(0, SIZE).slice, done))
  assert.is(client.body, CONTENT)
  assert.is(waits, 5)
})

test('a block that still waits in the socket is not written over', async () => {
  const { x, client } = makeExchange()
  const chunks: Uint8Array[] = []
  client.pendingBytes = 1
  client.takes = (_x, chunk) => {
    chunks.push(chunk as Uint8Array)
    return true
  }
  await new Promise<void>((done) => sendFileSlice(x, slice(0, SIZE).slice, done))
  assert.is(Buffer.concat(chunks).toString('latin1'), CONTENT)
})

test('a file that became shorter ends the connection', async () => {
  const { x, client, logged } = makeExchange()
  const { slice: part, path, isOpen } = slice(0, SIZE)
  truncateSync(path, 100_000)
  await new Promise<void>((done) => sendFileSlice(x, part, done))
  assert.is(client.aborted, true)
  assert.is(x.closed, true)
  assert.is(client.body, CONTENT.slice(0, 65536))
  assert.equal(logged, ['[alert] a file became shorter while it was sent'])
  assert.ok(await closes(isOpen))
})

test('a client that leaves gets no more, and the file is closed', async () => {
  const { x, client } = makeExchange()
  const { slice: part, isOpen } = slice(0, SIZE)
  client.takes = () => {
    x.closed = true
    return true
  }
  await new Promise<void>((done) => sendFileSlice(x, part, done))
  assert.is(client.body, CONTENT.slice(0, 65536))
  assert.is(client.aborted, false)
  assert.ok(await closes(isOpen))
})

test('a client that leaves while it is waited for: waking the sender closes the file', async () => {
  const { x, client } = makeExchange()
  const { slice: part, isOpen } = slice(0, SIZE)
  client.takes = () => false
  let over = false
  sendFileSlice(x, part, () => {
    over = true
  })
  const deadline = Date.now() + 2000
  while (x.onDrained === null && Date.now() < deadline) await new Promise((next) => setTimeout(next, 1))
  x.closed = true
  x.onDrained!(x)
  assert.is(over, true)
  assert.ok(await closes(isOpen))
})

test('an empty slice is done at once', () => {
  const { x, client } = makeExchange()
  let over = false
  sendFileSlice(x, slice(5, 5).slice, () => {
    over = true
  })
  assert.is(over, true)
  assert.is(client.body, '')
})

test('a descriptor is closed with its last handle, and not under a read', async () => {
  const { slice: part, isOpen } = slice(0, SIZE)
  const other = part.file.share()
  part.file.close()
  part.file.close()
  assert.is(isOpen(), true)
  const block = Buffer.alloc(10)
  const read = new Promise<number>((done) => other.read(block, 5, (_error, count) => done(count)))
  other.close()
  assert.is(await read, 10)
  assert.is(block.toString('latin1'), CONTENT.slice(5, 15))
  assert.ok(await closes(isOpen))
})

test('a read at the end of the file gives what there is', async () => {
  const { slice: part } = slice(0, SIZE)
  const block = Buffer.alloc(10)
  const count = await new Promise<number>((done) => part.file.read(block, SIZE - 3, (_error, n) => done(n)))
  assert.is(count, 3)
  part.file.close()
})

test.run()
