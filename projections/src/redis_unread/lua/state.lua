-- What is known of the active, the previous and the latest version, and the tag of the latest whatever is known of it.
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
found[4] = redis.call('HGET', KEYS[1], 'latest')
return found
