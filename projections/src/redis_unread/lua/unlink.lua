-- Removes keys of a version that nobody needs any more. Gives 1, or 0 having removed nothing.
-- KEYS: versions, then the keys. ARGV: tag.
for _, needed in ipairs(redis.call('HMGET', KEYS[1], 'active', 'previous', 'latest')) do
  if needed == ARGV[1] then return 0 end
end
redis.call('UNLINK', unpack(KEYS, 2))
return 1
