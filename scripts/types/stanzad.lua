---@meta
-- What scripts can call, for editors with the Lua language server. Made by `UPDATE_GENERATED=1 cargo test --lib script::manual`.

---@alias hookname "session_bound"|"session_closed"|"client_message_recv"|"client_presence_recv"|"client_iq_recv"|"component_message_recv"|"component_presence_recv"|"component_iq_recv"|"initial_presence"|"subsequent_presence"|"unavailable_presence"|"route"|"subscription_recv"|"deliver"
---@alias condition "bad-request"|"conflict"|"feature-not-implemented"|"forbidden"|"gone"|"internal-server-error"|"item-not-found"|"jid-malformed"|"not-acceptable"|"not-allowed"|"not-authorized"|"policy-violation"|"recipient-unavailable"|"redirect"|"registration-required"|"remote-server-not-found"|"remote-server-timeout"|"resource-constraint"|"service-unavailable"|"subscription-required"|"undefined-condition"|"unexpected-request"
---@alias verdict nil|"next"|"done"|"drop"|rejection

---@class rejection
---@class hookoptions
---@field priority? integer Higher runs first inside a band; 0 is usual.
---@field band? "early"|"late" Before the server's own services, which is usual, or after them.
---@field kind? "message"|"presence"|"iq" Only stanzas of this kind: for `route` and `deliver`, which see all three.
---@field type? string|string[] Only stanzas of this type, or one of these, as it is written. A message without one is `normal`, such a presence `available`.
---@field payload? string Only stanzas whose first child element is in this namespace.
---@field to? string|string[] Only stanzas to this address, or one of these, or their resources: NAME stands for NAME at every domain of this server, NAME@DOMAIN for itself. An empty list: none at all.
---@field body? boolean true: only stanzas with a body; false: only those without.

---Who sent a stanza. `sess.vars` keeps plain data with the session, across stanzas and generations; what it gives is a copy, so assign again what you change.
---@class session
---@field vars table<string, any>
local session_class = {}

---What the stream has proved: a client's full address, a component's domain.
---@return jid
function session_class:jid() end

---The peer's network address and port.
---@return string?
function session_class:addr() end

---What kind of peer it is.
---@return "client"|"component"|"internal"
function session_class:kind() end

---What TLS has negotiated; nil without TLS.
---@return { version: string, cipher: string }?
function session_class:tls() end

---A message, presence or iq: an XML node with more methods. The stanza of a hook can be changed until the hook ends, then it can only be read.
---@class stanza: xmlnode
local stanza_class = {}

---What it is.
---@return "message"|"presence"|"iq"
function stanza_class:kind() end

---Its type; "" where it has none, "normal" for a message.
---@return string
function stanza_class:type() end

---Its id.
---@return string?
function stanza_class:id() end

---Its sender, as the server has proved it.
---@return jid?
function stanza_class:from() end

---Its addressee; with an argument it is changed, in the hook `route` and in stanzas of your own.
---@param jid? jid|string
---@return jid?
function stanza_class:to(jid) end

---The text of a message; with an argument it is replaced.
---@param text? string
---@return string?
function stanza_class:body(text) end

---A new stanza to its sender: a message (with that body), or an iq's result.
---@param text? string
---@return stanza
function stanza_class:reply(text) end

---The error that answers it; nil where there must be none. Not sent: `xmpp.routeStanza` does that, or return `xmpp.reject`.
---@param condition condition
---@param text? string
---@return stanza?
function stanza_class:error(condition, text) end

---An XML element, in a stanza or alone. `tostring` gives its XML.
---@class xmlnode
local xmlnode_class = {}

---Its name, without prefix.
---@return string
function xmlnode_class:name() end

---Its namespace.
---@return string
function xmlnode_class:ns() end

---An attribute; with a second argument it is set, or removed by nil.
---@param key string
---@param value? string?
---@return string?
function xmlnode_class:attr(key, value) end

---Its text, without that of its children; with an argument everything in it is replaced.
---@param text? string
---@return string
function xmlnode_class:contents(text) end

---The first child of that name, in any namespace or in this one.
---@param name string
---@param ns? string
---@return xmlnode?
function xmlnode_class:child(name, ns) end

---For `for child in node:children() do`: its child elements.
---@return fun(): xmlnode?
function xmlnode_class:children() end

