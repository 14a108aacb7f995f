-- A commit of new events to a living session, wholly or not at all; everything is checked before the first write.
-- KEYS: h e i n m b p of the session. ARGV: the commit, packed (see hot.py), then the bytes that it refers to by their place in ARGV
-- (cmsgpack reads texts, not bytes).
-- Answers 0: no such session; 1: something is not plain, the caller looks and decides; 3: held by a slow commit, come again;
-- a packed {-2, time, owner, agent, kind, incarnation}: first write the session's claims (see claims.py); else a packed {first seq, time, …}.
local raw = redis.call('GET', KEYS[1])
if not raw then return 0 end
local h, c = cmsgpack.unpack(raw), cmsgpack.unpack(ARGV[1])
local now = c[1]
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
if h[28] > now then return 3 end
local events = c[18]
if (c[2] and c[2] ~= h[1]) or (c[3] and c[3] ~= h[2]) or (c[4] and c[4] ~= h[2]) or h[5] ~= 'active' then return 1 end
if h[22] then
  if c[6] ~= h[21] then return 1 end
elseif c[6] then
  return 1
end
local last = h[11]
if (c[5] and c[5] ~= last) or (h[9] > 0 and h[9] <= now) then return 1 end
local default = c[7] or h[17]
local ids = {}
for at = 1, #events, 4 do
  local id, branch = events[at], events[at + 2]
  if redis.call('HEXISTS', KEYS[3], id) == 1 or (#events > 4 and ids[id]) then return 1 end
  ids[id] = true
  if branch == '' then branch = default end
  if branch ~= 'main' and branch ~= h[17] and branch ~= h[18] and redis.call('HEXISTS', KEYS[6], 'branch:0:' .. branch) == 0 then
    return 1
  end
end
if c[16] then
  for _, limit in ipairs(c[16]) do
    if limit[3] > 0 and h[limit[1]] + limit[3] > limit[2] then return 1 end
  end
end
local updated = h[8]
if c[8] > updated then updated = c[8] end
local relist, claim = updated - h[24] > @LIST_GRAIN_US@, c[17]
if relist or math.abs(now - h[26]) > @MARK_GRAIN_US@ then
  if claim == 0 or now - claim > @CLAIM_US@ then return cmsgpack.pack({-2, now, h[2], h[3], h[4], h[1]}) end
  h[26] = claim
end

local rows, places, tail = {}, {}, h[18]
for at = 1, #events, 4 do
  local branch, body, seq = events[at + 2], ARGV[events[at + 1]], last + #rows + 1
  if branch == '' then branch = default end
  if branch ~= tail then
    redis.call('HSET', KEYS[6], '~' .. seq, branch)
    tail = branch
  end
  places[#rows] = branch
  local name = branch
  if name == 'main' then name = '' end
  rows[#rows + 1] = struct.pack('>I4dBI2', 11 + #name + #body, now, 0, #name) .. name .. body
  redis.call('HSET', KEYS[3], events[at], seq)
  if events[at + 3] > 0 then redis.call('HSET', KEYS[7], 's:' .. seq, ARGV[events[at + 3]]) end
end
if #rows == 1 then
  redis.call('RPUSH', KEYS[2], rows[1])
else
  for at = 1, #rows, 1000 do redis.call('RPUSH', KEYS[2], unpack(rows, at, math.min(at + 999, #rows))) end
end
if c[14] then
  for _, entry in ipairs(c[14]) do
    local key, branch = KEYS[entry[1]], ''
    if entry[5] then
      branch = entry[4]
      if branch == '' then branch = places[entry[7]] end
    end
    local field, seq = entry[2] .. ':' .. #branch .. ':' .. branch .. entry[3], string.format('%.0f', last + 1 + entry[7])
    if entry[6] > 0 then
      redis.call('HSET', key, field, seq .. '=' .. ARGV[entry[6]])
    elseif entry[5] then
      redis.call('HSET', key, field, seq .. '-')
    else
      redis.call('HDEL', key, field)
    end
  end
end
if c[19] then
  for at = 1, #c[19], 2 do redis.call('HSETNX', KEYS[7], 'p:' .. c[19][at], ARGV[c[19][at + 1]]) end
end
h[8], h[11], h[12], h[13], h[14], h[18] = updated, last + #rows, h[12] + c[9], h[13] + c[10], h[14] + c[11], tail
if c[12] then
  for at = 1, 6 do h[19][at] = h[19][at] + c[12][at] end
end
if c[13] then
  for _, more in ipairs(c[13]) do
    local found
    for _, model in ipairs(h[20]) do
      if model[1] == more[1] then found = model end
    end
    if found then
      for at = 2, 7 do found[at] = found[at] + more[at] end
    else
      h[20][#h[20] + 1] = more
    end
  end
end
if c[15] then h[9] = c[15] end
if h[10] > 0 then h[9] = now + math.floor(h[10] * 1000000) end
local listed_at, listed_claim = h[24], h[25]
if relist then h[24], h[25] = c[8], c[21] end
redis.call('SET', KEYS[1], cmsgpack.pack(h))
redis.pcall('PUBLISH', c[20], '')
if claim == 0 then return cmsgpack.pack({last + 1, now, h[1], default}) end
return cmsgpack.pack({last + 1, now, h[1], default, relist, listed_at, listed_claim})
