#include "policy/store_redis_script.h"

/* Which keys a tenant has of one kind is known without a walk over everybody's. */
#define LISTING                                                                                                        \
	/* How many parts of a key say which list it stands in. */                                                     \
	"local DEPTH = {q = 3, over = 3, warn = 3, bounce = 2, bounced = 2, hits = 3, suppress = 1, suspended = 1}\n"  \
	"local function text(n) return string.format('%.0f', n) end\n"                                                 \
	/* Of a key or the beginning of one: its list, what all keys in that begin with, and the rest, which is what the list holds. */\
	"local function list_of(key)\n"                                                                                \
	"  local tenant, rest = string.match(key, '^(sekisho:{[^}]*}:)(.*)$')\n"                                       \
	"  local depth, at = rest and DEPTH[string.match(rest, '^%a*')], 0\n"                                          \
	"  if not depth then return nil end\n"                                                                         \
	"  for i = 1, depth do\n"                                                                                      \
	"    at = string.find(rest, ':', at + 1, true) or (depth == 1 and #rest + 1)\n"                                \
	"    if not at then return nil end\n"                                                                          \
	"  end\n"                                                                                                      \
	"  local group = string.sub(rest, 1, at - 1)\n"                                                                \
	"  return tenant .. 'keys:' .. group, tenant .. group, string.sub(rest, at)\n"                                 \
	"end\n"                                                                                                        \
	/* Those that have died leave it; ms. A tenant's own quota is known by name, and stands in none. */            \
	"local function list(key, dies, now)\n"                                                                        \
	"  local name, _, member = list_of(key)\n"                                                                     \
	"  if not name or member == ':' then return end\n"                                                             \
	"  redis.call('ZREMRANGEBYSCORE', name, '-inf', text(now))\n"                                                  \
	"  redis.call('ZADD', name, text(dies), member)\n"                                                             \
	"  if redis.call('PTTL', name) < dies - now then redis.call('PEXPIREAT', name, text(dies)) end\n"              \
	"end\n"

#define LISTING_BESIDE LISTING                                                                                         \
	"local function list_for(key, life)\n"                                                                         \
	"  local time = redis.call('TIME')\n"                                                                          \
	"  local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"                                                  \
	"  list(key, now + life, now)\n"                                                                               \
	"end\n"

