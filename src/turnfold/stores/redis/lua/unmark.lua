-- Takes members off a sorted set that still have the score they were seen with. KEYS: the set. ARGV: member, score, …
for at = 1, #ARGV, 2 do
  if redis.call('ZSCORE', KEYS[1], ARGV[at]) == ARGV[at + 1] then redis.call('ZREM', KEYS[1], ARGV[at]) end
end
return 1
