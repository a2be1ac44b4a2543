//! Stanzas: a snapshot that a handler may change while its hook lasts, and read for ever.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use mlua::{Error as LuaError, Lua, UserData, UserDataMethods, Value};

use crate::hook::Point;
use crate::script::sandbox::Held;
use crate::script::verdict::condition;
#[cfg(test)]
use crate::script::{FunctionDoc, ModuleDoc};
use crate::stanza::{Stanza, StanzaError};
use crate::xml::{CLIENT_NS, Element};

use super::jid::{JidArg, LuaJid};
use super::node::{AsNode, LuaNode, add_node_methods, named};
use super::xml::parsed;

/// The class.
#[cfg(test)]
pub(in crate::script) const DOC: ModuleDoc = ModuleDoc {
    name: "stanza: xmlnode",
    doc: "A message, presence or iq: an XML node with more methods. The stanza of a hook can be changed until the hook ends, then it can only be read.",
    functions: &[
        FunctionDoc {
            name: ":kind",
            args: &[],
            returns: "\"message\"|\"presence\"|\"iq\"",
            doc: "What it is.",
        },
        FunctionDoc {
            name: ":type",
            args: &[],
            returns: "string",
            doc: "Its type; \"\" where it has none, \"normal\" for a message.",
        },
        FunctionDoc {
            name: ":id",
            args: &[],
            returns: "string?",
            doc: "Its id.",
        },
        FunctionDoc {
            name: ":from",
            args: &[],
            returns: "jid?",
            doc: "Its sender, as the server has proved it.",
        },
        FunctionDoc {
            name: ":to",
            args: &[("jid?", "jid|string")],
            returns: "jid?",
            doc: "Its addressee; with an argument it is changed, in the hook `route` and in stanzas of your own.",
        },
        FunctionDoc {
            name: ":body",
            args: &[("text?", "string")],
            returns: "string?",
            doc: "The text of a message; with an argument it is replaced.",
        },
        FunctionDoc {
            name: ":reply",
            args: &[("text?", "string")],
            returns: "stanza",
            doc: "A new stanza to its sender: a message (with that body), or an iq's result.",
        },
        FunctionDoc {
            name: ":error",
            args: &[("condition", "condition"), ("text?", "string")],
            returns: "stanza?",
            doc: "The error that answers it; nil where there must be none. Not sent: `xmpp.routeStanza` does that, or return `xmpp.reject`.",
        },
    ],
};

/// What may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Its hook is over.
    ReadOnly,
    /// All but `from`, and `to` only where the hook allows it.
    Hook { to: bool },
    /// A script has made it.
    Own,
}

struct Inner {
    stanza: Stanza,
    access: Access,
    version: u32,
    held: Held,
}

/// A stanza in Lua.
#[derive(Clone)]
pub(in crate::script) struct LuaStanza(Rc<RefCell<Inner>>);

impl LuaStanza {
    fn new(stanza: Stanza, access: Access) -> LuaStanza {
        LuaStanza(Rc::new(RefCell::new(Inner {
            stanza,
            access,
            version: 0,
            held: Held::default(),
        })))
    }

    /// The stanza of the hook `point`.
    pub(in crate::script) fn writable(stanza: Stanza, point: Point) -> LuaStanza {
        LuaStanza::new(
            stanza,
            Access::Hook {
                to: point == Point::Route,
            },
        )
    }

    /// A stanza that was handled elsewhere.
    pub(in crate::script) fn read_only(stanza: Stanza) -> LuaStanza {
        LuaStanza::new(stanza, Access::ReadOnly)
    }

    /// A stanza of a script's own.
    pub(in crate::script) fn own(stanza: Stanza) -> LuaStanza {
        LuaStanza::new(stanza, Access::Own)
    }

    /// What it is now.
    pub(in crate::script) fn snapshot(&self) -> Stanza {
        self.0.borrow().stanza.clone()
    }

    /// Ends its hook: what the handlers left, and from here on they can only read.
    pub(in crate::script) fn close(&self) -> Stanza {
        let mut inner = self.0.borrow_mut();
        inner.access = Access::ReadOnly;
        inner.stanza.clone()
    }

    /// Counts it as memory of the script that gets it, which may keep it.
    pub(in crate::script) fn charged_to(self, lua: &Lua) -> mlua::Result<LuaStanza> {
        let size = self.look().size();
        self.held(|held| match held.is_empty() {
            true => held.grow(lua, size),
            false => Ok(()),
        })?;
        Ok(self)
    }

    /// Accounts for what is about to be added, and for what has gone.
    pub(super) fn held<T>(&self, change: impl FnOnce(&mut Held) -> T) -> T {
        change(&mut self.0.borrow_mut().held)
    }

    pub(super) fn version(&self) -> u32 {
        self.0.borrow().version
    }

