/**
 * What runs inside Redis: one Lua script per operation, so that each is atomic, one round trip, and costs one key.
 * A stored value is a type byte (`j` JSON text, `b` bytes) and the value. Every script that changes something ends by
 * telling the others, where the server cannot do that by itself (ARGV[1], the channel; '' otherwise).
 */

/** What `incr` refuses with, as opposed to Redis's own WRONGTYPE. */
export const NO_NUMBER = 'WRONGTYPE no number'

/** `told` is `author NUL map NUL key`. */
const TELL = `if ARGV[1] ~= '' then redis.call('PUBLISH', ARGV[1], ARGV[2]) end`

/** ttl in ms; 0: for ever. */
const PUT = `local function put(value, ttl)
  if ttl == '0' then redis.call('SET', KEYS[1], value) else redis.call('SET', KEYS[1], value, 'PX', ttl) end
  ${TELL}
end`

const FOUND = `local there = redis.call('GET', KEYS[1])
local function found() return { there, redis.call('PTTL', KEYS[1]) } end`

export const SCRIPTS = {
  storeGet: {
    numberOfKeys: 1,
    lua: `${FOUND}
if not there then return nil end
return found()`,
  },
  /** channel, told, value, ttl */
  storeSet: {
    numberOfKeys: 1,
    lua: `${PUT}
put(ARGV[3], ARGV[4])
return 1`,
  },
  /** channel, told, value, ttl */
  storeAdd: {
    numberOfKeys: 1,
    lua: `${FOUND}
${PUT}
if there then return found() end
put(ARGV[3], ARGV[4])
return nil`,
  },
  /** channel, told, expected or '', value or '', ttl. @returns 1 done, 0 nothing there, else what is there */
  storeCompareAndSet: {
    numberOfKeys: 1,
    lua: `${FOUND}
${PUT}
if (there or '') ~= ARGV[3] then
  if there then return found() end
  return 0
end
if ARGV[4] == '' then
  redis.call('DEL', KEYS[1])
  ${TELL}
else put(ARGV[4], ARGV[5]) end
return 1`,
  },
  /** channel, told, by, ttl */
  storeIncr: {
    numberOfKeys: 1,
    lua: `${FOUND}
${PUT}
local number = 0
if there then
  number = string.sub(there, 1, 1) == 'j' and tonumber(string.sub(there, 2)) or nil
  if not number then return redis.error_reply('${NO_NUMBER}') end
end
local text = string.format('%.17g', number + tonumber(ARGV[3]))
local left = there and redis.call('PTTL', KEYS[1]) or tonumber(ARGV[4])
put('j' .. text, tostring(math.max(left, 0)))
return text`,
  },
  /** channel, told, ttl */
  storeTouch: {
    numberOfKeys: 1,
    lua: `local done
if ARGV[3] == '0' then done = redis.call('EXISTS', KEYS[1]); redis.call('PERSIST', KEYS[1])
else done = redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
if done == 1 then ${TELL} end
return done`,
  },
  /** channel, told */
  storeDelete: {
    numberOfKeys: 1,
    lua: `local done = redis.call('DEL', KEYS[1])
if done == 1 then ${TELL} end
return done`,
  },
  /** GCRA on the server's clock. rate per second, burst, cost. @returns as `Store.take`, as text: Lua's numbers lose their fractions */
  storeTake: {
    numberOfKeys: 1,
    lua: `if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + cost * 1000 / rate
local wait = tat - now - burst * 1000 / rate
if wait > 0 then return string.format('%d', math.ceil(wait)) end
redis.call('SET', KEYS[1], string.format('%.17g', tat), 'PX', math.max(1, math.ceil(tat - now)))
return string.format('%.3f', now - tat)`,
  },
} as const
