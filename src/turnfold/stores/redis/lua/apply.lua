-- Writes what was decided elsewhere, if everything that the decision rests on is as it was.
-- KEYS: all keys of the session. ARGV: the channel to tell (empty: nobody), the server's time after which it is too late (0: never), the
-- number of conditions, then conditions and commands: each its name, place in KEYS, number of arguments, arguments; a condition's last two
-- arguments are 1 and what it must answer, or 0 and anything where it must answer nothing.
-- Answers 1, or 0 where a condition does not hold.
if ARGV[2] ~= '0' then
  local time = redis.call('TIME')
  if time[1] * 1000000 + time[2] > tonumber(ARGV[2]) then return 0 end
end
local at = 4
for _ = 1, ARGV[3] do
  local last = at + 2 + ARGV[at + 2]
  local found = redis.call(ARGV[at], KEYS[tonumber(ARGV[at + 1])], unpack(ARGV, at + 3, last - 2))
  if ARGV[last - 1] == '1' then
    if found ~= ARGV[last] then return 0 end
  elseif found then
    return 0
  end
  at = last + 1
end
while at <= #ARGV do
  local last = at + 2 + ARGV[at + 2]
  redis.call(ARGV[at], KEYS[tonumber(ARGV[at + 1])], unpack(ARGV, at + 3, last))
  at = last + 1
end
if ARGV[1] ~= '' then redis.pcall('PUBLISH', ARGV[1], '') end
return 1
