/** The program's version, and that of the nginx whose semantics it follows. */
import { readFileSync } from 'node:fs'
import { packageRoot } from './lib/package-root.ts'

export const VERSION: string = JSON.parse(readFileSync(new URL('package.json', packageRoot), 'utf8')).version

export const NGINX_VERSION = '1.31.5'
