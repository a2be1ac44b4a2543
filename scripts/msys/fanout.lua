-- msys.fanout: an address that passes its messages on to many.
--
-- A message to the list goes to every member once: to those who are there, and into the spool for those who are away. Its
-- content is written once and shared; each copy has a start tag of its own only.
--
-- It comes *from the list*. `from` is what a server has proved, and what this server has proved to a member's client or
-- server is the list, not the writer, who may be of another server. So an answer goes to the list, an error too (where it
-- ends), and whoever blocks the list is rid of it. Who wrote it says XEP-0033: address type `ofrom`, which no writer can
-- forge because the list takes out what was there; and, for clients that show neither, the prefix of the body.
--
-- Storms end here: errors, receipts and chat states to the list go nowhere; each list puts its List-Id (RFC 2919, in the
-- headers of XEP-0131) on what it sends, a list does not take what it has sent before, and none takes what came over four
-- lists already. A member that is a list of the same table is replaced by its members when the file is read, so lists may
-- name each other, even in circles.

local attendant = require("msys.attendant")

local fanout = {}

local MAX_MEMBERS = 10000 -- of a list, with those of the lists in it: what xmpp.fanout takes
local MAX_LISTS = 4 -- lists that a message may come over

local SHIM = "http://jabber.org/protocol/shim"
local ADDRESS = "http://jabber.org/protocol/address"

-- What is between the writer and the server, or would have every member answer, is not for the members.
local PRIVATE = {
  [ADDRESS] = true,
  ["http://jabber.org/protocol/nick"] = true,
  ["urn:xmpp:receipts"] = true,
  ["urn:xmpp:chat-markers:0"] = true,
  ["http://jabber.org/protocol/chatstates"] = true,
  ["urn:xmpp:delay"] = true,
  ["urn:xmpp:sid:0"] = true,
}

-- Reading ----------------------------------------------------------------------------------------------------------------

local function bare(text, where)
  local address = type(text) == "string" and text:find("@", 1, true) and jid.new(text)
  if not address then
    error(("%s: %s is no address of a user or list"):format(where, tostring(text)), 0)
  end
  return address:bare()
end