/* What charge and refund share. window.c has the reasons; names are the same. */
#define PRELUDE LISTING                                                                                                \
	"local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max\n"                                    \
	"local TOP, DAY, JST, HOUR = 9007199254740991, 86400000000, 32400000000, 3600000000\n"                         \
	"local ROLLING, BURST, CALENDAR = 0, 1, 2\n"                                                                   \
	"local time = redis.call('TIME')\n"                                                                            \
	"local now = time[1] * 1000000 + time[2]\n"                                                                    \
	"local function number(s) return tonumber(s) or 0 end\n"                                                       \
	/* floor and ceil of a * b / c; on the strict side where the product is no exact number any more */            \
	"local function mul_div(a, b, c)\n"                                                                            \
	"  local whole = floor(a / c)\n"                                                                               \
	"  local part = (a - whole * c) * b\n"                                                                         \
	"  local q = floor(part / c)\n"                                                                                \
	"  if part > TOP and q > 0 then q = q - 1 end\n"                                                               \
	"  return min(whole * b + q, TOP)\n"                                                                           \
	"end\n"                                                                                                        \
	"local function mul_div_up(a, b, c)\n"                                                                         \
	"  if a * b > TOP / 2 then return min(ceil((a + 2) / c * b) + 1, TOP) end\n"                                   \
	"  return ceil(a * b / c)\n"                                                                                   \
	"end\n"                                                                                                        \
	/* days, weeks and months of Japan */                                                                          \
	"local function civil(day)\n"                                                                                  \
	"  local z = day + 719468\n"                                                                                   \
	"  local era = floor(z / 146097)\n"                                                                            \
	"  local doe = z - era * 146097\n"                                                                             \
	"  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)\n"            \
	"  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))\n"                                        \
	"  local mp = floor((5 * doy + 2) / 153)\n"                                                                    \
	"  local month = mp < 10 and mp + 3 or mp - 9\n"                                                               \
	"  return yoe + era * 400 + (month <= 2 and 1 or 0), month\n"                                                  \
	"end\n"                                                                                                        \
	"local function day_from(year, month)\n"                                                                       \
	"  local y = month <= 2 and year - 1 or year\n"                                                                \
	"  local era = floor(y / 400)\n"                                                                               \
	"  local yoe = y - era * 400\n"                                                                                \
	"  local doy = floor((153 * (month > 2 and month - 3 or month + 9) + 2) / 5)\n"                                \
	"  return era * 146097 + yoe * 365 + floor(yoe / 4) - floor(yoe / 100) + doy - 719468\n"                       \
	"end\n"                                                                                                        \
	"local function unit_of(calendar)\n"                                                                           \
	"  local day = floor((now + JST) / DAY)\n"                                                                     \
	"  if calendar == 2 then return floor((day + 3) / 7) end\n"                                                    \
	"  if calendar ~= 3 then return day end\n"                                                                     \
	"  local year, month = civil(day)\n"                                                                           \
	"  return year * 12 + month - 1\n"                                                                             \
	"end\n"                                                                                                        \
	"local function unit_start(calendar, unit)\n"                                                                  \
	"  local day = unit\n"                                                                                         \
	"  if calendar == 2 then day = unit * 7 - 3\n"                                                                 \
	"  elseif calendar == 3 then day = day_from(floor(unit / 12), unit % 12 + 1) end\n"                            \
	"  return day * DAY - JST\n"                                                                                   \
	"end\n"                                                                                                        \
	/* A window as it is stored, brought to now. w.fresh: nothing of what is stored counts. */                     \
	"local function load(key, window, calendar, period)\n"                                                         \
	"  local w = {key = key, window = window, calendar = calendar, period = period, add = 0}\n"                    \
	"  if window == CALENDAR then w.shape = 'c' .. calendar\n"                                                     \
	"  elseif window == BURST then w.shape = 'b' .. text(period)\n"                                                \
	"  else\n"                                                                                                     \
	"    w.slots = (period > HOUR and period <= DAY) and 48 or 60\n"                                               \
	"    w.width = ceil(period / w.slots)\n"                                                                       \
	"    w.shape = 'r' .. w.slots .. ':' .. text(period)\n"                                                        \
	"  end\n"                                                                                                      \
	"  local f\n"                                                                                                  \
	"  if window == BURST then f = redis.call('HMGET', key, 'p', 'a', 's', 'r', 'd', 'b', 'l')\n"                  \
	"  elseif window == ROLLING then f = redis.call('HMGET', key, 'p', 'a', 's', 'o')\n"                           \
	"  else f = redis.call('HMGET', key, 'p', 'a', 's') end\n"                                                     \
	"  w.fresh = f[1] ~= w.shape\n"                                                                                \
	"  if w.fresh then f = {} end\n"                                                                               \
	"  w.at, w.sum = number(f[2]), number(f[3])\n"                                                                 \
	"  if window == ROLLING then w.old = number(f[4]) end\n"                                                       \
	"  if window == BURST then\n"                                                                                  \
	"    w.returned, w.drained, w.since, w.drain = number(f[4]), number(f[5]), number(f[6]), number(f[7])\n"       \
	"  end\n"                                                                                                      \
	"  w.was = w.at\n"                                                                                             \
	"  return w\n"                                                                                                 \
	"end\n"                                                                                                        \
	"local function slot_names(w, from, to)\n"                                                                     \
	"  local names = {}\n"                                                                                         \
	"  for slot = from, to do names[#names + 1] = slot % (w.slots + 1) end\n"                                      \
	"  return names\n"                                                                                             \
	"end\n"                                                                                                        \
	"local function slot_values(w, from, to)\n"                                                                    \
	"  if w.fresh or from > to then return {} end\n"                                                               \
	"  return redis.call('HMGET', w.key, unpack(slot_names(w, from, to)))\n"                                       \
	"end\n"                                                                                                        \
	"local function slot_leaves(w, slot) return (slot + w.slots + 1) * w.width end\n"                              \
	/* The oldest slot in use moves up to the first that holds something, or to the newest. */                     \
	"local function find_oldest(w)\n"                                                                              \
	"  local values = slot_values(w, w.old, w.at)\n"                                                               \
	"  for i = 1, #values do\n"                                                                                    \
	"    if number(values[i]) > 0 then w.old = w.old + i - 1; return end\n"                                        \
	"  end\n"                                                                                                      \
	"  w.old = w.at\n"                                                                                             \
	"end\n"                                                                                                        \
	"local function rolling_advance(w)\n"                                                                          \
	"  local slot, count = floor(now / w.width), w.slots + 1\n"                                                    \
	"  if w.at - slot > count then\n"                                                                              \
	"    w.fresh, w.at, w.old, w.add = true, slot, slot, w.sum\n"                                                  \
	"  elseif w.fresh or w.sum == 0 or slot - w.at >= count then\n"                                                \
	"    w.fresh, w.at, w.old, w.sum, w.add = true, max(slot, w.fresh and 0 or w.at), slot, 0, 0\n"                \
	"    w.old = w.at\n"                                                                                           \
	"  elseif slot > w.at then\n"                                                                                  \
	"    local last = slot - count\n"                                                                              \
	"    if w.old <= last then\n"                                                                                  \
	"      local values = slot_values(w, w.old, min(last, w.at))\n"                                                \
	"      for i = 1, #values do w.sum = w.sum - number(values[i]) end\n"                                          \
	"      w.gone = slot_names(w, w.old, min(last, w.at))\n"                                                       \
	"      w.old = last + 1\n"                                                                                     \
	"    end\n"                                                                                                    \
	"    w.at = slot\n"                                                                                            \
	"    if w.gone then find_oldest(w) end\n"                                                                      \
	"  end\n"                                                                                                      \
	"end\n"                                                                                                        \
	"local function calendar_advance(w)\n"                                                                         \
	"  local unit = unit_of(w.calendar)\n"                                                                         \
	"  if w.at < unit then w.at, w.sum = unit, 0\n"                                                                \
	"  elseif w.at > unit + 1 then w.at = unit end\n"                                                              \
	"end\n"                                                                                                        \
	"local function burst_drained(w)\n"                                                                            \
	"  return min(w.drained + mul_div(max(now - w.since, 0), w.drain, w.period), TOP)\n"                           \
	"end\n"                                                                                                        \
	"local function burst_level(w) return max(w.sum - w.returned - burst_drained(w), 0) end\n"                     \
	"local function burst_reaches(w, level)\n"                                                                     \
	"  local over = max(w.sum - w.returned - w.drained - level, 0)\n"                                              \
	"  if over == 0 or w.drain == 0 then return w.since end\n"                                                     \
	"  return min(w.since + mul_div_up(over, w.period, w.drain), TOP)\n"                                           \
	"end\n"                                                                                                        \
	"local function burst_settle(w) w.drained, w.since = burst_drained(w), now end\n"                              \
	"local function burst_advance(w, limit)\n"                                                                     \
	"  local level = burst_level(w)\n"                                                                             \
	"  local is_new_rate = limit and limit > 0 and limit ~= w.drain\n"                                             \
	"  if level == 0 then w.at, w.since, w.sum, w.returned, w.drained = now, now, 0, 0, 0\n"                       \
	"  elseif is_new_rate or w.since - now > w.period then burst_settle(w) end\n"                                  \
	"  if is_new_rate then\n"                                                                                      \
	"    w.drain = limit\n"                                                                                        \
	"    if level > limit then w.drained = w.drained + level - limit end\n"                                        \
	"  end\n"                                                                                                      \
	"end\n"                                                                                                        \
	"local function expires(w)\n"                                                                                  \
	"  if w.window == ROLLING then return slot_leaves(w, w.at) end\n"                                              \
	"  if w.window == CALENDAR then return unit_start(w.calendar, w.at + 1) end\n"                                 \
	"  return burst_reaches(w, 0)\n"                                                                               \
	"end\n"                                                                                                        \
	"local function save(w)\n"                                                                                     \
	"  if w.fresh then redis.call('DEL', w.key)\n"                                                                 \
	"  elseif w.gone then redis.call('HDEL', w.key, unpack(w.gone)) end\n"                                         \
	"  if w.window == BURST then\n"                                                                                \
	"    redis.call('HSET', w.key, 'p', w.shape, 'a', text(w.at), 's', text(w.sum), 'r', text(w.returned),\n"      \
	"      'd', text(w.drained), 'b', text(w.since), 'l', text(w.drain))\n"                                        \
	"  elseif w.fresh or w.gone or w.at ~= w.was then\n"                                                           \
	"    redis.call('HSET', w.key, 'p', w.shape, 'a', text(w.at), 's', text(w.sum))\n"                             \
	"    if w.window == ROLLING then redis.call('HSET', w.key, 'o', text(w.old)) end\n"                           \
	"  else redis.call('HSET', w.key, 's', text(w.sum)) end\n"                                                     \
	"  if w.window == ROLLING and w.add > 0 then\n"                                                                \
	"    redis.call('HINCRBY', w.key, w.at % (w.slots + 1), text(w.add))\n"                                        \
	"  end\n"                                                                                                      \
	"  if w.fresh or w.at ~= w.was or w.window == BURST then\n"                                                    \
	"    local dies = ceil(expires(w) / 1000)\n"                                                                   \
	"    redis.call('PEXPIREAT', w.key, text(dies))\n"                                                             \
	"    list(w.key, dies, floor(now / 1000))\n"                                                                   \
	"  end\n"                                                                                                      \
	"end\n"

