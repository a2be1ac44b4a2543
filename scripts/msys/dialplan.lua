-- msys.dialplan: who answers a message, found by the name that it was sent to.
--
-- The shape is that of Asterisk's extensions.lua: contexts full of extensions, an extension a function. A message to
-- NAME@DOMAIN looks for NAME in the context that is called DOMAIN, or else in "default". A message to the domain itself
-- looks for "s". A name that no extension takes is left alone: the message goes to the user of that name.
--
-- Names and patterns, as Asterisk has them:
--
--   echo        that name
--   _X.         X is a digit, Z a digit from 1, N a digit from 2
--   _[ab0-5]x   one character of the set
--   _sales!     ! is the rest, even none; . is the rest, one character at least
--
-- and as addresses want them: only X, Z and N in capitals are digits (the user part of an address has no capitals), and
-- "-" stands for itself. A plain name comes before every pattern, a pattern that says more before one that says less.

local dialplan = {}

-- Patterns ---------------------------------------------------------------------------------------------------------------

local DIGITS = { X = "0123456789", Z = "123456789", N = "23456789" }

-- What a pattern says at one place, the narrowest first: one character, a small set, a larger one, ".", "!", nothing.
local SOME, REST, NOTHING = 1e6, 1e6 + 1, 1e6 + 2