---Adds a child of that name (in the parent's namespace, or this one), or a copy of a node.
---@param what string|xmlnode
---@param ns? string
---@return xmlnode
function xmlnode_class:addchild(what, ns) end

---Takes it out of its parent.
function xmlnode_class:unlink() end

---An address. `tostring` gives it whole; two are equal when they are the same address.
---@class jid
local jid_class = {}

---What stands before the @.
---@return string?
function jid_class:user() end

---The domain, internationalized ones in their A-label form.
---@return string
function jid_class:domain() end

---What stands behind the slash.
---@return string?
function jid_class:resource() end

---Without the resource.
---@return string
function jid_class:bare() end

---The whole address.
---@return string
function jid_class:get() end

---Verdicts, sending, who is there, conversations. The verdicts are `xmpp.NEXT` (not mine: go on), `xmpp.DONE` (handled), `xmpp.DROP` (throw it away), `xmpp.reject(...)`; to return nothing means next.
xmpp = {}

xmpp.NEXT = "next"
xmpp.DONE = "done"
xmpp.DROP = "drop"

---Puts the table's functions that are named like a hook on it, calls its `init`, `deinit` and `selftest` at their times, and knows the others as `name.function`.
---@param name string
---@param module table
function xmpp.registerModule(name, module) end

---While a script is loaded: service discovery announces this namespace for as long as the script is live.
---@param namespace string
function xmpp.feature(namespace) end

---While a script is loaded: streams announce this empty element after the login for as long as the script is live.
---@param name string
---@param namespace string
function xmpp.streamFeature(name, namespace) end

---The verdict that refuses a stanza: its sender gets this error.
---@param condition condition
---@param text? string
---@return verdict
function xmpp.reject(condition, text) end

---Parses a stanza and sends it. `from` must be at a domain of this server; left out, it is the server itself.
---@param xml string
---@return boolean
---@return string?
function xmpp:send(xml) end

---Sends a stanza. It is routed after the current one; false and the reason when it cannot be.
---@param stanza stanza|xmlnode
---@return boolean
---@return string?
function xmpp.routeStanza(stanza) end

---Sends one stanza to each of the addresses, at most 10,000. They are routed after the current one and share one body.
---@param stanza stanza|xmlnode
---@param to (jid|string)[]
---@return boolean
---@return string?
function xmpp.fanout(stanza, to) end

---A new message, not sent yet.
---@param to jid|string
---@param body string
---@return stanza
function xmpp.message(to, body) end

---A stanza of your own: from its XML, from a node, or a copy of another one. Not sent yet.
---@param what string|xmlnode|stanza
---@return stanza
function xmpp.stanza(what) end

---Whether that user (bare address) or that session (full address) is connected.
---@param jid jid|string
---@return boolean
function xmpp.connected(jid) end

---The user's presence; nil when there is none.
---@param jid jid|string
---@return { availability: boolean, show: string, status: string }?
function xmpp.online(jid) end

---Whether this server serves the domain.
---@param domain string
---@return boolean
function xmpp.valid_domain(domain) end

---Opens a conversation with the stanza's sender (or `"FROM"`, `"FROM TO"`) and returns the verdict done: `return xmpp.converse(...)`. The function gets this stanza and the data. With a registered name it goes on in the next generation; a bare function ends with its own.
---@param with stanza|string
---@param fn string|fun(stanza: stanza?, data: any)
---@param data? any
---@return verdict
function xmpp.converse(with, fn, data) end

---In a conversation: waits for the next message, 60 s or so long; nil when none came. If a new generation comes meanwhile, the function is started again with the next message and this data.
---@param seconds? number
---@param data? any
---@return stanza?
function xmpp.receive(seconds, data) end

---Runs a function beside this one; nobody waits for it. It ends with its generation, 60 s after the next at most.
---@param fn function
---@param ... any
function xmpp.spawn(fn, ...) end

---XML nodes of your own.
xml = {}

---An empty node, in the namespace of stanzas (jabber:client) or this one.
---@param name string
---@param ns? string
---@return xmlnode
function xml.newnode(name, ns) end

---The node that the text is; nil and the reason when it is none.
---@param text string
---@return xmlnode?
---@return string?
function xml.parse(text) end

---Addresses (RFC 7622).
jid = {}

---The address, in its one normal form; nil and the reason when it is none.
---@param text string
---@return jid?
---@return string?
function jid.new(text) end

---Lines in the server's log, with the script's name. Arguments are joined by spaces.
log = {}

---For whoever writes the script.
---@param ... any
function log.debug(...) end

---Worth knowing.
---@param ... any
function log.info(...) end

---Somebody should look at it.
---@param ... any
function log.warn(...) end

---Something does not work.
---@param ... any
function log.error(...) end

---Plain data in the store: the same for all workers, and for every generation. Each call waits for the store.
kv = {}

---The value, or nil.
---@param key string
---@return any
function kv.get(key) end

---Keeps plain data (nil, boolean, number, string, tables of these), for so many seconds or for good. It is on disk when this returns.
---@param key string
---@param value any
---@param seconds? number
function kv.set(key, value, seconds) end

---Whether there was something.
---@param key string
---@return boolean
function kv.delete(key) end

---Adds 1, or `by`, to an integer that starts at 0, in one step that no other worker can come between.
---@param key string
---@param by? integer
---@return integer
function kv.incr(key, by) end

---The entries whose key starts like this, 100 or `limit` of them, in the keys' order.
---@param prefix string
---@param limit? integer
---@return table<string, any>
function kv.list(prefix, limit) end

---Rosters and presence of this server's users. The engine loops, stores and pushes; what happens when is a script's business: `msys.xmpp.presence` ships. A subscription is written `none`, `to`, `from` or `both`, with `+out` (the owner asks), `+in` (the contact asks) and `+approved`. Calls that fail return nil and a condition for `xmpp.reject`.
roster = {}

---A state machine for subscriptions. For each of `subscribe`, `subscribed`, `unsubscribe`, `unsubscribed`: what a state becomes, where the stanza goes on (`pass`) and where it does not (`quiet`). What is not there stays as it is and goes nowhere.
---@param table table<string, { pass: table<string, string>?, quiet: table<string, string>? }>
---@return machine
function roster.machine(table) end

---A user of ours sends a subscription stanza: changes the user's roster and pushes the change.
---@param machine machine
---@param stanza stanza
---@return { before: string, after: string, passed: boolean }?
---@return condition?
function roster.sent(machine, stanza) end

---A subscription stanza has come for a user of ours: changes the user's roster, gives the stanza to the user's resources if it passes, and pushes the change.
---@param machine machine
---@param stanza stanza
---@return { before: string, after: string, passed: boolean }?
---@return condition?
function roster.received(machine, stanza) end

---A contact of that user's.
---@param owner jid|string
---@param contact jid|string
---@return { jid: string, name: string?, groups: string[], subscription: string }?
function roster.get(owner, contact) end

---The addresses in that user's roster, sorted.
---@param owner jid|string
---@return string[]
function roster.contacts(owner) end

---Reads the one item of a roster set and checks it (RFC 6121 §2.3.3).
---@param iq stanza
---@return { jid: string, name: string?, groups: string[], remove: boolean }?
---@return condition?
---@return string?
function roster.item(iq) end

---Puts a contact into a roster, or gives it another name and other groups, and pushes it. Its subscription stays.
---@param owner jid|string
---@param item { jid: string, name: string?, groups: string[]? }
---@return boolean?
---@return condition?
function roster.set(owner, item) end

---Removes a contact and pushes that; the subscription that it had.
---@param owner jid|string
---@param contact jid|string
---@return string?
---@return condition?
function roster.remove(owner, contact) end

---Answers a roster get with the roster, or with nothing if the client has this version, and pushes to that session from then on.
---@param iq stanza
---@return boolean?
---@return condition?
function roster.answer(iq) end

---Sends a session's presence to all who are subscribed to it; if it is unavailable, also to whom it has sent presence beside them. One call, however many they are.
---@param sess session
---@param presence stanza
---@return boolean?
---@return condition?
function roster.broadcast(sess, presence) end

---Shows a session the presence of its contacts and of its account's other resources.
---@param sess session
---@return boolean?
---@return condition?
function roster.probe(sess) end

---Gives a session the subscription requests that wait for its user.
---@param sess session
---@return boolean?
---@return condition?
function roster.requests(sess) end

---Sends the presence of each available resource of a user to somebody; how many there are.
---@param owner jid|string
---@param to jid|string
---@return integer
function roster.show(owner, to) end

---Tells somebody that each available resource of a user is unavailable; how many there are.
---@param owner jid|string
---@param to jid|string
---@return integer
function roster.hide(owner, to) end

---Time. A timer names a registered function (`script.register`, or `module.function` of a registered module) and has plain data, so it goes on in the next generation. Timers that `init` starts run on one worker and belong to their generation: the next one starts its own.
timer = {}

---Waits. In a hook the stream waits too, so sleep shortly or use `xmpp.spawn`.
---@param seconds number
function timer.sleep(seconds) end

---Calls the registered function once, with the data. Returns the timer's number.
---@param seconds number
---@param name string
---@param data? any
---@return integer
function timer.after(seconds, name, data) end

---Calls it again and again, every 0.1 s at most.
---@param seconds number
---@param name string
---@param data? any
---@return integer
function timer.every(seconds, name, data) end

---Stops a timer, of whichever worker.
---@param id integer
function timer.cancel(id) end

---A script about itself.
script = {}

---The number of the generation that this code belongs to; 0 in a selftest.
---@return integer
function script.generation() end

---Names a function for timers and conversations, which go on in the next generation with the function of that name.
---@param name string
---@param fn function
function script.register(name, fn) end

---A table that belongs to this run alone: of a hook, timer, conversation or spawned function. What is global is shared by runs that wait in between.
---@return table
function script.call() end

---Where a function is written: `file:line`.
---@param fn function
---@return string
function script.where(fn) end

---In a selftest: the stanzas that were sent since the last time this was called. Nothing leaves a selftest.
---@return stanza[]
function script.sent() end

---Puts a function on a hook point. `options` is its priority (higher runs first, 0 is usual), or a table of [hook options](#hook-options) such as `{ to = "bot", body = true }`.
---@param name hookname
---@param options integer|hookoptions
---@param fn function
function hook(name, options, fn) end

---The value of a module: a file of the script directory, a shipped one, or one of the tables here.
---@param name string
---@return any
function require(name) end

---Momentum's names (scripts/msys/boot.lua).
msys = { xmpp = { CONT = "next", DONE = "done" }, registerModule = xmpp.registerModule, sleep = timer.sleep }
