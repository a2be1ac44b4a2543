-- msys.xmpp: for scripts that begin, as Momentum's do, with
--
--   local xmpp = require("msys.xmpp")
--
-- CONT and DONE are Momentum's words for xmpp.NEXT and xmpp.DONE; everything else is the table `xmpp` itself.

return setmetatable({ CONT = xmpp.NEXT, DONE = xmpp.DONE }, { __index = xmpp })
