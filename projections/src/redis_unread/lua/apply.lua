-- Applies what a batch of events changes and moves the position, if the version still is what the writer believes: active
-- or not, and where it believes. Gives 1, or 0 having changed nothing.
-- KEYS: versions, meta of the version, its heads.
-- ARGV: tag, what its keys begin with, 'live' or 'beside', position, mark, new position, new mark, now, then
--   count of heads, each: room, seq
--   count of rooms with deleted messages, each: room, count, seqs
--   count of members, each: member, count, then as often: room, seq, '+' came, '-' went or '' neither
-- Numbers stay the texts they are wherever they are not compared: Lua would write large ones with an exponent.
local CHUNK = 1000

local tag, base = ARGV[1], ARGV[2]
local versions = redis.call('HMGET', KEYS[1], 'active', 'previous', 'latest')
if ARGV[3] == 'live' then
  if versions[1] ~= tag then return 0 end
elseif versions[1] == tag or (versions[2] ~= tag and versions[3] ~= tag) then
  return 0
end
local at = redis.call('HMGET', KEYS[2], 'position', 'mark')
if at[1] ~= ARGV[4] or (at[2] or '') ~= ARGV[5] then return 0 end
redis.call('HSET', KEYS[2], 'position', ARGV[6], 'mark', ARGV[7], 'updated_at', ARGV[8])
redis.call('HDEL', KEYS[2], 'error')

local i = 9
local heads = tonumber(ARGV[i])
i = i + 1
while heads > 0 do
  local count = math.min(heads, CHUNK)
  local rooms, writes = {}, {}
  for n = 1, count do rooms[n] = ARGV[i + 2 * n - 2] end
  local found = redis.call('HMGET', KEYS[3], unpack(rooms))
  for n = 1, count do
    local seq = ARGV[i + 2 * n - 1]
    if not found[n] or tonumber(found[n]) < tonumber(seq) then
      writes[#writes + 1] = rooms[n]
      writes[#writes + 1] = seq
    end
  end
  if #writes > 0 then redis.call('HSET', KEYS[3], unpack(writes)) end
  i = i + 2 * count
  heads = heads - count
end

local rooms = tonumber(ARGV[i])
i = i + 1
for _ = 1, rooms do
  local key, count = base .. ':d:' .. ARGV[i], tonumber(ARGV[i + 1])
  i = i + 2
  for from = i, i + count - 1, CHUNK do
    local writes = {}
    for n = from, math.min(from + CHUNK, i + count) - 1 do
      writes[#writes + 1] = ARGV[n]
      writes[#writes + 1] = ARGV[n]
    end
    redis.call('ZADD', key, unpack(writes))
  end
  i = i + count
end

-- The read number only grows; coming and going is kept apart from it.
local function cursor(found, seq, moved)
  local inside = moved == '+'
  if found then
    local outside = string.byte(found) == 45
    local before = outside and string.sub(found, 2) or found
    if tonumber(before) > tonumber(seq) then seq = before end
    if moved == '' then inside = not outside end
  end
  return inside and seq or '-' .. seq
end

local members = tonumber(ARGV[i])
i = i + 1
for _ = 1, members do
  local key, count = base .. ':m:' .. ARGV[i], tonumber(ARGV[i + 1])
  i = i + 2
  if count == 1 then
    local room = ARGV[i]
    local found = redis.call('HGET', key, room)
    local value = cursor(found, ARGV[i + 1], ARGV[i + 2])
    if value ~= found then redis.call('HSET', key, room, value) end
    i = i + 3
  else
    while count > 0 do
      local chunk = math.min(count, CHUNK)
      local asked, writes = {}, {}
      for n = 1, chunk do asked[n] = ARGV[i + 3 * n - 3] end
      local found = redis.call('HMGET', key, unpack(asked))
      for n = 1, chunk do
        local value = cursor(found[n], ARGV[i + 3 * n - 2], ARGV[i + 3 * n - 1])
        if value ~= found[n] then
          writes[#writes + 1] = asked[n]
          writes[#writes + 1] = value
        end
      end
      if #writes > 0 then redis.call('HSET', key, unpack(writes)) end
      i = i + 3 * chunk
      count = count - chunk
    end
  end
end
return 1
