-- Keeps other commits off a session for a moment, so that a slow one gets its turn. KEYS: h. ARGV: who, until (0: let go), now.
-- Answers 1, or 0 where there is no session or somebody else holds it.
local raw = redis.call('GET', KEYS[1])
if not raw then return 0 end
local h, now = cmsgpack.unpack(raw), tonumber(ARGV[3])
if h[28] > now and h[29] ~= ARGV[1] then return 0 end
if h[29] ~= ARGV[1] and ARGV[2] == '0' then return 0 end
h[28], h[29] = tonumber(ARGV[2]), ARGV[1]
if h[28] == 0 then h[29] = '' end
redis.call('SET', KEYS[1], cmsgpack.pack(h))
return 1
