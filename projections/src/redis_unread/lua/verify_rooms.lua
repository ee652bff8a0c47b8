-- Heads and deleted messages of some rooms as they stand, and the version's position at that moment. Writes nothing.
-- KEYS: versions, meta of the version, its heads. ARGV: what its keys begin with, most deleted messages of a room, then for
-- each room: room, the score after which to begin.
-- Gives the position, then for each room: head, deleted messages with their scores; or the type of the key if it is no
-- sorted set.
local answer = {redis.call('HGET', KEYS[2], 'position')}
for n = 3, #ARGV, 2 do
  local key = ARGV[1] .. ':d:' .. ARGV[n]
  local head = redis.pcall('HGET', KEYS[3], ARGV[n])
  local found = redis.pcall('ZRANGEBYSCORE', key, '(' .. ARGV[n + 1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
  local at = #answer
  answer[at + 1] = type(head) == 'string' and head
  answer[at + 2] = found.err and redis.call('TYPE', key).ok or found
end
return answer