static const char charge_text[] = PRELUDE
	"local function advance(w, limit)\n"
	"  if w.window == ROLLING then rolling_advance(w)\n"
	"  elseif w.window == CALENDAR then calendar_advance(w)\n"
	"  else burst_advance(w, limit) end\n"
	"end\n"
	"local function rolling_room(w, room)\n"
	"  local values, left = slot_values(w, w.old, w.at), w.sum\n"
	"  for i = 1, #values do\n"
	"    left = left - number(values[i])\n"
	"    if left <= room then return slot_leaves(w, w.old + i - 1) end\n"
	"  end\n"
	"  return slot_leaves(w, w.at)\n"
	"end\n"
	"local function room_at(w, room)\n"
	"  if w.window == ROLLING then return rolling_room(w, room) end\n"
	"  if w.window == CALENDAR then return unit_start(w.calendar, w.at + 1) end\n"
	"  return burst_reaches(w, room)\n"
	"end\n"
	"local function resets(w)\n"
	"  if w.window == ROLLING then return w.sum > 0 and slot_leaves(w, w.old) or now end\n"
	"  return room_at(w, 0)\n"
	"end\n"
	/* What was really added: a bucket spills, a sum ends at TOP. */
	"local function take(w, cost, limit)\n"
	"  local delta = min(cost, TOP - w.sum)\n"
	"  if w.window == BURST then\n"
	"    if not limit then return 0 end\n"
	"    delta = min(delta, max(limit - burst_level(w), 0))\n"
	"  end\n"
	"  w.sum, w.add = w.sum + delta, w.add + delta\n"
	"  return delta\n"
	"end\n"
	"local windows, record, out, taken = {}, {}, {1, now}, true\n"
	"local peek, takes, marks = ARGV[1] == '0', number(ARGV[3]), number(ARGV[4])\n"
	"local found = {}\n"
	"for first = takes + marks + 2, #KEYS, 1000 do\n"
	"  local values = redis.call('MGET', unpack(KEYS, first, min(first + 999, #KEYS)))\n"
	"  for i = 1, #values do\n"
	"    if values[i] then\n"
	"      found[#found + 1] = first - takes - marks - 3 + i\n"
	"      found[#found + 1] = values[i]\n"
	"    end\n"
	"  end\n"
	"end\n"
	"local barred = ARGV[5] == '1' and #found > 0\n"
	"for i = 1, takes do\n"
	"  local key, at = KEYS[i + 1], i * 6\n"
	"  local window, calendar, period = number(ARGV[at]), number(ARGV[at + 1]), number(ARGV[at + 2])\n"
	"  local limit, cost = tonumber(ARGV[at + 3]), number(ARGV[at + 4])\n"
	"  local w = windows[key]\n"
	"  if not w then\n"
	"    w = load(key, window, calendar, period)\n"
	"    windows[key] = w\n"
	/* What was counted alone has the rate of what was left then; that of a bucket in use stands. */
	"    if ARGV[1] == '2' and w.drain and w.drain > 0 then limit = w.drain end\n"
	"    advance(w, limit)\n"
	"  elseif w.window == BURST then burst_advance(w, limit) end\n"
	"  local used = w.window == BURST and burst_level(w) or w.sum\n"
	"  local over = cost > 0 and limit and (cost > limit or used > limit - cost)\n"
	"  local retry = 0\n"
	"  if over then retry = cost > limit and -1 or max(room_at(w, limit - cost) - now, 1) end\n"
	"  out[#out + 1] = over and 1 or 0\n"
	"  out[#out + 1] = used\n"
	"  out[#out + 1] = retry\n"
	"  out[#out + 1] = max(resets(w), now)\n"
	"  if over and ARGV[at + 5] == '1' then taken = false\n"
	"  else\n"
	"    local before = w.sum\n"
	"    local delta = take(w, cost, limit)\n"
	"    if delta > 0 then\n"
	"      w.changed = true\n"
	"      for _, v in ipairs({key, w.window, w.calendar, w.period, w.at, before, delta}) do record[#record + 1] = v end\n"
	"    end\n"
	"  end\n"
	"end\n"
	/* What was undone before it came (see refund), or is done once. */
	"local known = not peek and redis.call('GET', KEYS[1])\n"
	"known = known and cmsgpack.unpack(known)\n"
	"local attempt = ARGV[#ARGV]\n"
	"local is_over = known and (ARGV[1] == '2' or #known == 1 and known[1] == attempt)\n"
	"if barred or not taken then out[1] = 0\n"
	"elseif not peek and #record > 0 and not is_over then\n"
	"  for _, w in pairs(windows) do if w.changed then save(w) end end\n"
	"  table.insert(record, 1, attempt)\n"
	"  redis.call('SET', KEYS[1], cmsgpack.pack(record), 'PX', ARGV[2])\n"
	"end\n"
	/* A mark: which take, reaches (0: refused by it). */
	"for i = 1, marks do\n"
	"  local at = 6 + takes * 6 + (i - 1) * 2\n"
	"  local take, reaches, total = number(ARGV[at]), number(ARGV[at + 1]), 0\n"
	"  local over, used = out[take * 4 - 1], out[take * 4]\n"
	"  local cost, enforced = number(ARGV[take * 6 + 4]), ARGV[take * 6 + 5] == '1'\n"
	"  local due = out[1] == 1 and reaches > 0 and used < reaches and cost >= reaches - used\n"
	"  if reaches == 0 then due = not taken and over == 1 and enforced end\n"
	"  if due and not barred then\n"
	"    total = peek and 1 or redis.call('INCR', KEYS[1 + takes + i])\n"
	"    if total == 1 and not peek then\n"
	"      local w = windows[KEYS[1 + take]]\n"
	"      local dies = ceil((w.window == CALENDAR and expires(w) or now + w.period) / 1000)\n"
	"      redis.call('PEXPIREAT', KEYS[1 + takes + i], text(dies))\n"
	"      list(KEYS[1 + takes + i], dies, floor(now / 1000))\n"
	"    end\n"
	"  end\n"
	"  out[#out + 1] = total\n"
	"end\n"
	"for i = 1, #found do out[#out + 1] = found[i] end\n"
	"return out\n";

