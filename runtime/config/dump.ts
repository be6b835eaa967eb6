/** `-T`: the configuration as it was read, file by file, in nginx's form. */
import type { SourceFile } from './reader.ts'

/** A byte string: each file under a comment that names it, read files once. */
export function dumpConfig(files: readonly SourceFile[]): string {
  return files.map(({ path, text }) => `# configuration file ${path}:\n${text}\n`).join('')
}
