-- Reserves a place among an owner's sessions. KEYS: the owner's reservations. ARGV: field, value, most (0: no limit, -1: only remove),
-- then fields and values that are to go if they are still the same.
-- Answers 1, or all reservations where there is no place.
for at = 4, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] then redis.call('HDEL', KEYS[1], ARGV[at]) end
end
local most = tonumber(ARGV[3])
if most < 0 then return 1 end
if most > 0 and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= most then
  return redis.call('HGETALL', KEYS[1])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