static const char refund_text[] = PRELUDE
	"local function rolling_give_back(w, at, delta)\n"
	"  rolling_advance(w)\n"
	"  if at < w.at - w.slots or at > w.was or w.fresh then return false end\n"
	"  local name = at % (w.slots + 1)\n"
	"  local held = number(redis.call('HGET', w.key, name))\n"
	"  local back = min(delta, held)\n"
	"  if back == 0 then return false end\n"
	"  w.sum = w.sum - back\n"
	"  redis.call('HINCRBY', w.key, name, text(-back))\n"
	"  if back == held then find_oldest(w) end\n"
	"  w.gone = w.gone or {}\n"
	"  if back == held then w.gone[#w.gone + 1] = name end\n"
	"  if #w.gone == 0 then w.gone = nil end\n"
	"  return true\n"
	"end\n"
	"local function calendar_give_back(w, at, delta)\n"
	"  calendar_advance(w)\n"
	"  if at ~= w.at then return false end\n"
	"  w.sum = max(w.sum - delta, 0)\n"
	"  return true\n"
	"end\n"
	"local function burst_give_back(w, at, before, delta)\n"
	"  local drained = burst_drained(w)\n"
	"  if at ~= w.at or before > w.sum - delta or drained >= w.sum then return false end\n"
	"  local ahead = before - w.returned - drained\n"
	"  local left = max(ahead + delta, 0)\n"
	"  if left == 0 then return false end\n"
	"  if ahead <= 0 and now > w.since then burst_settle(w) end\n"
	"  w.returned = w.returned + min(left, delta)\n"
	"  return true\n"
	"end\n"
	"local packed, attempt = redis.call('GET', KEYS[1]), ARGV[1]\n"
	"local record = packed and cmsgpack.unpack(packed) or {}\n"
	/* Seven words a window, behind the attempt's number. */
	"local first = #record % 7 + 1\n"
	/* Whose answer was lost may be on its way yet, on another connection: it shall find that it is not wanted. */
	"if #record < 7 then\n"
	"  if attempt then redis.call('SET', KEYS[1], cmsgpack.pack({attempt}), 'PX', ARGV[2]) end\n"
	"  return 0\n"
	"end\n"
	"if attempt and record[1] ~= attempt then return 0 end\n"
	"redis.call('DEL', KEYS[1])\n"
	"for i = first, #record, 7 do\n"
	"  local at, before, delta = record[i + 4], record[i + 5], record[i + 6]\n"
	"  local w = load(record[i], record[i + 1], record[i + 2], record[i + 3])\n"
	"  local changed = false\n"
	"  if w.fresh then changed = false\n"
	"  elseif w.window == ROLLING then changed = rolling_give_back(w, at, delta)\n"
	"  elseif w.window == CALENDAR then changed = calendar_give_back(w, at, delta)\n"
	"  else changed = burst_give_back(w, at, before, delta) end\n"
	"  if changed then save(w) end\n"
	"end\n"
	"return 1\n";

