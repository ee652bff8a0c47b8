-- What is known of the active, the previous and the latest version.
-- KEYS: versions. ARGV: what the versions' keys begin with.
local found = {}
for i, role in ipairs({'active', 'previous', 'latest'}) do
  local tag = redis.call('HGET', KEYS[1], role)
  found[i] = false
  if tag then
    local meta = redis.call('HMGET', ARGV[1] .. tag .. ':meta', 'position', 'mark', 'schema', 'updated_at', 'error')
    if meta[1] then
      found[i] = {tag, unpack(meta, 1, 5)}
    end
  end
end
return found
