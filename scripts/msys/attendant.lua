-- msys.attendant: presence of an address that is no user's, such as a bot's or a list's (RFC 6121, 3 and 4).

local attendant = {}

-- How an address that has no session calls the one that it is always there with.
local RESOURCE = "/here"

local function send(from, to, kind, status)
  local stanza = xml.newnode("presence")
  stanza:attr("from", from)
  stanza:attr("to", to)
  stanza:attr("type", kind)
  if status then
    stanza:addchild("status"):contents(status)
  end
  local sent, reason = xmpp.routeStanza(stanza)
  if not sent then
    log.warn("attendant: not sent:", reason)
  end
end

-- Answers a subscription or a probe: who is `welcome` is let in and sees the address available, with that status.
function attendant.answer(asked, welcome, status)
  local kind, address, who = asked:type(), asked:to():bare(), asked:from():bare()
  if kind == "unsubscribe" or not welcome and (kind == "subscribe" or kind == "probe") then
    send(address, who, "unsubscribed")
  elseif kind == "subscribe" or kind == "probe" then
    if kind == "subscribe" then
      send(address, who, "subscribed")
    end
    send(address .. RESOURCE, who, nil, status)
  end
  return xmpp.DONE
end

-- Shows the address to a session that has become available, if its user has it as a contact and may see it.
function attendant.greet(session, address, status)
  local item = roster.get(session:jid():bare(), address)
  if item and (item.subscription == "both" or item.subscription:find("^to")) then
    send(address .. RESOURCE, session:jid():get(), nil, status)
  end
end

return attendant
