/** Where the package lies: the folder of its `package.json`, whether run from source or from `dist/`. */
import { existsSync } from 'node:fs'

function find(from: URL): URL {
  const here = new URL('./', from)
  if (existsSync(new URL('package.json', here))) return here
  const up = new URL('../', here)
  if (up.href === here.href) throw new Error('package.json not found above the program')
  return find(up)
}

/** A folder URL, ending in `/`. */
export const packageRoot: URL = find(new URL(import.meta.url))