    pub(super) fn outdate(&self) {
        let mut inner = self.0.borrow_mut();
        inner.version = inner.version.wrapping_add(1);
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Element) -> T) -> mlua::Result<T> {
        let inner = self.0.borrow();
        Ok(look(inner.stanza.element().map_err(LuaError::external)?))
    }

    pub(super) fn write<T>(&self, change: impl FnOnce(&mut Element) -> T) -> mlua::Result<T> {
        self.check_open()?;
        let mut inner = self.0.borrow_mut();
        let mut out = None;
        let edited = inner.stanza.edit(|element| out = Some(change(element)));
        edited
            .map_err(|error| LuaError::runtime(format!("then it would be no stanza: {error}")))?;
        out.ok_or_else(|| LuaError::runtime("the stanza cannot be changed"))
    }

    /// Whether the attribute `key` of the stanza itself may be set.
    pub(super) fn may_set(&self, key: &str) -> mlua::Result<()> {
        self.check_open()?;
        match (key, self.0.borrow().access) {
            ("from", Access::Hook { .. }) => Err(LuaError::runtime(
                "from is what the stream has proved: it cannot be changed",
            )),
            ("to", Access::Hook { to: false }) => Err(LuaError::runtime(
                "to can be changed only in the hook \"route\"; here send another stanza with xmpp.routeStanza",
            )),
            _ => Ok(()),
        }
    }

    fn check_open(&self) -> mlua::Result<()> {
        match self.0.borrow().access {
            Access::ReadOnly => Err(LuaError::runtime(
                "the stanza's hook is over: it can only be read",
            )),
            Access::Hook { .. } | Access::Own => Ok(()),
        }
    }

    /// A look at what it is now.
    pub(in crate::script) fn look(&self) -> Ref<'_, Stanza> {
        Ref::map(self.0.borrow(), |inner| &inner.stanza)
    }

    fn set_to(&self, to: JidArg) -> mlua::Result<()> {
        self.may_set("to")?;
        self.0.borrow_mut().stanza.set_to(Some(to.0));
        Ok(())
    }

    fn set_body(&self, lua: &Lua, text: &str) -> mlua::Result<()> {
        let before = self.look().body().map_or(0, |body| body.len());
        self.held(|held| held.grow(lua, text.len()))?;
        self.held(|held| held.shrink(before));
        self.write(|element| set_body(element, text))
    }
}

/// Gives a message that text, in the place of the body it may have.
fn set_body(message: &mut Element, text: &str) {
    let ns = message.ns().to_owned();
    match message.child_mut("body", &ns) {
        Some(body) => body.set_text(text),
        None => message.push(Element::new("body", &ns).with_text(text)),
    }
}

/// A stanza from a node that a script has built.
pub(in crate::script) fn stanza_from(element: Element) -> mlua::Result<Stanza> {
    Stanza::from_element(element)
        .map_err(|error| LuaError::runtime(format!("this is no stanza: {error}")))
}

impl AsNode for LuaStanza {
    fn node(&self) -> LuaNode {
        LuaNode::of_stanza(self)
    }
}

impl UserData for LuaStanza {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        add_node_methods(methods);
        methods.add_method("kind", |_, this, ()| Ok(this.look().kind().name()));
        methods.add_method("type", |_, this, ()| {
            let stanza = this.look();
            let given = stanza.type_();
            let plain_message = given.is_empty() && stanza.kind().name() == "message";
            Ok(if plain_message {
                "normal".to_owned()
            } else {
                given.to_owned()
            })
        });
        methods.add_method("id", |_, this, ()| Ok(this.look().id().map(str::to_owned)));
        methods.add_method("from", |_, this, ()| {
            Ok(this.look().from().cloned().map(LuaJid))
        });
        methods.add_method("to", |_, this, to: Option<JidArg>| {
            if let Some(to) = to {
                this.set_to(to)?;
            }
            Ok(this.look().to().cloned().map(LuaJid))
        });
        methods.add_method("body", |lua, this, text: Option<String>| {
            if let Some(text) = text {
                this.set_body(lua, &text)?;
            }
            let body = this.look().body().map(|body| lua.create_string(&*body));
            body.transpose()
        });
        methods.add_method("reply", |lua, this, text: Option<String>| {
            let mut reply = this.look().reply();
            if reply.from().is_none() {
                // What came without `to` was for the sender's own account, which answers (RFC 6120 §10.3).
                let account = reply.to().map(crate::jid::Jid::to_bare);
                reply.set_from(account);
            }
            let reply = LuaStanza::own(reply).charged_to(lua)?;
            if let Some(text) = text {
                reply.set_body(lua, &text)?;
            }
            Ok(reply)
        });
        methods.add_method(
            "error",
            |lua, this, (name, text): (String, Option<String>)| {
                let error = stanza_error(&name, text)?;
                let answer = this.look().error(&error).map(LuaStanza::own);
                answer.map(|answer| answer.charged_to(lua)).transpose()
            },
        );
    }
}

/// A stanza error that a script has named.
pub(super) fn stanza_error(name: &str, text: Option<String>) -> mlua::Result<StanzaError> {
    let error = StanzaError::new(condition(name)?);
    Ok(match text {
        Some(text) => error.with_text(text),
        None => error,
    })
}

/// `xmpp.message(to, body)`.
pub(super) fn message(to: &JidArg, body: &str) -> mlua::Result<LuaStanza> {
    let mut element = named("message", CLIENT_NS)?.with_attr("to", to.0.as_str());
    set_body(&mut element, body);
    Ok(LuaStanza::own(stanza_from(element)?))
}

/// A stanza that a script makes: from XML, from a node, or a copy of another.
pub(super) fn own_stanza(lua: &Lua, what: &Value) -> mlua::Result<Stanza> {
    match what {
        Value::String(text) => stanza_from(parsed(lua, text)?.map_err(LuaError::runtime)?),
        Value::UserData(data) => match data.borrow::<LuaStanza>() {
            Ok(stanza) => Ok(stanza.snapshot()),
            Err(_) => stanza_from(data.borrow::<LuaNode>()?.element()?),
        },
        other => Err(LuaError::runtime(format!(
            "a stanza is made of XML, a node or a stanza, not of a {}",
            other.type_name()
        ))),
    }
}
