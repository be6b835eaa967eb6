/** Lists of body parts: how long they are, what of them is a range, and letting go of the files in them. */
import type { BodyPart, FileSlice } from './exchange.ts'

export function isFileSlice(part: BodyPart): part is FileSlice {
  return typeof part !== 'string' && !(part instanceof Uint8Array)
}

/** Bytes. */
export function partLength(part: BodyPart): number {
  return isFileSlice(part) ? part.end - part.start : part.length
}

/**
 * Adds bytes `start` (inclusive) to `end` (exclusive) of a body to `out`. Slices of files are handles of their own:
 * the parts they were cut from are still to be closed.
 */
export function cutParts(parts: readonly BodyPart[], start: number, end: number, out: BodyPart[]): void {
  let offset = 0
  for (const part of parts) {
    const length = partLength(part)
    const from = Math.max(start - offset, 0)
    const to = Math.min(end - offset, length)
    offset += length
    if (from < to) out.push(cutPart(part, from, to))
  }
}

function cutPart(part: BodyPart, from: number, to: number): BodyPart {
  if (typeof part === 'string') return part.slice(from, to)
  if (part instanceof Uint8Array) return part.subarray(from, to)
  return { file: part.file.share(), start: part.start + from, end: part.start + to }
}

/** Closes the files of a body that is not sent, or no further. */
export function closeParts(parts: readonly BodyPart[] | null): void {
  if (parts !== null) for (const part of parts) if (isFileSlice(part)) part.file.close()
}
