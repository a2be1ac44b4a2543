-- Lists: a message to one address goes to many. Save this file, and the next message to a list obeys it.
--
-- A list has `members`, users or other lists; each gets a message once, and those who are away get it when they come.
-- Who may write: the members, if nothing else is said. What else there is to say, and whom the copies come from: see
-- msys/fanout.lua.

local fanout = require("msys.fanout")

local lists = {
  -- Yours. For example:
  --
  --   ["team@localhost"] = { members = { "alice@localhost", "bob@localhost" } },
  --
  --   ["news@localhost"] = {
  --     members = { "team@localhost", "carol@localhost" },
  --     senders = { "alice@localhost" },
  --     prefix = "News: ",
  --     refusal = "Only Alice writes the news.",
  --   },
}

local served = fanout.serve(lists)

-- Runs at every save, before anybody sees the new file; if it fails, the old one stays. `fanout.try` sends a message and
-- says who would get it, and what:
--
--   assert(fanout.try(served, "bob@localhost/pc", "team@localhost", "hi") == "alice@localhost")
function selftest()
  fanout.selftest()
  return true
end
