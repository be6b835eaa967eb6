// Where the scripts that are shipped lie.

import { fileURLToPath } from 'node:url'
import { packageRoot } from '../../runtime/lib/package-root.ts'

/** The path of a script of `scripts/`. */
export function gallery(name: string): string {
  return fileURLToPath(new URL(`scripts/${name}`, packageRoot))
}
