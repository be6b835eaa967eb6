/** What `store redis://…` says, with the files that it names read. */
import { readFileSync } from 'node:fs'
import { ConfigError } from './config/config-error.ts'
import type { HttpModel, RedisModel, Where } from './config/model.ts'
import type { RedisSettings } from './store/redis-connect.ts'

/** @throws ConfigError when a file that the store needs cannot be read */
export function redisSettings(
  model: RedisModel,
  { storeTimeout }: Pick<HttpModel, 'storeTimeout'>,
): RedisSettings {
  const { where, mode, addresses, path, sentinel, username, database, prefix } = model
  const password = model.passwordFile === null ? model.password : secretOf(model.passwordFile, where)
  const ca = model.tlsCa === null ? undefined : textOf(model.tlsCa, 'tls_ca', where)
  return {
    mode,
    addresses,
    path: path ?? undefined,
    sentinel: sentinel ?? undefined,
    username: username ?? undefined,
    password: password ?? undefined,
    database,
    tls: model.tls ? { ca } : null,
    prefix,
    timeout: storeTimeout,
  }
}

/** The first line. */
function secretOf(file: string, where: Where): string {
  const [line] = textOf(file, 'password_file', where).split(/\r?\n/)
  if (line === '') throw new ConfigError(where, `the first line of password_file "${file}" is empty`)
  return line
}

function textOf(file: string, word: string, where: Where): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(where, `${word} "${file}" of "store" cannot be read: ${(error as Error).message}`)
  }
}
