-- The cursors of some members as they stand, and the version's position at that moment. Writes nothing.
-- KEYS: versions, meta of the version. ARGV: what its keys begin with, members.
-- Gives the position, then for each member all fields and values; or the type of the key if it is no hash.
local answer = {redis.call('HGET', KEYS[2], 'position')}
for n = 2, #ARGV do
  local key = ARGV[1] .. ':m:' .. ARGV[n]
  local found = redis.pcall('HGETALL', key)
  answer[n] = found.err and redis.call('TYPE', key).ok or found
end
return answer
