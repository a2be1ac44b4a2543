-- The dialplan: what this server answers by itself. Save this file, and the next message obeys it.
--
-- An extension is the name in NAME@DOMAIN. Its function gets the context, the name and the message; `app` does things
-- with the message (answer, say, forward, reject, drop, store ...: see msys/dialplan.lua). A text in place of a function is the
-- answer. A name that is not here is a user's: the message goes to that user.

local dialplan = require("msys.dialplan")

extensions = {
  default = {
    include = { "services" },

    -- Yours. For example:
    --
    --   hours = "We are here from 9 to 17.",
    --
    --   support = function()
    --     app.forward("alice@localhost")
    --   end,
    --
    --   ["_room-XXX"] = function(context, name)
    --     app.answer("This is " .. name .. ".")
    --   end,
  },

  services = {
    -- Sends back what you write.
    echo = function(context, name, message)
      app.answer(message:body())
    end,

    -- Tells what you can write to, and which line of this file told it.
    help = function()
      app.answer(dialplan.help())
    end,
  },
}

dialplan.serve(extensions)

-- Runs at every save, before anybody sees the new file; if it fails, the old one stays. `dialplan.try` plays a message and
-- gives the answer, so that you can hold your own extensions to what they promise:
--
--   assert(dialplan.try("hours", "?"):find("9 to 17"), "hours does not say when")
function selftest()
  dialplan.selftest()
  return true
end
