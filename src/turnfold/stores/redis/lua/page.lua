-- A stretch of a session's log. KEYS: h e b g p. ARGV: after, before (0: open), most rows, 1 for the newest first, 1 with what branches need,
-- 1 with kept source lines.
-- Answers the head, the first and the last seq of the rows, the rows as one string, and range tombstones, branches and source lines where there are any.
local h = redis.call('GET', KEYS[1])
if not h then return 0 end
local head = cmsgpack.unpack(h)
local first, last = tonumber(ARGV[1]) + 1, head[11]
if ARGV[2] ~= '0' then last = math.min(last, ARGV[2] - 1) end
if ARGV[4] == '1' then
  first = math.max(first, last - ARGV[3] + 1)
else
  last = math.min(last, first + ARGV[3] - 1)
end
local rows, sources, branches, ranges = '', {}, {}, {}
if first <= last then
  rows = table.concat(redis.call('LRANGE', KEYS[2], first - 1, last - 1))
  if ARGV[6] == '1' then
    for from = first, last, 1000 do
      local fields = {}
      for seq = from, math.min(from + 999, last) do fields[#fields + 1] = 's:' .. seq end
      for at, source in ipairs(redis.call('HMGET', KEYS[5], unpack(fields))) do
        if source then
          sources[#sources + 1] = from + at - 1
          sources[#sources + 1] = source
        end
      end
    end
  end
end
-- The count of branches says nothing here: one that was put away is not counted, and still there.
if ARGV[5] == '1' then branches = redis.call('HGETALL', KEYS[3]) end
if head[27] > 0 then ranges = redis.call('HVALS', KEYS[4]) end
return {h, first, last, rows, ranges, branches, sources}
