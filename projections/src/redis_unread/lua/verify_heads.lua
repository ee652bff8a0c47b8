-- A part of the room heads, and the version's position at that moment. Writes nothing.
-- KEYS: versions, meta of the version, its heads. ARGV: HSCAN's cursor, about how many.
-- Gives the position, the next cursor, then rooms and heads; or the type of the key if it is no hash.
local position = redis.call('HGET', KEYS[2], 'position')
local found = redis.pcall('HSCAN', KEYS[3], ARGV[1], 'COUNT', ARGV[2])
if found.err then return {position, '0', redis.call('TYPE', KEYS[3]).ok} end
return {position, found[1], found[2]}
