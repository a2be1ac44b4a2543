-- The Lua half of the sandbox: the globals that scripts see, made of Lua's own (`raw`) and of Rust functions.
-- What is here rather than in Rust is here because it calls back into scripts: written in Lua it is counted by the hook, a
-- script may wait inside it, and, above all, a call that has used up its budget can be frozen there. Inside a C function it
-- could only be ended by an error, which gives every pending __close its turn. So nothing of Lua's own that calls a script's
-- function is passed on, but for those that yield: pcall, pairs and metamethods.
local raw, rust, strings, PENDING, string_metatable = ...

local spent, caught, number, results = rust.spent, rust.caught, rust.number, rust.results
local type, select, error, rawget, next, getmetatable =
  raw.type, raw.select, raw.error, raw.rawget, raw.next, raw.getmetatable
local raw_pcall, raw_xpcall, raw_setmetatable = raw.pcall, raw.xpcall, raw.setmetatable
local create, resume, yield, status, running, isyieldable =
  raw.coroutine.create, raw.coroutine.resume, raw.coroutine.yield, raw.coroutine.status, raw.coroutine.running,
  raw.coroutine.isyieldable

local G = {}

-- Functions of Lua that do a bounded, short piece of work.
for _, name in raw.ipairs { "assert", "error", "getmetatable", "next", "pairs", "rawequal", "rawget", "rawlen",
                            "rawset", "type", "_VERSION" } do
  G[name] = raw[name]
end
G._G = G

-- A call whose budget is used up stops for good: it yields to a host that will not resume it.
local function freeze()
  while true do yield() end
end

-- pcall and xpcall: neither a used-up budget nor a full memory can be caught.

local CATCH = 8     -- instructions charged for a protected call

local function finish(ok, ...)
  if ok then
    if spent(CATCH) then freeze() end
    return true, ...
  end
  local message = caught((...))
  if spent(CATCH) then freeze() end
  return false, message
end

function G.pcall(f, ...)
  return finish(raw_pcall(f, ...))
end

-- The handler runs when the stack has been unwound: there is no `debug` that could tell.
local function handled(handler, ok, ...)
  if ok then return true, ... end
  local _, answer = G.pcall(handler, (...))
  return false, answer
end

function G.xpcall(f, handler, ...)
  return handled(handler, G.pcall(f, ...))
end

function G.setmetatable(t, metatable)
  if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
    error("a metatable with __gc is refused: finalizers are not for scripts", 2)
  end
  return raw_setmetatable(t, metatable)
end

local raw_tostring, metafield = raw.tostring, rust.metafield

local function tostring(value)
  if type(value) == "table" and getmetatable(value) ~= nil then
    local spell = metafield(value, "__tostring")
    if spell ~= nil then
      local text = spell(value)
      if type(text) ~= "string" then error("'__tostring' must return a string", 2) end
      return text
    end
  end
  return raw_tostring(value)
end

G.tostring = tostring

local function following(t, i)
  i = i + 1
  local value = t[i]
  if value ~= nil then return i, value end
end

function G.ipairs(...)
  if select("#", ...) == 0 then error("bad argument #1 to 'ipairs' (table expected, got no value)", 2) end
  return following, (...), 0
end

-- A string is read as a number only if it is short.

function G.select(n, ...)
  if type(n) == "string" and n ~= "#" then n = number(n) end
  return select(n, ...)
end

local raw_tonumber = raw.tonumber

function G.tonumber(value, ...)
  if select("#", ...) > 0 and (...) ~= nil then
    if type(value) == "string" and #value > 200 then return nil end
    return raw_tonumber(value, number((...)))
  end
  return number(value)
end

-- Coroutines. An engine wait inside of one is handed up, resume by resume, to the call that the engine drives.

local RESUME = 64   -- instructions charged for a resume: a new coroutine starts with a fresh count

local ours = raw_setmetatable({}, { __mode = "k" })      -- made by a script
local waiting = raw_setmetatable({}, { __mode = "k" })   -- inside an engine wait
local closed = raw_setmetatable({}, { __mode = "k" })    -- never to be resumed

local function awake(co)
  waiting[co] = nil
  return co
end

local function settle(co, ok, ...)
  if spent(RESUME) then freeze() end
  if not ok then
    local message = caught((...))
    if spent(0) then freeze() end
    return false, message
  end
  if (...) == PENDING and status(co) == "suspended" then
    waiting[co] = true
    return settle(co, resume(awake(co, yield(PENDING))))
  end
  return true, ...
end

local coroutine = {}
G.coroutine = coroutine

