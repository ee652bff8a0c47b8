-- The unread counts of one member, and the position they are of. Writes nothing.
-- KEYS: versions. ARGV: what the versions' keys begin with, schema version, the lowest position that will do, most rooms,
--   member, then rooms: none for all of the member's.
-- Gives 'none', 'behind' or 'many'; or 'counts', position and one text of 40 bytes for each room: its id, then last seq, read
-- seq and how many messages after that are deleted, big-endian. A list of so many items would take ten times as long.
local CHUNK = 1000

local tag = redis.call('HGET', KEYS[1], 'active')
if not tag then return {'none'} end
local base = ARGV[1] .. tag
local meta = redis.call('HMGET', base .. ':meta', 'schema', 'position')
if meta[1] ~= ARGV[2] or not meta[2] then return {'none'} end
if tonumber(meta[2]) < tonumber(ARGV[3]) then return {'behind'} end

local cursors = base .. ':m:' .. ARGV[5]
local rooms, read = {}, {}
local function take(room, value)
  if value and string.byte(value) ~= 45 then
    rooms[#rooms + 1] = room
    read[#read + 1] = value
  end
end
if #ARGV > 5 then
  local found = redis.call('HMGET', cursors, unpack(ARGV, 6))
  for n = 1, #ARGV - 5 do take(ARGV[n + 5], found[n]) end
else
  if redis.call('HLEN', cursors) > tonumber(ARGV[4]) then return {'many'} end
  local found = redis.call('HGETALL', cursors)
  for n = 1, #found, 2 do take(found[n], found[n + 1]) end
end

local counts = {}
for from = 1, #rooms, CHUNK do
  local to = math.min(from + CHUNK - 1, #rooms)
  local heads = redis.call('HMGET', base .. ':heads', unpack(rooms, from, to))
  for n = from, to do
    local last, seen = tonumber(heads[n - from + 1] or nil), tonumber(read[n])
    if last then
      local deleted = 0
      if last > seen then
        deleted = redis.call('ZCOUNT', base .. ':d:' .. rooms[n], '(' .. read[n], '+inf')
      end
      counts[#counts + 1] = rooms[n] .. struct.pack('>I8I8I8', last, seen, deleted)
    end
  end
end
return {'counts', meta[2], table.concat(counts)}
