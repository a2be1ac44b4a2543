-- The bot: a user that answers by itself. Save this file, and its next answer obeys it. Write "help" to bot@localhost.
--
-- A command is three lines: what it does, in help's words, and a function. Its args are the text behind its name, its
-- memory is a table of plain data for whoever writes. What it returns is the answer; see msys/bot.lua for all of it.
--
--   commands.dice = { "throws a dice", function(args, message, memory)
--     return "You threw " .. math.random(6)
--   end }

local bot = require("msys.bot")

-- Who the bot is. It needs no account; one that has this address would not get its messages.
local address = "bot@localhost"

local commands = {}

commands.note = { "note TEXT keeps a note, note shows them", function(args, message, memory)
  memory.notes = memory.notes or {}
  if args == "" then
    return #memory.notes > 0 and table.concat(memory.notes, "\n") or "You have no notes."
  end
  table.insert(memory.notes, args)
  return ("Noted. That makes %d."):format(#memory.notes)
end }

commands.remind = { "remind 10m TEXT tells you in 10 minutes (s, m, h, d)", bot.remind }

-- A function that returns a command's name behind its answer asks back: that command gets the next message.
commands.forget = { "forgets your notes and your name", function(args, message, memory)
  if args:lower() == "yes" then
    memory.notes, memory.name = nil, nil
    return "I have forgotten everything."
  elseif args == "" then
    return "Really? Say yes.", "forget"
  end
  return "Then I keep it."
end }

-- For everything that is no command, in this order: a pattern of Lua's, and an answer (%1 is what the first brackets have
-- caught) or a function. The text is tried as it is, then in small letters.
local rules = {
  { "[Mm]y name is ([%w-]+)", function(found, message, memory)
    memory.name = found[1]
    return ("Nice to meet you, %s."):format(memory.name)
  end },
  { "^h[aei]", function(found, message, memory)
    return ("Hello%s! Say help to see what I can do."):format(memory.name and ", " .. memory.name or "")
  end },
  { "thank", "You are welcome." },
}

local me = bot.serve { address = address, commands = commands, rules = rules }

-- Runs at every save, before anybody sees the new file; if it fails, the old one stays. `bot.try` holds a conversation
-- and gives the last answer:
--
--   assert(bot.try(me, "dice"):find("^You threw %d$"))
function selftest()
  bot.selftest()
  assert(bot.try(me, "help"):find("note TEXT", 1, true), "help does not help")
  assert(bot.try(me, "note milk", "NOTE bread", "note") == "milk\nbread", "a note is lost")
  assert(bot.try(me, "note milk", "forget", "no", "note") == "milk", "it forgot what it should not")
  assert(bot.try(me, "note milk", "forget", "yes", "note") == "You have no notes.", "it did not forget")
  assert(bot.try(me, "My name is Anna", "Hi") == "Hello, Anna! Say help to see what I can do.", "it forgot a name")
  assert(bot.try(me, "remind 5m tea") == "I will remind you in 5m.", "it reminds nobody")
  assert(bot.try(me, "nota") == "Did you mean note?", "it does not guess")
  return true
end
