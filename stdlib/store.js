// sluice:store: session maps, which outlive requests and are shared by all workers and, through Redis, by all machines.
// What is known in this worker is answered from one call of the host; everything else is a promise that it settles.

import * as host from 'sluice:internal'

const Later = Promise
const { stringify, parse } = JSON
const HIDDEN = {}
// What the host tells of a call.
const VALUE = 0
const MAKE = 1
const FAILED = 2
const THREW = 3

/** Why the store did not do what it was asked for. */
export class StoreError extends Error {
  constructor(code, message) {
    super(message)
    this.name = 'StoreError'
    this.code = code
  }
}

/** A `session_map` of the configuration. */
export function map(name) {
  if (typeof name !== 'string') throw new TypeError(`map takes the name of a session_map, not ${shown(name)}`)
  let found = maps.get(name)
  if (found === undefined) {
    found = new SessionMap(HIDDEN, name, host.mapOpen(name))
    maps.set(name, found)
  }
  return found
}

const maps = new Map()

// ---- calls under way ----

const calls = new Map()

function settle(id, told, value) {
  const call = calls.get(id)
  if (call === undefined) return
  if (told === MAKE) {
    void make(id, call)
    return
  }
  calls.delete(id)
  if (told === VALUE) call.resolve(value)
  else if (told === FAILED) call.reject(new StoreError(...parse(value)))
  else if (told === THREW) call.reject(value)
  // Else its request is over, and nobody waits any more.
}
host.mapReady(settle)

async function make(id, call) {
  try {
    const value = await call.make()
    host.mapMade(id, ...(value === undefined ? NO_VALUE : encoded(value)))
  } catch (error) {
    host.mapNotMade(id, error)
  }
}

/** The promise of a call that the host has an id for. */
function promiseOf(id, maker) {
  return new Later((resolve, reject) => {
    calls.set(id, { resolve, reject, make: maker })
  })
}

const promises = new Map()
const MAX_PROMISES = 256
const MAX_KEPT = 256

/** A promise that has settled already. Peers are few: one for each saves a third of a hit (`test/bench/micro-script.ts`). */
function promised(value) {
  const known = promises.get(value)
  if (known !== undefined) return known
  const promise = Later.resolve(value)
  if (typeof value === 'string' && value.length <= MAX_KEPT && promises.size < MAX_PROMISES)
    promises.set(value, promise)
  return promise
}

const NO_VALUE = [undefined, 0, 0]

/** `async`, so that what is wrong with the arguments is a rejection like everything else. */
async function ask(operation, id, key, ttl = undefined, value = NO_VALUE, second = NO_VALUE) {
  return promiseOf(host.mapCall(operation, id, key, ttl, ...value, ...second))
}

class SessionMap {
  #id
  #name

  constructor(hidden, name, id) {
    if (hidden !== HIDDEN) throw new TypeError('session maps are made by map(name)')
    this.#id = id
    this.#name = name
  }

  get name() {
    return this.#name
  }

  /** The value, or null. */
  get(key) {
    const known = host.mapPeek(this.#id, key)
    return known === undefined ? ask('get', this.#id, checked(key)) : promised(known)
  }

  /** The value; where there is none, the one that `make` gives, unless somebody else was quicker. */
  getOrSet(key, make, options) {
    const known = host.mapPeekMade(this.#id, key)
    return known == null ? this.#getOrSet(key, make, options) : promised(known)
  }

  async #getOrSet(key, make, options) {
    if (typeof make !== 'function')
      throw new TypeError(`getOrSet takes a function that makes the value, not ${shown(make)}`)
    return promiseOf(host.mapGetOrSet(this.#id, checked(key), ttlOf(options)), make)
  }

  async set(key, value, options) {
    await ask('set', this.#id, checked(key), ttlOf(options), encoded(value))
  }

  /** Sets where there is nothing; whether it did. */
  async add(key, value, options) {
    return ask('add', this.#id, checked(key), ttlOf(options), encoded(value))
  }

  /** Replaces `expected` (undefined or null: nothing) by `value` (the same: deletes it); whether it did. */
  async compareAndSet(key, expected, value, options) {
    return ask('compareAndSet', this.#id, checked(key), ttlOf(options), optional(expected), optional(value))
  }

  /** Replaces a value that is of no use any more; what is there then, which another one may have put there. */
  async replace(key, old, value, options) {
    return ask('replace', this.#id, checked(key), ttlOf(options), encoded(old), encoded(value))
  }

  async incr(key, by = 1, options = undefined) {
    if (typeof by !== 'number') throw new TypeError(`incr adds a number, not ${shown(by)}`)
    return ask('incr', this.#id, checked(key), ttlOf(options), [by, 0, 0])
  }

  /** A new time to live; whether the key was there. */
  async touch(key, options) {
    return ask('touch', this.#id, checked(key), ttlOf(options))
  }

  /** Whether the key was there. */
  async delete(key) {
    return ask('delete', this.#id, checked(key))
  }

  /** Keys and values in no order; what comes or goes meanwhile may be missed or seen twice. */
  async *entries(options = {}) {
    const { limit = Number.POSITIVE_INFINITY } = options
    if (!(limit >= 0)) throw new TypeError(`entries: limit is a number, not ${shown(limit)}`)
    let left = limit
    for (let cursor = ''; cursor !== null && left > 0; ) {
      const [next, rows] = parse(await ask('entries', this.#id, cursor))
      for (const [key, json] of rows) {
        if (left <= 0) return
        const value = json === undefined ? await this.get(key) : parse(json)
        if (json === undefined && value === null) continue
        left--
        yield [key, value]
      }
      cursor = next
    }
  }
}
Object.freeze(SessionMap.prototype)

// ---- arguments ----

function checked(key) {
  if (typeof key === 'string' || typeof key === 'number') return key
  throw new TypeError(`the key of a session map is a string or a number, not ${shown(key)}`)
}

function ttlOf(options) {
  if (options === undefined) return undefined
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`options are { ttl }, not ${shown(options)}`)
  const { ttl } = options
  if (ttl === undefined || typeof ttl === 'string' || typeof ttl === 'number') return ttl
  throw new TypeError(`a ttl is a time such as "1h", or milliseconds, not ${shown(ttl)}`)
}

/** As the host takes it: a buffer with offset and length, or JSON. */
function encoded(value) {
  if (value instanceof Uint8Array) return [value.buffer, value.byteOffset, value.byteLength]
  const json = stringify(value)
  if (json === undefined) throw new TypeError(`a value is JSON or a Uint8Array, not ${shown(value)}`)
  return [json, 0, 0]
}

function optional(value) {
  return value == null ? NO_VALUE : encoded(value)
}

function shown(value) {
  return typeof value === 'string' ? stringify(value) : String(value)
}
