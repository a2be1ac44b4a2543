-- Roster and presence (RFC 6121): who is in whose list, who may see whom, and who hears when somebody comes and goes.
--
--   scriptlet "scriptlet" {
--     script "xmpp-presence" { source = "msys.xmpp.presence" }
--   }
--
-- Without this script the server routes messages and answers roster queries with service-unavailable. Every decision is
-- here; the engine loops, stores and pushes (module `roster`). Each function runs once per change, however many contacts
-- there are.

local ROSTER = "jabber:iq:roster"

-- Whether a contact's request is granted without asking the user. Inside a company, for example:
--
--   return jid.new(owner):domain() == jid.new(contact):domain()
local function grants(owner, contact)
  return false
end

-- Subscriptions ----------------------------------------------------------------------------------------------------------
--
-- RFC 6121, Appendix A. The states of one side: whether the owner sees the contact (to), is seen (from), or both; whether
-- its own request waits (+out) and the contact's (+in); whether a request that has not come yet is granted (+approved).
-- `pass`: the stanza goes on, and the state becomes this. `quiet`: the state becomes this, and nobody else hears.
-- What is not here changes nothing and goes nowhere.

-- A user of ours sends it to a contact (A.2).
local outbound = roster.machine {
  subscribe = {
    pass = {
      ["none"] = "none+out", ["none+out"] = "none+out", ["none+in"] = "none+out+in", ["none+out+in"] = "none+out+in",
      ["to"] = "to", ["to+in"] = "to+in", ["from"] = "from+out", ["from+out"] = "from+out", ["both"] = "both",
      ["none+approved"] = "none+out+approved", ["none+out+approved"] = "none+out+approved", ["to+approved"] = "to+approved",
    },
  },
  unsubscribe = {
    pass = {
      ["none"] = "none", ["none+out"] = "none", ["none+in"] = "none+in", ["none+out+in"] = "none+in",
      ["to"] = "none", ["to+in"] = "none+in", ["from"] = "from", ["from+out"] = "from", ["both"] = "from",
      ["none+approved"] = "none+approved", ["none+out+approved"] = "none+approved", ["to+approved"] = "none+approved",
    },
  },
  subscribed = {
    pass = {
      ["none+in"] = "from", ["none+out+in"] = "from+out", ["to+in"] = "both",
    },
    quiet = { -- ahead of the request (RFC 6121, 3.4)
      ["none"] = "none+approved", ["none+out"] = "none+out+approved", ["to"] = "to+approved",
    },
  },
  unsubscribed = {
    pass = {
      ["none+in"] = "none", ["none+out+in"] = "none+out", ["to+in"] = "to",
      ["from"] = "none", ["from+out"] = "none+out", ["both"] = "to",
    },
    quiet = {
      ["none+approved"] = "none", ["none+out+approved"] = "none+out", ["to+approved"] = "to",
    },
  },
}

-- It has come from a contact for a user of ours (A.3).
local inbound = roster.machine {
  subscribe = {
    pass = {
      ["none"] = "none+in", ["none+out"] = "none+out+in", ["to"] = "to+in",
    },
    quiet = { -- granted already: answered below
      ["none+approved"] = "from", ["none+out+approved"] = "from+out", ["to+approved"] = "both",
    },
  },
  unsubscribe = {
    pass = {
      ["none+in"] = "none", ["none+out+in"] = "none+out", ["to+in"] = "to",
      ["from"] = "none", ["from+out"] = "none+out", ["both"] = "to",
    },
  },
  subscribed = {
    pass = {
      ["none+out"] = "to", ["none+out+in"] = "to+in", ["from+out"] = "both", ["none+out+approved"] = "to+approved",
    },
  },
  unsubscribed = {
    pass = {
      ["none+out"] = "none", ["none+out+in"] = "none+in", ["to"] = "none", ["to+in"] = "none+in",
      ["from+out"] = "from", ["both"] = "from", ["none+out+approved"] = "none+approved", ["to+approved"] = "none+approved",
    },
  },
}

local function is_seen(state)
  return state:find("^from") ~= nil or state == "both"
end

local function presence(kind, from, to)
  local stanza = xmpp.stanza("<presence/>")
  stanza:attr("type", kind)
  stanza:attr("from", from)
  stanza:attr("to", to)
  return stanza
end

local function say(kind, from, to)
  xmpp.routeStanza(presence(kind, from, to))
end

