-- Several reads of one session at one moment. KEYS: all keys of the session. ARGV: for each its name, place in KEYS, number of arguments,
-- arguments. Answers the server's time in microseconds as text, then each answer.
local time = redis.call('TIME')
local found = {string.format('%.0f', time[1] * 1000000 + time[2])}
local at = 1
while at <= #ARGV do
  local last = at + 2 + ARGV[at + 2]
  found[#found + 1] = redis.call(ARGV[at], KEYS[tonumber(ARGV[at + 1])], unpack(ARGV, at + 3, last))
  at = last + 1
end
return found