-- Adds the members of `list` to `found`, those of lists in it in their place.
local function expand(lists, name, found, seen)
  if seen[name] then
    return
  end
  seen[name] = true
  for _, member in ipairs(lists[name].members) do
    if lists[member] then
      expand(lists, member, found, seen)
    elseif not found.has[member] then
      found.has[member] = true
      found[#found + 1] = jid.new(member)
    end
  end
end

local function members(lists, name)
  local found = { has = {} }
  expand(lists, name, found, {})
  if #found > MAX_MEMBERS then
    error(("list %s has more than %d members"):format(name, MAX_MEMBERS), 0)
  end
  return found
end

local FIELDS = { members = "table", senders = true, prefix = true, subject = "string", echo = "boolean", refusal = "string" }

-- Checks one list and brings its addresses into their one form.
local function read(name, given)
  for field, value in pairs(given) do
    local wanted = FIELDS[field]
    if not wanted or wanted ~= true and type(value) ~= wanted then
      error(("list %s: %s = %s is not understood"):format(name, tostring(field), tostring(value)), 0)
    end
  end
  local list = { prefix = given.prefix == nil and "%s: " or given.prefix, members = {} }
  for index, member in ipairs(given.members or {}) do
    list.members[index] = bare(member, "list " .. name)
  end
  list.subject, list.echo, list.refusal = given.subject, given.echo, given.refusal
  list.senders = given.senders == nil and "members" or given.senders
  if type(list.senders) == "table" then
    local allowed = {}
    for index, sender in ipairs(list.senders) do
      allowed[index] = bare(sender, "senders of list " .. name)
    end
    list.senders = allowed
  elseif list.senders ~= "members" and list.senders ~= "anyone" and list.senders ~= "local" then
    error(("list %s: senders = %s, but it is \"members\", \"anyone\", \"local\" or a list of addresses"):format(name, tostring(list.senders)), 0)
  end
  return list
end

-- Whom the list lets write: a set of addresses, or a word.
local function senders(lists, list)
  if type(list.senders) ~= "table" then
    return list.senders == "members" and list.recipients.has or list.senders
  end
  local found = { has = {} }
  for _, sender in ipairs(list.senders) do
    if lists[sender] then
      expand(lists, sender, found, {})
    end
    found.has[sender] = true
  end
  return found.has
end

-- Reads a table of lists by address: `members` (addresses of users or lists), `senders` ("members", which is usual,
-- "anyone", "local" for the users of this server, or addresses of users or lists), `prefix` ("%s: ", where %s is the
-- writer's name; false for none), `subject` (for messages without one), `echo` (true: the writer gets it too), `refusal`
-- (what others are told who write to it).
function fanout.read(given)
  local lists = {}
  for name, list in pairs(given) do
    local address = bare(name, "lists")
    if not xmpp.valid_domain(jid.new(address):domain()) then
      error(("list %s: this server does not serve that domain"):format(name), 0)
    end
    lists[address] = read(address, list)
  end
  for name, list in pairs(lists) do
    list.name = name
    list.recipients = members(lists, name)
  end
  for _, list in pairs(lists) do
    list.allowed = senders(lists, list)
  end
  return lists
end

-- Passing on -------------------------------------------------------------------------------------------------------------

local function may_write(list, from)
  if list.allowed == "local" then
    return xmpp.valid_domain(from:domain())
  end
  return list.allowed == "anyone" or list.allowed[from:bare()] == true
end

-- How a list is called in List-Id: as an address, with a dot for the @.
local function list_id(name)
  return "<" .. name:gsub("@", ".", 1) .. ">"
end

-- Whether the message has come over this list before, or over too many.
local function is_looping(list, message)
  local headers, lists = message:child("headers", SHIM), 0
  for header in headers and headers:children() or function() end do
    if (header:attr("name") or ""):lower() == "list-id" then
      lists = lists + 1
      if header:contents() == list_id(list.name) then
        return true
      end
    end
  end
  return lists >= MAX_LISTS
end

-- The one message that all members get.
local function copy_for(list, message, from)
  local node = xml.newnode("message")
  node:attr("from", list.name)
  for _, key in ipairs { "type", "id", "xml:lang" } do
    node:attr(key, message:attr(key))
  end
  for child in message:children() do
    if not PRIVATE[child:ns()] then
      node:addchild(child)
    end
  end
  local writer = node:addchild("addresses", ADDRESS):addchild("address")
  writer:attr("type", "ofrom")
  writer:attr("jid", from:bare())
  local header = (node:child("headers", SHIM) or node:addchild("headers", SHIM)):addchild("header")
  header:attr("name", "List-Id")
  header:contents(list_id(list.name))
  if list.subject and not node:child("subject") then
    node:addchild("subject"):contents(list.subject)
  end
  local copy = xmpp.stanza(node)
  if list.prefix then
    local prefix = list.prefix:gsub("%%s", function()
      return from:user() or from:domain()
    end)
    copy:body(prefix .. message:body())
  end
  return copy
end

local function recipients(list, writer)
  if list.echo or not list.recipients.has[writer] then
    return list.recipients
  end
  local others = {}
  for _, member in ipairs(list.recipients) do
    if member:bare() ~= writer then
      others[#others + 1] = member
    end
  end
  return others
end

local function bounced(list, message)
  local reason = message:child("error")
  log.info(("fanout: %s does not reach %s"):format(list.name, tostring(message:from())), reason and tostring(reason) or "")
end

function fanout.handle(lists, message)
  local list, from = lists[message:to():bare()], message:from()
  if not list then
    return
  end
  local kind = message:type()
  if kind == "error" then
    bounced(list, message)
  end
  if kind == "error" or not message:body() or not from or is_looping(list, message) then
    return xmpp.DROP
  elseif kind == "groupchat" then
    return xmpp.reject("bad-request", list.name .. " is a list, no room.")
  elseif not may_write(list, from) then
    return xmpp.reject("forbidden", list.refusal or ("You may not write to %s."):format(list.name))
  end
  local sent, reason = xmpp.fanout(copy_for(list, message, from), recipients(list, from:bare()))
  if not sent then
    log.warn("fanout: not sent:", reason)
    return xmpp.reject("resource-constraint", "The server has too much to do. Try again later.")
  end
  return xmpp.DONE
end

-- Puts the lists to work.
function fanout.serve(given)
  local lists, names = fanout.read(given), {}
  for name in pairs(lists) do
    names[#names + 1] = name
  end
  local function greet(session)
    for _, contact in ipairs(roster.contacts(session:jid():bare()) or {}) do
      if lists[contact] then
        attendant.greet(session, contact)
      end
    end
  end
  xmpp.registerModule("fanout", {
    filters = { route = { kind = "message", to = names }, subscription_recv = { to = names, priority = 10 } },
    route = function(_, message)
      return fanout.handle(lists, message)
    end,
    -- Who may write to a list may have it as a contact.
    subscription_recv = function(_, asked)
      local list = lists[asked:to():bare()]
      return list and attendant.answer(asked, may_write(list, asked:from()))
    end,
    initial_presence = #names > 0 and greet or nil,
  })
  return lists
end

-- Tests ------------------------------------------------------------------------------------------------------------------

-- Who gets what `writer` sends to `list`, for selftests: addresses in order, and the text; nothing when nobody gets it.
function fanout.try(lists, writer, list, text)
  script.sent()
  local message = xmpp.message(list, text)
  message:attr("type", "chat")
  message:attr("from", writer)
  if fanout.handle(lists, message) ~= xmpp.DONE then
    return nil
  end
  local to, sent = {}, script.sent()
  for index, copy in ipairs(sent) do
    to[index] = copy:to():bare()
  end
  return table.concat(to, " "), sent[1] and sent[1]:body()
end

function fanout.selftest()
  local lists = fanout.read {
    ["a@localhost"] = { members = { "x@localhost", "b@localhost", "y@localhost" } },
    ["b@localhost"] = { members = { "y@localhost", "a@localhost", "z@localhost" }, senders = "anyone", prefix = false },
    ["c@localhost"] = { members = { "a@localhost" }, senders = { "b@localhost", "boss@localhost" }, echo = true, prefix = "[%s%] " },
    ["d@localhost"] = { members = { "X@LOCALHOST" }, senders = "local" },
  }
  local function passed(writer, list)
    local to, text = fanout.try(lists, writer, list, "hi")
    return to and to .. " | " .. tostring(text)
  end
  local function is(given, wanted)
    assert(given == wanted, ("%s, not %s"):format(tostring(given), tostring(wanted)))
  end
  is(passed("x@localhost/pc", "a@localhost"), "y@localhost z@localhost | x: hi")
  is(passed("eve@localhost", "a@localhost"), nil)
  is(passed("eve@example.org", "b@localhost"), "y@localhost x@localhost z@localhost | hi")
  is(passed("z@localhost", "c@localhost"), "x@localhost y@localhost z@localhost | [z%] hi")
  is(passed("boss@localhost", "c@localhost"), "x@localhost y@localhost z@localhost | [boss%] hi")
  is(passed("eve@localhost", "d@localhost"), "x@localhost | eve: hi")
  is(passed("eve@example.org", "d@localhost"), nil)
  local copy = copy_for(lists["b@localhost"], xmpp.stanza('<message to="b@localhost" type="chat" id="1"><body>hi</body></message>'), jid.new("x@localhost/pc"))
  assert(is_looping(lists["b@localhost"], copy) and not is_looping(lists["a@localhost"], copy))
  assert(not pcall(fanout.read, { ["a@localhost"] = { membres = {} } }) and not pcall(fanout.read, { a = {} }))
  assert(not pcall(fanout.read, { ["a@localhost"] = { members = { "x" } } }))
  assert(not pcall(fanout.read, { ["a@localhost"] = { senders = "nobody" } }))
end

return fanout