local function send_subscription(session, stanza)
  local owner, contact = session:jid():bare(), stanza:to():bare()
  if owner == contact then
    return xmpp.DONE -- one always sees oneself
  end
  local change, condition = roster.sent(outbound, stanza)
  if not change then
    return xmpp.reject(condition)
  elseif not change.passed then
    return xmpp.DONE
  end
  -- These go out behind the stanza itself.
  if is_seen(change.after) and not is_seen(change.before) then
    roster.show(owner, contact)
  elseif is_seen(change.before) and not is_seen(change.after) then
    roster.hide(owner, contact)
  end
end

local function receive_subscription(stanza)
  local owner, contact, kind = stanza:to():bare(), stanza:from():bare(), stanza:type()
  if kind == "subscribe" and grants(owner, contact) then
    roster.sent(outbound, presence("subscribed", owner, contact)) -- as if the user had granted it ahead
  end
  local change = roster.received(inbound, stanza)
  if not change then
    return xmpp.DROP -- no such user, or no room: a stranger learns neither
  end
  if kind == "subscribe" and is_seen(change.after) then
    say("subscribed", owner, contact)
    roster.show(owner, contact)
  elseif is_seen(change.before) and not is_seen(change.after) then
    roster.hide(owner, contact)
  end
  return xmpp.DONE
end

-- Probes -----------------------------------------------------------------------------------------------------------------

local function answer_probe(probe)
  local owner, contact = probe:to():bare(), probe:from():bare()
  local item = owner ~= contact and roster.get(owner, contact)
  if owner == contact or item and is_seen(item.subscription) then
    if roster.show(owner, contact) == 0 then
      say("unavailable", owner, contact)
    end
  else
    say("unsubscribed", owner, contact)
  end
  return xmpp.DONE
end

local function subscription_recv(_, stanza)
  if stanza:type() == "probe" then
    return answer_probe(stanza)
  end
  return receive_subscription(stanza)
end

-- Presence ---------------------------------------------------------------------------------------------------------------

local function initial_presence(session, presence)
  roster.broadcast(session, presence)
  roster.probe(session)
  roster.requests(session)
end

local function changed_presence(session, presence)
  roster.broadcast(session, presence)
end

-- Rosters ----------------------------------------------------------------------------------------------------------------

local function remove(owner, contact)
  local before, condition = roster.remove(owner, contact)
  if not before then
    return xmpp.reject(condition)
  end
  -- RFC 6121, 2.5.2: nothing of the subscription stays at the other end.
  if is_seen(before) then
    roster.hide(owner, contact)
  end
  if before:find("^to") or before == "both" or before:find("+out", 1, true) then
    say("unsubscribe", owner, contact)
  end
  if is_seen(before) or before:find("+in", 1, true) then
    say("unsubscribed", owner, contact)
  end
end

local function set(owner, iq)
  local item, condition, text = roster.item(iq)
  if not item then
    return xmpp.reject(condition, text)
  elseif item.jid == owner then
    return xmpp.reject("not-allowed", "you are not your own contact")
  elseif item.remove then
    return remove(owner, item.jid)
  end
  local done, problem = roster.set(owner, item)
  if not done then
    return xmpp.reject(problem)
  end
end

local function client_iq_recv(session, iq)
  local owner, to = session:jid():bare(), iq:to()
  if to and to:get() ~= owner then
    return -- refused before any script (RFC 6121, 2.3.3), or another server's business
  end
  if iq:type() == "get" then
    local done, condition = roster.answer(iq)
    return done and xmpp.DONE or xmpp.reject(condition)
  elseif iq:type() == "set" then
    local refused = set(owner, iq)
    if refused then
      return refused
    end
    xmpp.routeStanza(iq:reply())
    return xmpp.DONE
  end
end

-- What clients look for before they use it.
xmpp.feature(ROSTER)
xmpp.streamFeature("ver", "urn:xmpp:features:rosterver")
xmpp.streamFeature("sub", "urn:xmpp:features:pre-approval")

xmpp.registerModule("presence", {
  filters = {
    client_presence_recv = { type = { "subscribe", "subscribed", "unsubscribe", "unsubscribed" } },
    client_iq_recv = { payload = ROSTER },
  },
  client_presence_recv = send_subscription,
  subscription_recv = subscription_recv,
  initial_presence = initial_presence,
  subsequent_presence = changed_presence,
  unavailable_presence = changed_presence,
  client_iq_recv = client_iq_recv,
})
