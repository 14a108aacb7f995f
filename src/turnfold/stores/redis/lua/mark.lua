-- Marks a session as changing. KEYS: the set of marks. ARGV: the time, the session.
-- Marks never go down, so that no follower's watermark is ahead of a later one, also where the clock was turned back.
local time = ARGV[1]
local top = redis.call('ZRANGE', KEYS[1], 0, 0, 'REV', 'WITHSCORES')
if top[2] and tonumber(top[2]) > tonumber(time) then time = top[2] end
redis.call('ZADD', KEYS[1], 'GT', time, ARGV[2])
return 1
