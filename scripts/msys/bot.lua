-- msys.bot: an address that answers by itself, from a table of commands and a list of rules.
--
-- A message to the bot goes, in this order, to the command that asked for it (see below), to the command that its first
-- word names, to the first rule whose pattern is in it, to the fallback. All of them are called the same way:
--
--   function(args, message, memory)  return answer, name  end
--
-- args is the text behind the command's name (for a rule: the captures of its pattern), memory a table of plain data that
-- belongs to this sender. What the function leaves in it is there at the sender's next message: on disk, for every worker
-- and every generation, until the sender has been silent for `keep` seconds. Two clients of one sender that talk at the
-- very same moment may overwrite each other's changes. The answer is a text, or nothing to say nothing; with a name behind
-- it, the command of that name gets the sender's next message, whole: so a bot asks back.
--
-- The bot never answers what is no message of a person who is there: errors, chat rooms, headlines, chat states, history
-- (XEP-0203, XEP-0280, XEP-0313), lists, other bots, its own words, and what must not be kept (XEP-0334 no-store). It marks
-- its own answers as automatic, the way e-mail does (RFC 3834, in the headers of XEP-0131), and says no more than
-- `per_minute` things a minute to one sender.

local attendant = require("msys.attendant")

local bot = {}

local MAX_TEXT = 2000 -- bytes of a message that it reads
local MAX_MEMORY = 8192 -- bytes of one sender's memory
local MAX_SENDERS = 1000 -- senders that one worker counts the messages of
local MAX_KEY = 500 -- bytes of a name in the store
local MAX_REMINDERS = 10 -- of one sender
local MAX_AHEAD = 30 * 86400 -- seconds until a reminder
local AT_ONCE = 50 -- reminders that ring together

local SHIM = "http://jabber.org/protocol/shim"
local HINTS = "urn:xmpp:hints"

-- Namespaces of children that say: not from a person, not now, or not to the bot alone.
local ELSEWHERE = {
  ["urn:xmpp:delay"] = true,
  ["urn:xmpp:carbons:2"] = true,
  ["urn:xmpp:mam:2"] = true,
  ["http://jabber.org/protocol/muc#user"] = true,
}

-- Where memory lives, and what rings: replaced in selftests, where nothing may outlive the test.
local store, clock = kv, timer

-- Sending ----------------------------------------------------------------------------------------------------------------

local function send(stanza)
  local sent, reason = xmpp.routeStanza(stanza)
  if not sent then
    log.warn("bot: not sent:", reason)
  end
end

local function mark(message)
  local header = message:addchild("headers", SHIM):addchild("header")
  header:attr("name", "Auto-Submitted")
  header:contents("auto-replied")
end

local function answer(message, text, unkept)
  local reply = message:reply(tostring(text))
  reply:attr("from", message:to():bare())
  reply:attr("id", nil)
  local thread = message:child("thread")
  if thread then
    reply:addchild(thread)
  end
  if unkept then
    reply:addchild("no-store", HINTS)
  end
  mark(reply)
  send(reply)
end

-- Whom not to answer -----------------------------------------------------------------------------------------------------

local function is_automatic(headers)
  for header in headers:children() do
    local name = (header:attr("name") or ""):lower()
    if name == "list-id" or name == "auto-submitted" and header:contents() ~= "no" then
      return true
    end
  end
  return false
end

-- Whether a person says something in it, now, that may be remembered.
local function is_said(message)
  local kind = message:type()
  if kind ~= "chat" and kind ~= "normal" or not message:body() then
    return false
  end
  for child in message:children() do
    local ns = child:ns()
    if ELSEWHERE[ns] or ns == HINTS and child:name() == "no-store" or ns == SHIM and is_automatic(child) then
      return false
    end
  end
  return true
end

-- What each sender has said lately, to this worker.
local senders, count = {}, 0

local function sender(address)
  local now = os.time()
  local seen = senders[address]
  if not seen then
    if count >= MAX_SENDERS then
      senders, count = {}, 0
    end
    seen, count = { since = now, said = 0 }, count + 1
    senders[address] = seen
  elseif now - seen.since >= 60 then
    seen.since, seen.said = now, 0
  end
  return seen
