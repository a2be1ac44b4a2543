-- Stand-alone chat states: "is typing", "has gone away" (XEP-0085), sent as messages without a body.
--
-- They are of use only to somebody who looks at the conversation now. So they are never kept for later, and nobody who
-- is not there gets them. A chat state beside a real body travels with it: only a message without a body is judged here.

local CHATSTATES = "http://jabber.org/protocol/chatstates"

-- What becomes of a stand-alone chat state:
--   "online"  it goes to users who are connected (and to other servers), and is dropped otherwise
--   "pass"    it goes wherever a message goes
--   "drop"    it goes nowhere
local policy = "online"

-- Whether the message says nothing but a chat state. XEP-0085 allows a thread beside it.
local function only_chatstate(message)
  local found = false
  for child in message:children() do
    if child:ns() == CHATSTATES then
      found = true
    elseif child:name() ~= "thread" then
      return false
    end
  end
  return found
end

local function reaches_somebody(to)
  return not xmpp.valid_domain(to:domain()) or xmpp.connected(to:bare())
end

local function client_message_recv(session, message)
  if policy == "pass" or not only_chatstate(message) then
    return
  end
  local to = message:to()
  if policy == "drop" or not to or not reaches_somebody(to) then
    return xmpp.DROP
  end
end

xmpp.registerModule("chatstates", {
  -- What somebody says is not asked about here.
  filters = { client_message_recv = { body = false } },
  client_message_recv = client_message_recv,
})

function selftest()
  local function verdict(inside)
    return client_message_recv(nil, xmpp.stanza('<message to="bob@localhost" type="chat">' .. inside .. "</message>"))
  end
  local typing = '<composing xmlns="' .. CHATSTATES .. '"/>'
  assert(verdict(typing .. "<body>hi</body>") == nil, "a body was judged")
  assert(verdict("<subject>news</subject>") == nil, "something else was judged")
  assert(policy ~= "online" or verdict(typing) == xmpp.DROP, "a state for nobody was not dropped")
  assert(policy ~= "online" or verdict("<thread>1</thread>" .. typing) == xmpp.DROP, "a thread hid a state")
  return true
end
