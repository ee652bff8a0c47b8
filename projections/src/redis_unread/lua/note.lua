-- Writes down why the active version does not go on. Gives 1 or 0.
-- KEYS: versions, meta of the version. ARGV: tag, error.
if redis.call('HGET', KEYS[1], 'active') ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HSET', KEYS[2], 'error', ARGV[2])
return 1