static const char count_text[] = LISTING_BESIDE
	"local once = KEYS[2]\n"
	"if once and redis.call('EXISTS', once) == 1 then return redis.call('GET', KEYS[1]) or '0' end\n"
	"local sum = redis.pcall('INCRBY', KEYS[1], ARGV[1])\n"
	"if type(sum) == 'table' then\n"
	"  if not string.find(sum.err, 'overflow', 1, true) then return sum end\n"
	"  redis.call('SET', KEYS[1], ARGV[1]:sub(1, 1) == '-' and '-9223372036854775808' or '9223372036854775807', 'KEEPTTL')\n"
	"end\n"
	"if redis.call('PTTL', KEYS[1]) < 0 then\n"
	"  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
	"  list_for(KEYS[1], ARGV[2])\n"
	"end\n"
	"if once then redis.call('SET', once, cmsgpack.pack({}), 'PX', ARGV[3]) end\n"
	"return redis.call('GET', KEYS[1])\n";

static const char put_text[] = LISTING_BESIDE
	"if tonumber(ARGV[2]) > 0 then\n"
	"  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
	"  list_for(KEYS[1], ARGV[2])\n"
	"  return 1\n"
	"end\n"
	"local name, _, member = list_of(KEYS[1])\n"
	"if name then redis.call('ZREM', name, member) end\n"
	"return redis.call('DEL', KEYS[1])\n";

