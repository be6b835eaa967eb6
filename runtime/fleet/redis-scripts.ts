/**
 * What runs inside Redis: every step of a roll-out is atomic, and bounded in what it reads. All keys hold `{fleet}`, so
 * that they lie in one slot of a cluster.
 *
 *   PREFIX{fleet}beats        machines by when they were heard of last (ms of the server's clock)
 *   PREFIX{fleet}machines     what each has said of itself: its number, a blank, JSON
 *   PREFIX{fleet}scripts      the record of each script
 *   PREFIX{fleet}text:HASH    a text; goes after an hour unless a record names it
 *   PREFIX{fleet}rollout:ID   proposal, state, the machines that were asked (m:NAME); goes after an hour
 *   PREFIX{fleet}news         channel
 */
import type { RedisOptions } from 'ioredis'
import { MAX_NAME, MAX_SCRIPT, MAX_SEALED } from './record.ts'

const MAX_MACHINES = 1000
const MAX_SCRIPTS = 1000
/** ms that roll-outs and texts that no record names are kept. */
const KEPT = 3_600_000
/** ms without a sign of life after which a machine is forgotten. */
const FORGOTTEN = 86_400_000
/** Bytes of one reply, about. */
const MAX_REPLY = 16 * 1024 * 1024
const MAX_MACHINE_NAME = 64
/** Fields of a roll-out. */
const MAX_FIELDS = MAX_MACHINES + 10

const NOW = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function text(number) return string.format('%.0f', number) end`

/** Fields and values of a hash, one after the other; what is larger than it may be is left out. */
const READ = `local function read(key, count, longest, largest)
  local all, size = {}, 0
  if redis.call('HLEN', key) > count then return all end
  for _, name in ipairs(redis.call('HKEYS', key)) do
    local length = #name > longest and ${MAX_REPLY} or redis.call('HSTRLEN', key, name)
    if length <= largest and size + length < ${MAX_REPLY} then
      size = size + length
      all[#all + 1] = name
      all[#all + 1] = redis.call('HGET', key, name)
    end
  end
  return all
end`

const RECORDS = `${READ}
local function records(key) return read(key, ${MAX_SCRIPTS}, ${4 * MAX_NAME}, ${MAX_SEALED}) end`

/** What somebody else may have put there is no reason to keep it. */
const KEEP_TEXT = `local function keep(key, text)
  local isNamed = redis.call('PTTL', key) == -1
  redis.call('SET', key, text)
  if not isNamed then redis.call('PEXPIRE', key, ${KEPT}) end
end`

export const FLEET_SCRIPTS = {
  /** beats, machines; name, number of the process, JSON. @returns what was known of that name */
  fleetBeat: {
    numberOfKeys: 2,
    lua: `${NOW}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now - ${FORGOTTEN}), 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[1], name)
  redis.call('HDEL', KEYS[2], name)
end
local before = redis.call('HGET', KEYS[2], ARGV[1])
if not before and redis.call('ZCARD', KEYS[1]) >= ${MAX_MACHINES} then
  return redis.error_reply('FULL there are ${MAX_MACHINES} machines already')
