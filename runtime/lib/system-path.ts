/**
 * Paths held as byte strings (latin1: one character, one byte) for `node:fs`, which would encode a JavaScript string
 * as UTF-8 and so name another file.
 */

const BEYOND_ASCII = /[\x80-\xff]/

/** The path as `node:fs` takes it; plain ASCII stays a string. */
export function systemPath(path: string): string | Buffer {
  return BEYOND_ASCII.test(path) ? Buffer.from(path, 'latin1') : path
}

const PARENT_SEGMENT = /(?:^|\/)\.\.(?:\/|$)/

/** True when a path that was put together from variables could leave the folder it was meant for, or ends early. */
export function isUnsafePath(path: string): boolean {
  return path.includes('\0') || (path.includes('..') && PARENT_SEGMENT.test(path))
}
