-- Takes the active version away from the readers, and the previous one with it, if it is where the writer found it: both are
-- of another log. Gives 1 or 0.
-- KEYS: versions, meta of the version. ARGV: tag, position, mark.
local at = redis.call('HMGET', KEYS[2], 'position', 'mark')
if redis.call('HGET', KEYS[1], 'active') ~= ARGV[1] then return 0 end
if at[1] ~= ARGV[2] or (at[2] or '') ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[1], 'active', 'previous')
if redis.call('HGET', KEYS[1], 'latest') == ARGV[1] then redis.call('HDEL', KEYS[1], 'latest') end
return 1
