-- Makes a new, empty version the latest one, if the latest one still is what the caller believes; whoever fills that finds
-- out at the next batch. Gives its tag, or nothing.
-- KEYS: versions. ARGV: what the versions' keys begin with, schema version, the latest tag ('' for none, '*' for any).
if ARGV[3] ~= '*' and ARGV[3] ~= (redis.call('HGET', KEYS[1], 'latest') or '') then return false end
local number = redis.call('HINCRBY', KEYS[1], 'count', 1)
local tag = string.format('%d-%x', number, tonumber(redis.call('TIME')[1]))
redis.call('HSET', KEYS[1], 'latest', tag)
redis.call('HSET', ARGV[1] .. tag .. ':meta', 'schema', ARGV[2], 'position', '0', 'mark', '')
return tag