function coroutine.create(f)
  local co = create(f)
  ours[co] = true
  return co
end

function coroutine.resume(co, ...)
  if type(co) == "thread" then
    if not ours[co] then return false, "cannot resume the coroutine of a handler" end
    if waiting[co] then return false, "cannot resume a coroutine that waits" end
    if closed[co] then return false, "cannot resume dead coroutine" end
  end
  return settle(co, resume(co, ...))
end

local function unwrap(ok, ...)
  if ok then return ... end
  error((...), 0)
end

function coroutine.wrap(f)
  local co = coroutine.create(f)
  return function(...)
    return unwrap(coroutine.resume(co, ...))
  end
end

function coroutine.yield(...)
  if (...) == PENDING or ours[running()] then return yield(...) end
  error("attempt to yield from outside a coroutine", 2)
end

function coroutine.status(co)
  if type(co) == "thread" then
    if waiting[co] then return "normal" end
    if closed[co] then return "dead" end
  end
  return status(co)
end

function coroutine.isyieldable(co)
  return ours[co or running()] ~= nil and isyieldable(co or running())
end

-- Its pending __close handlers are not run: nothing bounds how many there are.
function coroutine.close(co)
  if type(co) == "thread" and not ours[co] then error("cannot close the coroutine of a handler", 2) end
  local now = coroutine.status(co)
  if now ~= "suspended" and now ~= "dead" then error("cannot close a " .. now .. " coroutine", 2) end
  closed[co] = true
  return true
end

coroutine.running = running

-- string

local charged = rust.charged
local string, methods = {}, {}
G.string = string

for _, name in raw.ipairs { "byte", "char", "find", "len", "lower", "match", "rep", "reverse", "sub", "upper" } do
  string[name] = strings[name]
end
for _, name in raw.ipairs { "pack", "packsize", "unpack" } do
  string[name] = charged(raw.string[name])
end

-- The arguments, tables as text.
local function spelled(value, ...)
  if type(value) == "table" then value = tostring(value) end
  if select("#", ...) == 0 then return value end
  return value, spelled(...)
end

local raw_format = charged(raw.string.format)

function string.format(format, ...)
  if select("#", ...) == 0 then return raw_format(format) end
  return raw_format(format, spelled(...))
end

local sub, gsub_text, scan, concat = strings.sub, strings.gsub_text, strings.scan, rust.concat

local function captures(first, _, ...)
  if first then return ... end
end

function string.gmatch(s, pattern, init)
  local forward = scan(s, pattern, init, false)
  return function() return captures(forward()) end
end

-- The match's place and what replaces it.
local function replacement(by, first, last, ...)
  if not first then return nil end
  if type(by) == "function" then return first, last, (by(...)) end
  return first, last, by[(...)]
end

