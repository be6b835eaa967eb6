/** Errors with a place in the configuration. */
import type { Where } from './model.ts'

export class ConfigError extends Error {
  readonly where: Where

  constructor(where: Where, message: string) {
    super(`${where.file}:${where.line}:${where.column}: ${message}`)
    this.where = where
  }
}