end

-- Memory -----------------------------------------------------------------------------------------------------------------

-- Plain data as text: the same for equal data, and longer for more.
local function encode(value, depth)
  if type(value) ~= "table" then
    return ("%s %s,"):format(math.type(value) or type(value), tostring(value))
  elseif depth > 8 then
    error("memory is nested too deeply, or in itself", 0)
  end
  local parts = {}
  for key, item in pairs(value) do
    parts[#parts + 1] = ("%s=%s"):format(tostring(key), encode(item, depth + 1))
  end
  table.sort(parts)
  return "{" .. table.concat(parts) .. "}"
end

local function recall(self, address)
  local key = ("bot/memory/%s/%s"):format(self.address, address)
  if #key > MAX_KEY then
    return nil, { memory = {} }
  end
  local state = store.get(key)
  if type(state) ~= "table" or type(state.memory) ~= "table" then
    state = { memory = {} }
  end
  return key, state
end

-- Keeps the state if it is another than it was. False: it cannot be kept.
local function remember(self, key, state, before)
  local encoded, after = pcall(encode, state, 0)
  if encoded and after == before then
    return true
  end
  local why = not encoded and after or #after > MAX_MEMORY and "too much" or nil
  if not why and key then
    local kept, reason = pcall(store.set, key, state, self.keep)
    why = not kept and reason or nil
  end
  if why then
    log.warn("bot: memory not kept:", tostring(why))
  end
  return not why
end

-- Understanding ----------------------------------------------------------------------------------------------------------

-- How many letters to change, add or leave out to make one word of the other.
local function distance(one, other)
  local row = {}
  for j = 0, #other do
    row[j] = j
  end
  for i = 1, #one do
    local corner = row[0]
    row[0] = i
    for j = 1, #other do
      local change = corner + (one:byte(i) == other:byte(j) and 0 or 1)
      corner = row[j]
      row[j] = math.min(change, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#other]
end

local function nearest(self, word)
  local best, least
  for name in pairs(#word <= 20 and self.commands or {}) do
    local away = distance(word, name)
    if away <= math.max(1, #name // 3) and (not least or away < least or away == least and name < best) then
      best, least = name, away
    end
  end
  return best
end

-- The captures of the first pattern that fits: first in the text as it is, then in small letters.
local function match(pattern, text)
  local found = { text:match(pattern) }
  if #found == 0 then
    found = { text:lower():match(pattern) }
  end
  return #found > 0 and found or nil
end

local function fill(text, found)
  return (text:gsub("%%(%d)", function(number)
    return found[tonumber(number)]
  end))
end

-- The function that takes the text, and what it takes of it; or a text that is the answer.
local function understand(self, text, asks)
  if asks and self.commands[asks] then
    return self.commands[asks][2], text
  end
  local word, rest = text:match("^[/!]?(%S+)%s*(.*)$")
  local command = word and self.commands[word:lower()]
  if command then
    return command[2], rest
  end
  for _, rule in ipairs(self.rules) do
    local found = match(rule[1], text)
    if found then
      return type(rule[2]) == "function" and rule[2] or fill(rule[2], found), found
    end
  end
  local meant = word and nearest(self, word:lower())
  return meant and ("Did you mean %s?"):format(meant) or self.fallback, text
end

-- One turn of a conversation: the answer, and the command that wants the next message.
local function turn(self, text, message, state)
  local asks
  asks, state.asks = state.asks, nil
  local run, args = understand(self, text, asks)
  if type(run) ~= "function" then
    return run
  end
  local ran, said, next_asks = pcall(run, args, message, state.memory)
  if not ran then
    log.error("bot:", tostring(said))
    return "That went wrong. The server's log says why."
  end
  if next_asks ~= nil and not self.commands[next_asks] then
    log.error(("bot: %q is asked for, but there is no such command"):format(tostring(next_asks)))
    next_asks = nil
  end
  state.asks = next_asks
  return said
end

local function handle(self, message)
  local from = message:from()
  if not from or not from:user() or from:bare() == self.address or not is_said(message) then
    return xmpp.DROP
  end
  local text = message:body():match("^%s*(.-)%s*$")
  local seen = sender(from:bare())
  if text == seen.last then
    return xmpp.DROP -- It says what we have said: an echo, which would never end.
  end
  seen.said = seen.said + 1
  if seen.said > self.per_minute then
    if seen.said == self.per_minute + 1 then
      answer(message, "That was a lot. I listen again in a minute.", true)
    end
    return xmpp.DROP
  end
  local said
  if #text > MAX_TEXT then
    said = "That is too long for me."
  else
    local key, state = recall(self, from:bare())
    local before = encode(state, 0)
    said = turn(self, text, message, state)
    if not remember(self, key, state, before) then
      said = "That is more than I can remember."
    end
  end
  if said ~= nil then
    seen.last = tostring(said)
    answer(message, said)
  end
  return xmpp.DONE
end

-- Reminders --------------------------------------------------------------------------------------------------------------

local DUE = "bot/due/"
local UNITS = { s = 1, m = 60, h = 3600, d = 86400 }

-- The command "remind 10m TEXT". Reminders survive a restart; each rings once.
function bot.remind(args, message, memory)
  local amount, unit, text = args:match("^(%d+)%s*([smhd])%a*%s+(.+)$")
  local seconds = amount and #amount < 9 and tonumber(amount) * UNITS[unit]
  if not seconds or seconds < 1 or seconds > MAX_AHEAD then
    return "Say when and what: remind 10m tea. Seconds, minutes, hours and days are s, m, h, d; at most 30 days."
  end
  local now, waiting = os.time(), {}
  for _, due in ipairs(memory.reminders or {}) do
    if due > now then
      waiting[#waiting + 1] = due
    end
  end
  if #waiting >= MAX_REMINDERS then
    return ("You have %d reminders already."):format(#waiting)
  end
  local due = now + seconds
  waiting[#waiting + 1] = due
  memory.reminders = waiting
  local reminder = { from = message:to():bare(), to = message:from():bare(), text = text }
  -- In the order of time, which kv.list gives. What nobody could ring goes after a week.
  store.set(("%s%012d/%d"):format(DUE, due, store.incr("bot/reminders")), reminder, seconds + 7 * 86400)
  clock.after(seconds, "bot.ring")
  return ("I will remind you in %s%s."):format(amount, unit)
end

-- Sends what is due. Whoever deletes a reminder sends it, so it rings once, whichever worker it is.
local function ring()
  local now, keys = os.time(), {}
  local found = store.list(DUE, AT_ONCE)
  for key in pairs(found) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local due = tonumber(key:match("^" .. DUE .. "(%d+)/")) or 0
    if due > now then
      -- Of a life before this one, perhaps: then no timer of its own knows it.
      clock.after(math.min(due - now, 60), "bot.ring")
      return
    end
    if store.delete(key) then
      local reminder = found[key]
      local message = xmpp.message(reminder.to, "You wanted to be reminded: " .. reminder.text)
      message:attr("type", "chat")
      message:attr("from", reminder.from)
      mark(message)
      send(message)
    end
  end
  if #keys == AT_ONCE then
    clock.after(0.1, "bot.ring")
  end
end

-- Serving ----------------------------------------------------------------------------------------------------------------

local function help(self)
  local names = {}
  for name in pairs(self.commands) do
    names[#names + 1] = name
  end
  table.sort(names)
  local lines = { self.greeting }
  for _, name in ipairs(names) do
    lines[#lines + 1] = ("  %s: %s"):format(name, self.commands[name][1])
  end
  return table.concat(lines, "\n")
end

local function check(self)
  for name, command in pairs(self.commands) do
    local right = type(command) == "table" and type(command[1]) == "string" and type(command[2]) == "function"
    if not right or name ~= name:lower() or name:find("%s") then
      error(("command %q: write commands.name = { \"what it does\", function(args, message, memory) ... end }, the name in small letters"):format(name), 0)
    end
  end
  for number, rule in ipairs(self.rules) do
    local kind = type(rule[2])
    if type(rule[1]) ~= "string" or kind ~= "string" and kind ~= "function" or not pcall(string.match, "", rule[1]) then
      error(("rule %d: write { \"pattern\", \"answer\" } or { \"pattern\", function(found, message, memory) ... end }"):format(number), 0)
    end
  end
end

local FIELDS = {
  address = true, commands = true, rules = true, fallback = true, greeting = true, status = true, keep = true, per_minute = true,
}

-- Puts a bot to work: `address`, `commands` (by name: what it does, function), `rules` (in order: pattern, answer or
-- function). Optional: `fallback` (answer or function when nothing fits), `greeting` (the first line of help), `status` (its
-- presence), `keep` (seconds, 30 days), `per_minute` (20). Gives a function for selftests: see bot.try.
function bot.serve(options)
  for field in pairs(options) do
    if not FIELDS[field] then
      error(("bot.serve knows no %q"):format(tostring(field)), 2)
    end
  end
  local address = jid.new(options.address or "")
  local self = {
    address = address and address:bare() or error("bot.serve: address is no address", 2),
    commands = options.commands or {},
    rules = options.rules or {},
    fallback = options.fallback or "I do not understand. Say help.",
    greeting = options.greeting or ("I am %s. You can say"):format(options.address),
    status = options.status or "Say help.",
    keep = options.keep or 30 * 86400,
    per_minute = options.per_minute or 20,
  }
  self.commands.help = self.commands.help or { "shows this", function()
    return help(self)
  end }
  check(self)
  if not xmpp.valid_domain(address:domain()) then
    log.info("bot:", self.address, "is at no domain of this server, so it has nothing to do")
    return self
  end
  xmpp.registerModule("bot", {
    filters = { route = { kind = "message", to = self.address }, subscription_recv = { to = self.address, priority = 10 } },
    route = function(_, message)
      return handle(self, message)
    end,
    subscription_recv = function(_, asked)
      return attendant.answer(asked, true, self.status)
    end,
    initial_presence = function(session)
      attendant.greet(session, self.address, self.status)
    end,
    ring = ring,
    init = function()
      timer.after(1, "bot.ring")
      timer.every(60, "bot.ring")
      return true
    end,
  })
  return self
end

-- Tests ------------------------------------------------------------------------------------------------------------------

local function fake_store()
  local kept = {}
  return {
    get = function(key) return kept[key] end,
    set = function(key, value) kept[key] = value end,
    incr = function() return 1 end,
  }
end

-- What a conversation with the bot gives, for selftests: one answer for each text, the text of the last one. Its memory
-- begins empty, and nothing of it stays.
function bot.try(self, ...)
  local real_store, real_clock, real_senders = store, clock, senders
  store, clock, senders = fake_store(), { after = function() end }, {}
  script.sent()
  for _, text in ipairs { ... } do
    local message = xmpp.message(self.address, text)
    message:attr("type", "chat")
    message:attr("from", "tester@localhost/selftest")
    handle(self, message)
  end
  store, clock, senders = real_store, real_clock, real_senders
  local sent = script.sent()
  return sent[#sent] and sent[#sent]:body()
end

function bot.selftest()
  assert(distance("halp", "help") == 1 and distance("", "abc") == 3 and distance("note", "notes") == 1)
  assert(encode({ b = 1, a = { "x" } }, 0) == encode({ a = { "x" }, b = 1 }, 0) and encode(1, 0) ~= encode("1", 0))
  assert(fill("%1 and %2", { "a", "b" }) == "a and b" and match("my name is (%a+)", "My NAME is Eve")[1] == "eve")
  local function said(inside, kind)
    return is_said(xmpp.stanza(('<message type="%s" to="bot@localhost"><body>hi</body>%s</message>'):format(kind or "chat", inside)))
  end
  assert(said("") and said("", "normal") and said('<headers xmlns="' .. SHIM .. '"><header name="Urgency">high</header></headers>'))
  assert(not said("", "error") and not said("", "groupchat") and not said("", "headline"))
  assert(not said('<delay xmlns="urn:xmpp:delay"/>') and not said('<received xmlns="urn:xmpp:carbons:2"/>'))
  assert(not said('<no-store xmlns="urn:xmpp:hints"/>') and said('<store xmlns="urn:xmpp:hints"/>'))
  assert(not said('<headers xmlns="' .. SHIM .. '"><header name="Auto-Submitted">auto-replied</header></headers>'))
end

return bot
