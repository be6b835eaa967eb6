/** `sluice init [DIR]`: writes a small working set-up. Never overwrites a file. */
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packageRoot } from '../lib/package-root.ts'
import { ArgumentError } from './arguments.ts'

const CONFIG = `# Try it:   sluice -c sluice.conf
# Test it:  sluice -t -c sluice.conf
# Ask it:   sluice try -c sluice.conf 'GET /chat?userId=7'

upstream app {
    server 127.0.0.1:8001;
    server 127.0.0.1:8002;
}

server {
    listen 127.0.0.1:8080;
    access_log off;

    location / {
        script scripts/balancer.js;
        proxy_pass http://app;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
`

const BALANCER = `// The same user always reaches the same server. Save this file: the running proxy serves by it at once.

/** @type {Sluice.Balancer} */
export function balancer(r, upstream) {
  return upstream.hash(r.variables.arg_userId, { consistent: true })
}
`

const JSCONFIG = `{ "compilerOptions": { "checkJs": true, "target": "es2023", "lib": ["es2023"], "types": [] }, "include": ["scripts"] }
`

export function init(args: readonly string[]): number {
  if (args.length > 1 || args[0]?.startsWith('-'))
    throw new ArgumentError('init takes at most one folder: sluice init [DIR]')
  const folder = resolve(args[0] ?? '.')
  const typings = fileURLToPath(new URL('stdlib/sluice.d.ts', packageRoot))
  const files: [string, (path: string) => void][] = [
    ['sluice.conf', (path) => writeFileSync(path, CONFIG)],
    ['scripts/balancer.js', (path) => writeFileSync(path, BALANCER)],
    ['scripts/sluice.d.ts', (path) => copyFileSync(typings, path)],
    ['jsconfig.json', (path) => writeFileSync(path, JSCONFIG)],
  ]
  const present = files.filter(([name]) => existsSync(join(folder, name)))
  if (present.length > 0) {
    throw new ArgumentError(
      `${present.map(([name]) => join(folder, name)).join(', ')} exists already; nothing was written`,
    )
  }
  for (const [name, write] of files) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    write(path)
    process.stdout.write(`wrote ${relative(process.cwd(), path) || path}\n`)
  }
  process.stdout.write(
    `now: ${folder === process.cwd() ? '' : `cd ${relative(process.cwd(), folder)} && `}sluice -c sluice.conf\n`,
  )
  return 0
}
