-- Makes a new, empty version the latest one; whoever fills the one that was it finds out at the next batch.
-- KEYS: versions. ARGV: what the versions' keys begin with, schema version.
local number = redis.call('HINCRBY', KEYS[1], 'count', 1)
local tag = string.format('%d-%x', number, tonumber(redis.call('TIME')[1]))
redis.call('HSET', KEYS[1], 'latest', tag)
redis.call('HSET', ARGV[1] .. tag .. ':meta', 'schema', ARGV[2], 'position', '0', 'mark', '')
return tag
