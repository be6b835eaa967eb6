/** `sluice init [--typescript] [DIR]`: writes a small working set-up. Never overwrites a file. */
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

const BALANCER_TS = `// The same user always reaches the same server. Save this file: the running proxy serves by it at once.

export function balancer(r: Sluice.BalancerRequest, upstream: Sluice.Upstream): Sluice.Choice {
  return upstream.hash(r.variables.arg_userId, { consistent: true })
}
`

/** Nothing but types may be taken out of a script, so nothing else is allowed in. */
const TSCONFIG = `{
  "compilerOptions": {
    "strict": true,
    "noEmit": true,
    "target": "es2023",
    "lib": ["es2023"],
    "types": [],
    "module": "esnext",
    "moduleResolution": "bundler",
    "allowImportingTsExtensions": true,
    "erasableSyntaxOnly": true,
    "verbatimModuleSyntax": true
  },
  "include": ["scripts"]
}
`

const JSCONFIG = `{ "compilerOptions": { "checkJs": true, "target": "es2023", "lib": ["es2023"], "types": [] }, "include": ["scripts"] }
`

export function init(args: readonly string[]): number {
  const typescript = args.includes('--typescript')
  const folders = args.filter((arg) => arg !== '--typescript')
  if (folders.length > 1 || folders[0]?.startsWith('-'))
    throw new ArgumentError('init takes at most one folder: sluice init [--typescript] [DIR]')
  const folder = resolve(folders[0] ?? '.')
  const config = typescript ? CONFIG.replace('balancer.js', 'balancer.ts') : CONFIG
  const typings = fileURLToPath(new URL('stdlib/sluice.d.ts', packageRoot))
  const files: [string, (path: string) => void][] = [
    ['sluice.conf', (path) => writeFileSync(path, config)],
    typescript
      ? ['scripts/balancer.ts', (path) => writeFileSync(path, BALANCER_TS)]
      : ['scripts/balancer.js', (path) => writeFileSync(path, BALANCER)],
    ['scripts/sluice.d.ts', (path) => copyFileSync(typings, path)],
    typescript
      ? ['tsconfig.json', (path) => writeFileSync(path, TSCONFIG)]
      : ['jsconfig.json', (path) => writeFileSync(path, JSCONFIG)],
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
