-- Gives a version up, so that its keys may be removed: one that was not filled to the end, or the previous one. The
-- active one stays. Gives 1 or 0.
-- KEYS: versions. ARGV: tag.
local versions = redis.call('HMGET', KEYS[1], 'active', 'previous', 'latest')
if versions[1] == ARGV[1] then return 0 end
if versions[2] == ARGV[1] then redis.call('HDEL', KEYS[1], 'previous') end
if versions[3] == ARGV[1] then redis.call('HDEL', KEYS[1], 'latest') end
return 1
