-- msys.boot: the names that Momentum's operators know, made of this server's own.
--
-- It runs before every script, in the globals that all scripts see. The layer is frozen: what is new gets its name in
-- xmpp, xml, jid, log, kv, timer or script.

msys = {
  xmpp = require("msys.xmpp"),
  registerModule = xmpp.registerModule,
  sleep = timer.sleep,
}

print = log.info
