-- Makes a version active, if it is where the writer believes and not behind the one that is; that becomes the previous
-- one. Gives 1; or 0 if it is not; or the position of the active one if that is further.
-- KEYS: versions, meta of the version. ARGV: what the versions' keys begin with, tag, position, mark.
local tag = ARGV[2]
local versions = redis.call('HMGET', KEYS[1], 'active', 'previous', 'latest')
if versions[1] == tag or (versions[2] ~= tag and versions[3] ~= tag) then return {0} end
local at = redis.call('HMGET', KEYS[2], 'position', 'mark')
if at[1] ~= ARGV[3] or (at[2] or '') ~= ARGV[4] then return {0} end
local live = versions[1] and redis.call('HGET', ARGV[1] .. versions[1] .. ':meta', 'position')
-- Nonsense there is as good as no version.
live = live and string.match(live, '^%d+$')
if live and tonumber(live) > tonumber(at[1]) then return {2, live} end
redis.call('HSET', KEYS[1], 'active', tag)
if live then
  redis.call('HSET', KEYS[1], 'previous', versions[1])
else
  redis.call('HDEL', KEYS[1], 'previous')
end
return {1}
