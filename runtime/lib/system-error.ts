/**
 * Failures of system calls in the words of the C library, as nginx's log lines carry them. A leaf: knows no files
 * and no sockets.
 */
import { getSystemErrorMap } from 'node:util'

/** Where glibc's wording differs from libuv's in more than the first letter. */
const GLIBC: Readonly<Record<string, string>> = {
  EAGAIN: 'Resource temporarily unavailable',
  EBADF: 'Bad file descriptor',
  EDQUOT: 'Disk quota exceeded',
  EEXIST: 'File exists',
  EFBIG: 'File too large',
  EIO: 'Input/output error',
  EISDIR: 'Is a directory',
  ELOOP: 'Too many levels of symbolic links',
  EMFILE: 'Too many open files',
  ENAMETOOLONG: 'File name too long',
  ENFILE: 'Too many open files in system',
  ENOMEM: 'Cannot allocate memory',
  ENXIO: 'No such device or address',
  EROFS: 'Read-only file system',
  EADDRINUSE: 'Address already in use',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EHOSTUNREACH: 'No route to host',
  EPIPE: 'Broken pipe',
}

/** `2: No such file or directory` for an error of `node:fs` or `node:net`; its message when it has no number. */
export function describeSystemError(error: NodeJS.ErrnoException): string {
  if (error.errno === undefined) return error.message
  const known = getSystemErrorMap().get(error.errno)
  if (known === undefined) return `${Math.abs(error.errno)}: ${error.code ?? error.message}`
  const [name, text] = known
  return `${Math.abs(error.errno)}: ${GLIBC[name] ?? text.charAt(0).toUpperCase() + text.slice(1)}`
}