end
redis.call('ZADD', KEYS[1], text(now), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
return string.sub(before or '', 1, 16)`,
  },
  /** beats, machines; name, number of the process */
  fleetLeave: {
    numberOfKeys: 2,
    lua: `local before = redis.call('HGET', KEYS[2], ARGV[1])
if not before or string.sub(before, 1, 16) ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1`,
  },
  /** rollout, beats, texts; channel, id, proposal, ms after which a machine is away, texts. @returns how many are asked */
  fleetPropose: {
    lua: `${NOW}
${KEEP_TEXT}
for i = 3, #KEYS do keep(KEYS[i], ARGV[i + 2]) end
redis.call('HSET', KEYS[1], 'proposal', ARGV[3], 'state', 'asking', 'at', text(now), 'reason', '')
local there = redis.call('ZRANGEBYSCORE', KEYS[2], text(now - ARGV[4]), '+inf', 'LIMIT', 0, ${MAX_MACHINES})
for _, name in ipairs(there) do redis.call('HSET', KEYS[1], 'm:' .. name, '') end
redis.call('PEXPIRE', KEYS[1], ${KEPT})
redis.call('PUBLISH', ARGV[1], 'asked ' .. ARGV[2])
return #there`,
  },
  /** rollout; channel, id, machine, answer */
  fleetAnswer: {
    numberOfKeys: 1,
    lua: `if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HLEN', KEYS[1]) > ${MAX_FIELDS} then return 0 end
redis.call('HSET', KEYS[1], 'm:' .. ARGV[3], ARGV[4])
redis.call('PUBLISH', ARGV[1], 'answered ' .. ARGV[2])
return 1`,
  },
  /** rollout. @returns now, and its fields; nil: there is none */
  fleetRollout: {
    numberOfKeys: 1,
    lua: `${NOW}
${READ}
local fields = read(KEYS[1], ${MAX_FIELDS}, ${MAX_MACHINE_NAME + 2}, ${MAX_SEALED})
if #fields == 0 then return nil end
return { text(now), fields }`,
  },
  /** rollout; channel, id, reason */
  fleetRefuse: {
    numberOfKeys: 1,
    lua: `if redis.call('HGET', KEYS[1], 'state') ~= 'asking' then return 0 end
redis.call('HSET', KEYS[1], 'state', 'refused', 'reason', ARGV[3])
redis.call('PUBLISH', ARGV[1], 'answered ' .. ARGV[2])
return 1`,
  },
  /**
   * scripts, rollout, texts; channel, id, name, record that is replaced, record, number of texts that have to be there,
   * number of those that are named besides; the other texts are not named by this record any more, their hashes follow.
   */
  fleetRecord: {
    lua: `${NOW}
if redis.call('HGET', KEYS[2], 'state') ~= 'asking' then return 'over' end
local there = redis.call('HGET', KEYS[1], ARGV[3])
if (there or '') ~= ARGV[4] then return 'conflict' end
if not there and redis.call('HLEN', KEYS[1]) >= ${MAX_SCRIPTS} then return 'full' end
local needed, named = tonumber(ARGV[6]), tonumber(ARGV[7])
for i = 3, 2 + needed do if redis.call('EXISTS', KEYS[i]) == 0 then return 'lost' end end
for i = 3, 2 + needed + named do redis.call('PERSIST', KEYS[i]) end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[5])
redis.call('HSET', KEYS[2], 'state', 'recorded', 'recorded', text(now))
local first = 3 + needed + named
if first <= #KEYS then
  local all = redis.call('HVALS', KEYS[1])
  for i = first, #KEYS do
    local used = false
    for _, one in ipairs(all) do used = used or string.find(one, ARGV[8 + i - first], 1, true) ~= nil end
    if not used then redis.call('PEXPIRE', KEYS[i], ${KEPT}) end
  end
end
redis.call('PUBLISH', ARGV[1], 'recorded ' .. ARGV[2])
return 'recorded'`,
  },
  /** scripts, texts; channel, id, name, record that is there, record, texts. A Redis that has lost a record gets it back. */
  fleetRestore: {
    lua: `if (redis.call('HGET', KEYS[1], ARGV[3]) or '') ~= ARGV[4] then return 0 end
if redis.call('HLEN', KEYS[1]) >= ${MAX_SCRIPTS} and ARGV[4] == '' then return 0 end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[5])
for i = 2, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 4]) end
redis.call('PUBLISH', ARGV[1], 'recorded ' .. ARGV[2])
return 1`,
  },
  /** scripts. @returns names and records, one after the other */
  fleetRecords: {
    numberOfKeys: 1,
    lua: `${RECORDS}
return records(KEYS[1])`,
  },
  /** text. @returns nil: there is none, or none that a script may have */
  fleetText: {
    numberOfKeys: 1,
    lua: `local size = redis.call('STRLEN', KEYS[1])
if size > ${MAX_SCRIPT} then return nil end
return redis.call('GET', KEYS[1])`,
  },
  /** beats, machines, scripts. @returns now; name, time and words of each machine; records */
  fleetOverview: {
    numberOfKeys: 3,
    lua: `${NOW}
${RECORDS}
local machines = {}
local words = read(KEYS[2], ${2 * MAX_MACHINES}, ${MAX_MACHINE_NAME}, ${MAX_SEALED})
for i = 1, #words, 2 do
  local seen = redis.call('ZSCORE', KEYS[1], words[i])
  if seen then
    machines[#machines + 1] = words[i]
    machines[#machines + 1] = text(tonumber(seen))
    machines[#machines + 1] = words[i + 1]
  end
end
return { text(now), machines, records(KEYS[3]) }`,
  },
} as const satisfies RedisOptions['scripts']