local function characters(text)
  local list = {}
  for _, code in utf8.codes(text) do
    list[#list + 1] = utf8.char(code)
  end
  return list
end

-- The characters of "[...]", from the one behind the bracket, and the place behind it.
local function read_set(list, at, pattern)
  local has, size = {}, 0
  local function add(character)
    if not has[character] then
      has[character], size = true, size + 1
    end
  end
  while list[at] ~= "]" do
    if not list[at] then
      error(("pattern %q: [ without ]"):format(pattern), 0)
    end
    if list[at + 1] == "-" and list[at + 2] and list[at + 2] ~= "]" then
      local first, last = utf8.codepoint(list[at]), utf8.codepoint(list[at + 2])
      if last < first or last - first > 255 then
        error(("pattern %q: %s-%s is no range"):format(pattern, list[at], list[at + 2]), 0)
      end
      for code = first, last do
        add(utf8.char(code))
      end
      at = at + 3
    else
      add(list[at])
      at = at + 1
    end
  end
  return { has = has, size = size }, at + 1
end

-- The places of a pattern, without its underscore.
function dialplan.compile(pattern)
  local list, places, at = characters(pattern:sub(2)), {}, 1
  while at <= #list do
    local character = list[at]
    at = at + 1
    local place
    if DIGITS[character] then
      place = read_set(characters(DIGITS[character] .. "]"), 1, pattern)
    elseif character == "[" then
      place, at = read_set(list, at, pattern)
    elseif character == "." then
      place = { size = SOME }
    elseif character == "!" then
      place = { size = REST }
    else
      place = { has = { [character] = true }, size = 1 }
    end
    if place.size >= SOME and at <= #list then
      error(("pattern %q: %s must be the last"):format(pattern, character), 0)
    end
    if place.size > 0 then
      places[#places + 1] = place
    end
  end
  return places
end

function dialplan.matches(places, name)
  local list = characters(name)
  for index, place in ipairs(places) do
    if place.size == REST then
      return true
    elseif place.size == SOME then
      return list[index] ~= nil
    elseif not list[index] or not place.has[list[index]] then
      return false
    end
  end
  return #list == #places
end

local function lowest(place)
  local low
  for character in pairs(place.has or {}) do
    if not low or character < low then
      low = character
    end
  end
  return low or ""
end

-- Whether pattern `one` is asked before `other`: decided at the first place where one says more than the other.
local function before(one, other)
  for index = 1, math.max(#one.places, #other.places) do
    local a, b = one.places[index], other.places[index]
    local size_a, size_b = a and a.size or NOTHING, b and b.size or NOTHING
    if size_a ~= size_b then
      return size_a < size_b
    end
    local low_a, low_b = lowest(a), lowest(b)
    if low_a ~= low_b then
      return low_a < low_b
    end
  end
  return one.name < other.name
end

-- Contexts ---------------------------------------------------------------------------------------------------------------

local function read_context(name, entries)
  local context = { name = name, plain = {}, patterns = {}, include = {}, order = {} }
  for key, run in pairs(entries) do
    key = tostring(key)
    if key:lower() == "include" then
      context.include = type(run) == "table" and run or { run }
    elseif type(run) ~= "function" and type(run) ~= "string" then
      error(("extension %q of %q is a %s: write a function, or a text to answer with"):format(key, name, type(run)), 0)
    elseif key:sub(1, 1) == "_" then
      local pattern = { name = key, places = dialplan.compile(key), run = run }
      context.patterns[#context.patterns + 1] = pattern
    else
      context.plain[key] = { name = key, run = run }
    end
  end
  table.sort(context.patterns, before)
  return context
end

-- Appends to `order` the context of that name and what it includes, in order and depth first. One that includes itself, by
-- whatever way, is not asked twice.
local function add_context(plan, name, order, have)
  local context = plan[name]
  if have[name] then
    return
  end
  have[name] = true
  order[#order + 1] = context
  for _, other in ipairs(context.include) do
    if not plan[other] then
      error(("context %q includes %q, which does not exist"):format(name, tostring(other)), 0)
    end
    add_context(plan, other, order, have)
  end
end

-- Reads `extensions`: contexts by name, each with extensions by name or pattern, and `include`, a list of contexts.
function dialplan.read(extensions)
  local plan = {}
  for name, entries in pairs(extensions) do
    plan[name] = read_context(name, entries)
  end
  for name, context in pairs(plan) do
    add_context(plan, name, context.order, {})
  end
  return plan
end

-- The extension that takes `name`, and the context that it stands in.
function dialplan.find(plan, context, name)
  local start = plan[context]
  if not start then
    return nil
  end
  for _, here in ipairs(start.order) do
    if here.plain[name] then
      return here.plain[name], here
    end
    for _, pattern in ipairs(here.patterns) do
      if dialplan.matches(pattern.places, name) then
        return pattern, here
      end
    end
  end
end

-- Applications -----------------------------------------------------------------------------------------------------------
--
-- What an extension can do with the message that it was called for.

local applications = {}

local function current()
  return script.call().dialplan or error("app works only while an extension runs", 3)
end

local function send(stanza)
  local sent, reason = xmpp.routeStanza(stanza)
  if not sent then
    log.warn("dialplan: not sent:", reason)
  end
  return sent
end

-- Answers the sender, from the address that the message was sent to.
function applications.answer(text)
  local call = current()
  call.verdict = xmpp.DONE
  return send(call.message:reply(tostring(text)))
end
applications.reply = applications.answer

-- Says something to somebody else.
function applications.say(to, text)
  local stanza = xmpp.message(to, tostring(text))
  stanza:attr("type", "chat")
  stanza:attr("from", current().message:to():bare())
  return send(stanza)
end

-- Sends the message on to another address. Its sender stays its sender.
function applications.forward(to)
  local call = current()
  call.verdict = xmpp.DONE
  local copy = xmpp.stanza(call.message)
  copy:to(to)
  return send(copy)
end

-- Refuses the message: `condition` is an error of XMPP, such as "not-allowed".
function applications.reject(condition, text)
  current().verdict = xmpp.reject(condition, text)
end

-- Throws the message away.
function applications.drop()
  current().verdict = xmpp.DROP
end

-- Lets the message go on to the user of that name, whatever was done so far.
function applications.pass()
  current().verdict = xmpp.NEXT
end

-- Goes on with another extension, when this one returns.
function applications.jump(context, name)
  current().jump = { context = context, name = name }
end
applications["goto"] = applications.jump

-- Keeps plain data under a key; recall gives it back, whenever.
function applications.store(key, value)
  kv.set("dialplan/" .. key, value)
end

function applications.recall(key)
  return kv.get("dialplan/" .. key)
end

function applications.log(...)
  log.info(...)
end

-- As in Asterisk, the names of applications have no case, and one that does not exist is an error.
app = setmetatable({}, {
  __index = function(_, name)
    return applications[tostring(name):lower()] or error(("there is no application %q"):format(tostring(name)), 2)
  end,
})

-- Messages ---------------------------------------------------------------------------------------------------------------

local MAX_JUMPS = 32

-- Whether somebody says something in it: no error, no chat room, no chat state alone.
local function is_said(message)
  local kind = message:type()
  return (kind == "chat" or kind == "normal") and message:body() ~= nil
end

local function call_extension(found, where, call)
  script.call().dialplan = call
  call.jump = nil
  if type(found.run) == "string" then
    app.answer(found.run)
  else
    found.run(where.name, call.name, call.message, call.session)
  end
end

-- Handles a message: the verdict of the extension that takes it, nothing when there is none. An extension that does
-- nothing with the message changes nothing.
function dialplan.handle(plan, session, message)
  local to = message:to()
  local domain = to and to:domain()
  if not domain or not xmpp.valid_domain(domain) then
    return
  end
  local context = plan[domain] and domain or "default"
  local call = { message = message, session = session, name = to:user() or "s" }
  local found, where = dialplan.find(plan, context, call.name)
  if not found or not is_said(message) then
    return
  end
  for _ = 1, MAX_JUMPS do
    call_extension(found, where, call)
    if not call.jump then
      return call.verdict
    end
    found, where = dialplan.find(plan, call.jump.context or where.name, call.jump.name or call.name)
    if not found then
      error(("extension %q jumps to one that does not exist"):format(call.name), 0)
    end
    call.name = call.jump.name or call.name
  end
  error(("extension %q jumps in circles"):format(call.name), 0)
end

-- Every name that some extension takes; nothing where only a pattern, or "s", can tell.
function dialplan.names(plan)
  local names = {}
  for _, context in pairs(plan) do
    if context.plain.s or #context.patterns > 0 then
      return nil
    end
    for name in pairs(context.plain) do
      names[#names + 1] = name
    end
  end
  return names
end

-- Puts `extensions` to work. What no extension can want does not come here at all: a message to a user costs nothing.
function dialplan.serve(extensions)
  local plan = dialplan.read(extensions)
  dialplan.plan = plan
  local wanted = { type = { "chat", "normal" }, body = true, to = dialplan.names(plan) }
  local function message_recv(session, message)
    return dialplan.handle(plan, session, message)
  end
  xmpp.registerModule("dialplan", {
    filters = { client_message_recv = wanted, component_message_recv = wanted },
    client_message_recv = message_recv,
    component_message_recv = message_recv,
  })
end

-- Where an extension is written: file:line, or nothing for a text.
local function place(extension)
  return type(extension.run) == "function" and script.where(extension.run) or nil
end

local function list(plan, context)
  local lines = {}
  for _, here in ipairs(plan[context] and plan[context].order or {}) do
    local names = {}
    for name in pairs(here.plain) do
      names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
      lines[#lines + 1] = { name = name, place = place(here.plain[name]) }
    end
    for _, pattern in ipairs(here.patterns) do
      lines[#lines + 1] = { name = pattern.name, place = place(pattern) }
    end
  end
  return lines
end

-- What one can write to at the address of the current message, and which line says so.
function dialplan.help()
  local call = current()
  local domain = call.message:to():domain()
  local context = dialplan.plan[domain] and domain or "default"
  local text = { "You can write to" }
  for _, line in ipairs(list(dialplan.plan, context)) do
    text[#text + 1] = ("  %s@%s%s"):format(line.name, domain, line.place and "   (" .. line.place .. ")" or "")
  end
  local found = dialplan.find(dialplan.plan, context, call.name)
  text[#text + 1] = ("This is the answer of %s, generation %d."):format(place(found) or call.name, script.generation())
  return table.concat(text, "\n")
end

-- Tests ------------------------------------------------------------------------------------------------------------------

-- What the plan answers to `text` sent to `name`, for selftests: the text of the answer, or nothing.
function dialplan.try(name, text)
  script.sent()
  local message = xmpp.message(name .. "@localhost", text)
  message:attr("type", "chat")
  message:attr("from", "tester@localhost/selftest")
  dialplan.handle(dialplan.plan, nil, message)
  local answer = script.sent()[1]
  return answer and answer:body()
end

local CASES = {
  { "_X", "5", true }, { "_X", "a", false }, { "_X", "55", false }, { "_Z", "0", false }, { "_N", "1", false },
  { "_X.", "1", false }, { "_X.", "12", true }, { "_X!", "1", true }, { "_X!", "", false }, { "_.", "", false },
  { "_[a-c0]x", "bx", true }, { "_[a-c0]x", "0x", true }, { "_[a-c0]x", "dx", false }, { "_[n]ews", "news", true },
  { "_news", "news", true }, { "_a-b", "ab", false }, { "_grüß.", "grüße", true },
}

function dialplan.selftest()
  for _, case in ipairs(CASES) do
    local pattern, name, expected = table.unpack(case)
    assert(dialplan.matches(dialplan.compile(pattern), name) == expected, pattern .. " and " .. name)
  end
  local plan = dialplan.read {
    a = { include = { "b" }, ["_X."] = "x", ["_N."] = "n", ["_!"] = "all", ["12"] = "plain" },
    b = { include = { "a" }, never = "reached" },
    c = { include = { "b" }, ["_[12]."] = "set" },
  }
  local function taken(context, name)
    local found = dialplan.find(plan, context, name)
    return found and found.run
  end
  assert(taken("a", "12") == "plain" and taken("a", "13") == "x" and taken("a", "23") == "n")
  assert(taken("a", "never") == "all" and taken("c", "never") == "reached" and taken("c", "19") == "set")
  assert(taken("c", "34") == "n" and taken("nowhere", "12") == nil)
  assert(not dialplan.names(plan) and not dialplan.names(dialplan.read { a = { s = "all" } }))
  assert(table.concat(dialplan.names(dialplan.read { a = { x = "1" }, b = { include = "a" } })) == "x")
  assert(not pcall(dialplan.compile, "_[ab") and not pcall(dialplan.compile, "_.a"))
end

return dialplan