function string.gsub(s, pattern, by, most)
  local kind = type(by)
  if kind == "string" or kind == "number" then return gsub_text(s, pattern, by, most) end
  if kind ~= "function" and kind ~= "table" then
    error("bad argument #3 to 'gsub' (string/function/table expected, got " .. kind .. ")", 2)
  end
  if type(s) == "number" then s = s .. "" end
  -- A table is asked for the first capture only, and the others may be unfinished.
  local forward = scan(s, pattern, 1, true, kind == "table")
  if most ~= nil then
    most = number(most)
    if not most then error("bad argument #4 to 'gsub' (number expected)", 2) end
  end
  local out, count, copied = {}, 0, 1
  while not most or count < most do
    local first, last, value = replacement(by, forward())
    if not first then break end
    count = count + 1
    if value then
      kind = type(value)
      if kind ~= "string" and kind ~= "number" then error("invalid replacement value (a " .. kind .. ")", 2) end
      out[#out + 1] = sub(s, copied, first - 1)
      out[#out + 1] = value
      copied = last + 1
    end
  end
  if copied == 1 and #out == 0 then return s, count end
  out[#out + 1] = sub(s, copied)
  return concat(out), count
end

-- Methods of strings are their own copies, so that no script can change them under another; what a script adds to
-- `string` is found behind them.
for name, f in next, string do methods[name] = f end
raw_setmetatable(methods, { __index = string })
for name in next, string_metatable do string_metatable[name] = nil end
string_metatable.__index = methods
string_metatable.__metatable = false

local function arithmetic(event, operate)
  string_metatable[event] = function(a, b)
    local x, y = number(a), number(b)
    if x and y then return operate(x, y) end
    if type(b) ~= "string" then
      local other = getmetatable(b)
      local handler = type(other) == "table" and rawget(other, event)
      if handler then return handler(a, b) end
    end
    error("attempt to perform arithmetic on a " .. type(x and b or a) .. " value", 2)
  end
end

arithmetic("__add", function(a, b) return a + b end)
arithmetic("__sub", function(a, b) return a - b end)
arithmetic("__mul", function(a, b) return a * b end)
arithmetic("__div", function(a, b) return a / b end)
arithmetic("__mod", function(a, b) return a % b end)
arithmetic("__pow", function(a, b) return a ^ b end)
arithmetic("__idiv", function(a, b) return a // b end)
arithmetic("__unm", function(a) return -a end)

-- table: in Lua, so that every step is counted, whatever __len, __index or __newindex say.

local table = {}
G.table = table

local function plain(t, name)
  if type(t) ~= "table" then
    error("bad argument #1 to '" .. name .. "' (table expected, got " .. type(t) .. ")", 3)
  end
  return getmetatable(t) == nil
end

local function integer(value, index, name)
  local n = number(value)
  local i = n and raw.math.tointeger(n)
  if i then return i end
  error("bad argument #" .. index .. " to '" .. name .. "' (integer expected, got " .. type(value) .. ")", 3)
end

-- A copy of t[first..last] without metamethods.
local function copied(t, first, last)
  local copy = {}
  for i = first, last do copy[i - first + 1] = t[i] end
  return copy
end

function table.concat(t, separator, first, last)
  if plain(t, "concat") then return concat(t, separator, first, last) end
  first = first == nil and 1 or integer(first, 3, "concat")
  last = last == nil and #t or integer(last, 4, "concat")
  return concat(copied(t, first, last), separator, 1, last - first + 1)
end

function table.insert(t, ...)
  plain(t, "insert")
  local count = select("#", ...)
  if count == 1 then
    t[#t + 1] = (...)
  elseif count == 2 then
    local last, position, value = #t + 1, ...
    position = integer(position, 2, "insert")
    if position < 1 or position > last then error("bad argument #2 to 'insert' (position out of bounds)", 2) end
    for i = last, position + 1, -1 do t[i] = t[i - 1] end
    t[position] = value
  else
    error("wrong number of arguments to 'insert'", 2)
  end
end

function table.remove(t, ...)
  plain(t, "remove")
  local size = #t
  local position = size
  if select("#", ...) > 0 then
    position = integer((...), 2, "remove")
    if size + 1 ~= position and (position < 1 or position > size + 1) and not (size == 0 and position == 0) then
      error("bad argument #2 to 'remove' (position out of bounds)", 2)
    end
  end
  local value = t[position]
  for i = position, size - 1 do t[i] = t[i + 1] end
  if position <= size then t[size] = nil elseif position == size + 1 then t[position] = nil end
  return value
end

function table.move(from, first, last, at, to)
  plain(from, "move")
  if to == nil then to = from else plain(to, "move") end
  first, last, at = integer(first, 2, "move"), integer(last, 3, "move"), integer(at, 4, "move")
  if last < first then return to end
  if first <= 0 and last >= raw.math.maxinteger + first then error("too many elements to move", 2) end
  if at > raw.math.maxinteger - (last - first) then error("destination wrap around", 2) end
  if at > last or at <= first or to ~= from then
    for i = 0, last - first do to[at + i] = from[first + i] end
  else
    for i = last - first, 0, -1 do to[at + i] = from[first + i] end
  end
  return to
end

function table.pack(...)
  return { n = select("#", ...), ... }
end

local raw_unpack = raw.table.unpack

function table.unpack(t, first, last)
  first = first == nil and 1 or integer(first, 2, "unpack")
  last = last == nil and #t or integer(last, 3, "unpack")
  if first > last then return end
  local count = last - first
  if count < 0 or count >= results then error("too many results to unpack", 2) end
  if spent(count) then freeze() end
  if getmetatable(t) == nil then return raw_unpack(t, first, last) end
  return raw_unpack(copied(t, first, last), 1, count + 1)
end

local SORT = 2   -- instructions charged for each of the n log n comparisons that Lua makes in C
local raw_sort, uniform = charged(raw.table.sort, SORT), rust.uniform

-- Merges runs of t[1..size], each twice as long as before, until one is left.
local function merge_sort(t, size, less)
  local from, to, width = t, {}, 1
  while width < size do
    for left = 1, size, 2 * width do
      local middle, right = left + width, left + 2 * width
      if middle > size then middle = size + 1 end
      if right > size then right = size + 1 end
      local i, j = left, middle
      for k = left, right - 1 do
        if i < middle and (j >= right or not less(from[j], from[i])) then
          to[k], i = from[i], i + 1
        else
          to[k], j = from[j], j + 1
        end
      end
    end
    from, to, width = to, from, 2 * width
  end
  return from
end

local function lesser(a, b) return a < b end

function table.sort(t, less)
  local is_plain = plain(t, "sort")
  if less == nil and is_plain and uniform(t) then return raw_sort(t) end
  if less ~= nil and type(less) ~= "function" then
    error("bad argument #2 to 'sort' (function expected, got " .. type(less) .. ")", 2)
  end
  local size = #t
  local sorted = merge_sort(copied(t, 1, size), size, less or lesser)
  for i = 1, size do t[i] = sorted[i] end
end

-- math: numbers in, numbers out; a string argument is read as a number only if it is short.

local math = {}
G.math = math

for name, value in next, raw.math do
  if type(value) ~= "function" then math[name] = value end
end

local function one(name)
  local f = raw.math[name]
  math[name] = function(x)
    if type(x) == "string" then x = number(x) end
    return f(x)
  end
end

for _, name in raw.ipairs { "abs", "acos", "asin", "ceil", "cos", "deg", "exp", "floor", "modf", "rad", "sin", "sqrt", "tan" } do
  one(name)
end

-- A string is never an integer subtype for these.
math.type = raw.math.type
math.tointeger = function(x)
  if type(x) == "string" then x = number(x) end
  return x ~= nil and raw.math.tointeger(x) or nil
end

local function several(name)
  local f = charged(raw.math[name])
  math[name] = f
end

for _, name in raw.ipairs { "atan", "fmod", "log", "max", "min", "random", "randomseed", "ult" } do
  several(name)
end

-- utf8 and os

local utf8 = {}
G.utf8 = utf8
utf8.charpattern = raw.utf8.charpattern
for _, name in raw.ipairs { "char", "codepoint", "codes", "len", "offset" } do
  utf8[name] = charged(raw.utf8[name])
end

G.os = {}
for _, name in raw.ipairs { "clock", "date", "difftime" } do
  G.os[name] = charged(raw.os[name])
end

local raw_time = charged(raw.os.time)

function G.os.time(t)
  if t == nil then return raw_time() end
  if type(t) ~= "table" then error("bad argument #1 to 'time' (table expected, got " .. type(t) .. ")", 2) end
  local parts = {}
  for _, name in following, { "year", "month", "day", "hour", "min", "sec", "isdst" }, 0 do parts[name] = t[name] end
  local time = raw_time(parts)
  for name, value in next, parts do t[name] = value end
  return time
end

-- load and require

local compile = rust.compile

function G.load(chunk, name, mode, ...)
  if type(chunk) == "function" then
    local pieces = {}
    while true do
      local piece = chunk()
      if piece == nil or piece == "" then break end
      if type(piece) ~= "string" then return nil, "reader function must return a string" end
      pieces[#pieces + 1] = piece
    end
    chunk = concat(pieces)
  elseif type(chunk) ~= "string" then
    error("bad argument #1 to 'load' (string expected, got " .. type(chunk) .. ")", 2)
  end
  if mode ~= nil and mode ~= "t" and mode ~= "bt" then
    return nil, "attempt to load a text chunk (mode is '" .. tostring(mode) .. "')"
  end
  local env = ...
  if select("#", ...) > 0 and type(env) ~= "table" then
    error("bad argument #4 to 'load' (table expected, got " .. type(env) .. ")", 2)
  end
  return compile(chunk, name, env)
end

local loaded, loading = {}, {}
local source, match = rust.source, strings.match

function G.require(name)
  if type(name) ~= "string" or not match(name, "^[%w_.-]+$") then
    error("a module's name is of letters, digits, '_', '.' and '-'", 2)
  end
  local value = loaded[name]
  if value ~= nil then return value end
  local me = running()
  if loading[name] == me then error("module '" .. name .. "' requires itself", 2) end
  local chunk, why = source(name)
  if not chunk then error(why, 2) end
  loading[name] = me
  local ok, result = G.pcall(chunk, name)
  loading[name] = nil
  if not ok then error(result, 0) end
  if result == nil then result = true end
  loaded[name] = result
  return result
end

-- What the host calls. An error that is not text stays unread: to ask it for its text here would run a script's function
-- outside of its coroutine.

local explained = rust.explained

local function outcome(ok, ...)
  if ok then return ... end
  if spent(0) then freeze() end
  error((...), 0)
end

local function root(f, ...)
  return outcome(raw_xpcall(f, explained, ...))
end

return G, root, function(name, value) loaded[name] = value end