static const char get_text[] =
	"local kind = redis.call('TYPE', KEYS[1]).ok\n"
	"if kind == 'string' then return redis.call('GET', KEYS[1]) end\n"
	"return kind ~= 'none' and '' or false\n";

static const char scan_text[] = LISTING
	"local time = redis.call('TIME')\n"
	"local prefix = KEYS[1] or table.remove(ARGV, 1)\n"
	"local name, stem, want = list_of(prefix)\n"
	"local page, keys\n"
	"if name then\n"
	"  page, keys = redis.call('ZSCAN', name, ARGV[1], 'COUNT', ARGV[3]), {prefix}\n"
	"  for i = 1, #page[2], 2 do\n"
	"    local member = page[2][i]\n"
	"    if string.sub(member, 1, #want) == want then keys[#keys + 1] = stem .. member end\n"
	"  end\n"
	"else\n"
	"  page = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])\n"
	"  keys = page[2]\n"
	"end\n"
	"local out = {page[1], time[1] * 1000000 + time[2]}\n"
	"for _, key in ipairs(keys) do\n"
	"  local left = redis.call('PTTL', key)\n"
	"  if left > 0 then\n"
	"    out[#out + 1] = key\n"
	"    local kind, value = redis.call('TYPE', key).ok, ''\n"
	"    if kind == 'string' then value = redis.call('GET', key)\n"
	"    elseif kind == 'hash' then\n"
	"      local f = redis.call('HMGET', key, 'p', 's', 'r', 'd', 'l')\n"
	"      local used = (tonumber(f[2]) or 0) - (tonumber(f[3]) or 0) - (tonumber(f[4]) or 0)\n"
	"      value = (f[1] or '?') .. ' ' .. string.format('%.0f', math.max(used, 0)) .. ' ' .. (f[5] or '0')\n"
	"    end\n"
	"    out[#out + 1] = value\n"
	"    out[#out + 1] = left\n"
	"  end\n"
	"end\n"
	"return out\n";

#define TEXT(array) { .ptr = (array), .len = sizeof(array) - 1 }
static const struct str texts[SCRIPT_COUNT_OF] = {
	[SCRIPT_CHARGE] = TEXT(charge_text),
	[SCRIPT_REFUND] = TEXT(refund_text),
	[SCRIPT_COUNT] = TEXT(count_text),
	[SCRIPT_GET] = TEXT(get_text),
	[SCRIPT_PUT] = TEXT(put_text),
	[SCRIPT_SCAN] = TEXT(scan_text),
};

struct str redis_script_text(enum redis_script script)
{
	return texts[script];
}
