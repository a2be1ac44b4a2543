//! `roster`: rosters and presence. What is decided is the script's; loops, storage and pushes are `crate::roster`'s.

use std::sync::Arc;

use mlua::{
    Error as LuaError, Lua, MultiValue, Table, UserData, UserDataMethods, UserDataRef, Value,
};

use crate::jid::Jid;
use crate::roster::{
    Change, Changed, Event, Machine, RosterError, Rosters, Step, audience, contacts_presence,
};
use crate::script::hub::Hub;
use crate::script::{FunctionDoc, Module, ModuleDoc};
use crate::stanza::roster::{RosterItem, RosterSet, Subscription};
use crate::stanza::{Condition, Stanza};

use super::jid::JidArg;
use super::session::LuaSession;
use super::stanza::own_stanza;

const DOC: ModuleDoc = ModuleDoc {
    name: "roster",
    doc: "Rosters and presence of this server's users. The engine loops, stores and pushes; what happens when is a script's business: `msys.xmpp.presence` ships. A subscription is written `none`, `to`, `from` or `both`, with `+out` (the owner asks), `+in` (the contact asks) and `+approved`. Calls that fail return nil and a condition for `xmpp.reject`.",
    functions: &[
        FunctionDoc {
            name: ".machine",
            args: &[(
                "table",
                "table<string, { pass: table<string, string>?, quiet: table<string, string>? }>",
            )],
            returns: "machine",
            doc: "A state machine for subscriptions. For each of `subscribe`, `subscribed`, `unsubscribe`, `unsubscribed`: what a state becomes, where the stanza goes on (`pass`) and where it does not (`quiet`). What is not there stays as it is and goes nowhere.",
        },
        FunctionDoc {
            name: ".sent",
            args: &[("machine", "machine"), ("stanza", "stanza")],
            returns: "{ before: string, after: string, passed: boolean }?, condition?",
            doc: "A user of ours sends a subscription stanza: changes the user's roster and pushes the change.",
        },
        FunctionDoc {
            name: ".received",
            args: &[("machine", "machine"), ("stanza", "stanza")],
            returns: "{ before: string, after: string, passed: boolean }?, condition?",
            doc: "A subscription stanza has come for a user of ours: changes the user's roster, gives the stanza to the user's resources if it passes, and pushes the change.",
        },
        FunctionDoc {
            name: ".get",
            args: &[("owner", "jid|string"), ("contact", "jid|string")],
            returns: "{ jid: string, name: string?, groups: string[], subscription: string }?",
            doc: "A contact of that user's.",
        },
        FunctionDoc {
            name: ".contacts",
            args: &[("owner", "jid|string")],
            returns: "string[]",
            doc: "The addresses in that user's roster, sorted.",
        },
        FunctionDoc {
            name: ".item",
            args: &[("iq", "stanza")],
            returns: "{ jid: string, name: string?, groups: string[], remove: boolean }?, condition?, string?",
            doc: "Reads the one item of a roster set and checks it (RFC 6121 §2.3.3).",
        },
        FunctionDoc {
            name: ".set",
            args: &[
                ("owner", "jid|string"),
                ("item", "{ jid: string, name: string?, groups: string[]? }"),
            ],
            returns: "boolean?, condition?",
            doc: "Puts a contact into a roster, or gives it another name and other groups, and pushes it. Its subscription stays.",
        },
        FunctionDoc {
            name: ".remove",
            args: &[("owner", "jid|string"), ("contact", "jid|string")],
            returns: "string?, condition?",
            doc: "Removes a contact and pushes that; the subscription that it had.",
        },
        FunctionDoc {
            name: ".answer",
            args: &[("iq", "stanza")],
            returns: "boolean?, condition?",
            doc: "Answers a roster get with the roster, or with nothing if the client has this version, and pushes to that session from then on.",
        },
        FunctionDoc {
            name: ".broadcast",
            args: &[("sess", "session"), ("presence", "stanza")],
            returns: "boolean?, condition?",
            doc: "Sends a session's presence to all who are subscribed to it; if it is unavailable, also to whom it has sent presence beside them. One call, however many they are.",
        },
        FunctionDoc {
            name: ".probe",
            args: &[("sess", "session")],
            returns: "boolean?, condition?",
            doc: "Shows a session the presence of its contacts and of its account's other resources.",
        },
        FunctionDoc {
            name: ".requests",
            args: &[("sess", "session")],
            returns: "boolean?, condition?",
            doc: "Gives a session the subscription requests that wait for its user.",
        },
        FunctionDoc {
            name: ".show",
            args: &[("owner", "jid|string"), ("to", "jid|string")],
            returns: "integer",
            doc: "Sends the presence of each available resource of a user to somebody; how many there are.",
        },
        FunctionDoc {
            name: ".hide",
            args: &[("owner", "jid|string"), ("to", "jid|string")],
            returns: "integer",
            doc: "Tells somebody that each available resource of a user is unavailable; how many there are.",
        },
    ],
};

pub(super) struct RosterModule;

/// `roster.machine{...}`.
struct LuaMachine(Arc<Machine>);

impl UserData for LuaMachine {
    fn add_methods<M: UserDataMethods<Self>>(_: &mut M) {}
}

impl Module for RosterModule {
    fn doc(&self) -> &'static ModuleDoc {
        &DOC
    }

    fn install(&self, lua: &Lua, hub: &Hub) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        table.set("machine", lua.create_function(|_, table| machine(&table))?)?;
        install_subscriptions(lua, hub, &table)?;
        install_items(lua, hub, &table)?;
        install_presence(lua, hub, &table)?;
        Ok(table)
    }
}

fn install_subscriptions(lua: &Lua, hub: &Hub, table: &Table) -> mlua::Result<()> {
    for (name, inbound) in [("sent", false), ("received", true)] {
        let at = hub.clone();
        table.set(
            name,
            lua.create_async_function(
                move |lua, (machine, stanza): (UserDataRef<LuaMachine>, Value)| {
                    let (hub, machine) = (at.clone(), Arc::clone(&machine.0));
                    async move {
                        let stanza = own_stanza(&lua, &stanza)?;
                        let Some((owner, change)) = subscription(stanza, machine, inbound) else {
                            return refused(&lua, Condition::BadRequest);
                        };
                        match hub.rosters()?.change(&owner, change).await {
                            Ok(changed) => answer(&lua, told(&lua, &changed)?),
                            Err(error) => failed(&lua, &error),
                        }
                    }
                },
            )?,
        )?;
    }
    Ok(())
}

/// Whose roster a subscription stanza changes, and how.
fn subscription(stanza: Stanza, machine: Arc<Machine>, inbound: bool) -> Option<(Jid, Change)> {
    let event = Event::from_name(stanza.type_())?;
    let (from, to) = (stanza.from()?.to_bare(), stanza.to()?.to_bare());
    Some(if inbound {
        let change = Change::Received {
            stanza,
            contact: from,
            event,
            machine,
        };
        (to, change)
    } else {
        let change = Change::Sent {
            contact: to,
            event,
            machine,
        };
        (from, change)
    })
}

fn install_items(lua: &Lua, hub: &Hub, table: &Table) -> mlua::Result<()> {
    table.set("item", lua.create_function(item)?)?;
    let at = hub.clone();
    table.set(
        "get",
        lua.create_async_function(move |lua, (owner, contact): (JidArg, JidArg)| {
            let hub = at.clone();
            async move {
                let roster = hub.rosters()?.roster(&owner.0).await;
                let roster = roster.map_err(|error| failure(&error))?;
                let found = roster.get(contact.0.bare_str());
                found.map(|item| item_table(&lua, item)).transpose()
            }
        })?,
    )?;
    let at = hub.clone();
    table.set(
        "contacts",
        lua.create_async_function(move |_, owner: JidArg| {
            let hub = at.clone();
            async move {
                let roster = hub.rosters()?.roster(&owner.0).await;
                let roster = roster.map_err(|error| failure(&error))?;
                Ok(roster
                    .listed()
                    .map(|item| item.jid.to_string())
                    .collect::<Vec<_>>())
            }
        })?,
    )?;
    let at = hub.clone();
    table.set(
        "set",
        lua.create_async_function(move |lua, (owner, item): (JidArg, Table)| {
            let hub = at.clone();
            async move {
                let change = Change::Put {
                    jid: item.get::<JidArg>("jid")?.0,
                    name: item.get("name")?,
                    groups: item
                        .get::<Option<Vec<Box<str>>>>("groups")?
                        .unwrap_or_default()
                        .into(),
                };
                match hub.rosters()?.change(&owner.0, change).await {
                    Ok(_) => answer(&lua, true),
                    Err(error) => failed(&lua, &error),
                }
            }
        })?,
    )?;
    let at = hub.clone();
    table.set(
        "remove",
        lua.create_async_function(move |lua, (owner, contact): (JidArg, JidArg)| {
            let hub = at.clone();
            async move {
                let change = Change::Remove(contact.0);
                match hub.rosters()?.change(&owner.0, change).await {
                    Ok(changed) => answer(&lua, before(&changed).name()),
                    Err(error) => failed(&lua, &error),
                }
            }
        })?,
    )?;
    let at = hub.clone();
    table.set(
        "answer",
        lua.create_async_function(move |lua, iq: Value| {
            let hub = at.clone();
            async move {
                let request = own_stanza(&lua, &iq)?;
                let done = hub.rosters()?.answer(&request).await;
                settled(&lua, done)
            }
        })?,
    )
}

fn install_presence(lua: &Lua, hub: &Hub, table: &Table) -> mlua::Result<()> {
    let at = hub.clone();
    table.set(
        "broadcast",
        lua.create_async_function(
            move |lua, (session, presence): (UserDataRef<LuaSession>, Value)| {
                let (hub, peer) = (at.clone(), session.peer());
                async move {
                    let presence = own_stanza(&lua, &presence)?;
                    let rosters = hub.rosters()?;
                    let available = presence.type_().is_empty();
                    match audience(rosters.as_ref(), &peer, available).await {
                        Ok(to) => sent(&lua, &hub.fan_out(presence, to)),
                        Err(error) => failed(&lua, &error),
                    }
                }
            },
        )?,
    )?;
    let at = hub.clone();
    table.set(
        "probe",
        lua.create_async_function(move |lua, session: UserDataRef<LuaSession>| {
            let (hub, peer) = (at.clone(), session.peer());
            async move {
                let rosters = hub.rosters()?;
                match contacts_presence(rosters.as_ref(), &peer.jid).await {
                    Ok(shown) => sent(&lua, &hub.send_all(shown)),
                    Err(error) => failed(&lua, &error),
                }
            }
        })?,
    )?;
    let at = hub.clone();
    table.set(
        "requests",
        lua.create_async_function(move |lua, session: UserDataRef<LuaSession>| {
            let (hub, peer) = (at.clone(), session.peer());
            async move {
                match hub.rosters()?.requests(&peer.jid).await {
                    Ok(_) => answer(&lua, true),
                    Err(error) => failed(&lua, &error),
                }
            }
        })?,
    )?;
    for (name, available) in [("show", true), ("hide", false)] {
        let at = hub.clone();
        table.set(
            name,
            lua.create_function(move |_, (owner, to): (JidArg, JidArg)| {
                let shown = shown(at.rosters()?.as_ref(), &owner.0, &to.0, available);
                let count = shown.len();
                at.send_all(shown).map_err(LuaError::external)?;
                Ok(count)
            })?,
        )?;
    }
    Ok(())
}

/// The presence of each available resource of `owner`, or the news that it is not, for `to`.
fn shown(rosters: &dyn Rosters, owner: &Jid, to: &Jid, available: bool) -> Vec<Stanza> {
    let presences = rosters.presences(owner).into_iter();
    presences
        .map(|presence| {
            let mut shown = if available {
                presence
            } else {
                let mut gone = Stanza::presence("unavailable");
                gone.set_from(presence.from().cloned());
                gone
            };
            shown.set_to(Some(to.clone()));
            shown
        })
        .collect()
}

fn machine(table: &Table) -> mlua::Result<LuaMachine> {
    let mut machine = Machine::default();
    for row in table.pairs::<String, Table>() {
        let (name, rows) = row?;
        let event = Event::from_name(&name)
            .ok_or_else(|| LuaError::runtime(format!("no subscription stanza is a \"{name}\"")))?;
        for row in rows.pairs::<String, Table>() {
            let (way, states) = row?;
            let pass = match way.as_str() {
                "pass" => true,
                "quiet" => false,
                other => {
                    return Err(LuaError::runtime(format!(
                        "{name}.{other}: write \"pass\" or \"quiet\""
                    )));
                }
            };
            for row in states.pairs::<String, String>() {
                let (before, after) = row?;
                let step = Step {
                    after: state(&after)?,
                    pass,
                };
                machine.set(event, state(&before)?, step);
            }
        }
    }
    Ok(LuaMachine(Arc::new(machine)))
}

fn state(name: &str) -> mlua::Result<Subscription> {
    Subscription::from_name(name).ok_or_else(|| {
        let all: Vec<_> = Subscription::ALL
            .into_iter()
            .map(Subscription::name)
            .collect();
        LuaError::runtime(format!(
            "\"{name}\" is no state of a subscription: they are {}",
            all.join(", ")
        ))
    })
}

fn item(lua: &Lua, iq: Value) -> mlua::Result<MultiValue> {
    let iq = own_stanza(lua, &iq)?;
    let Some(query) = iq.payload() else {
        return refused(lua, Condition::BadRequest);
    };
    match RosterItem::from_set(query) {
        Ok(RosterSet::Put { jid, name, groups }) => {
            let table = lua.create_table()?;
            table.set("jid", jid.as_str())?;
            table.set("name", name)?;
            table.set("groups", groups.into_vec())?;
            table.set("remove", false)?;
            answer(lua, table)
        }
        Ok(RosterSet::Remove(jid)) => {
            let table = lua.create_table()?;
            table.set("jid", jid.as_str())?;
            table.set("groups", Vec::<String>::new())?;
            table.set("remove", true)?;
            answer(lua, table)
        }
        Err(error) => refused(lua, error.condition),
    }
}

fn item_table(lua: &Lua, item: &RosterItem) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("jid", item.jid.as_str())?;
    table.set("name", item.name.as_deref())?;
    let groups: Vec<&str> = item.groups.iter().map(AsRef::as_ref).collect();
    table.set("groups", groups)?;
    table.set("subscription", item.subscription.name())?;
    Ok(table)
}

fn before(changed: &Changed) -> Subscription {
    let before = changed.before.as_ref();
    before.map_or(Subscription::NONE, |item| item.subscription)
}

fn told(lua: &Lua, changed: &Changed) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("before", before(changed).name())?;
    table.set("after", changed.after.name())?;
    table.set("passed", changed.passed)?;
    Ok(table)
}

fn answer(lua: &Lua, value: impl mlua::IntoLua) -> mlua::Result<MultiValue> {
    Ok(MultiValue::from_iter([value.into_lua(lua)?]))
}

fn refused(lua: &Lua, condition: Condition) -> mlua::Result<MultiValue> {
    let name = lua.create_string(condition.name())?;
    Ok(MultiValue::from_iter([Value::Nil, Value::String(name)]))
}

fn settled(lua: &Lua, done: Result<(), RosterError>) -> mlua::Result<MultiValue> {
    match done {
        Ok(()) => answer(lua, true),
        Err(error) => failed(lua, &error),
    }
}

fn sent<E: std::error::Error>(lua: &Lua, sent: &Result<(), E>) -> mlua::Result<MultiValue> {
    match sent {
        Ok(()) => answer(lua, true),
        Err(_) => refused(lua, Condition::ResourceConstraint),
    }
}

/// What the peer can be told; what only the operator can do something about is an error of the script's call.
fn failed(lua: &Lua, error: &RosterError) -> mlua::Result<MultiValue> {
    match error {
        RosterError::NoUser | RosterError::NoItem => refused(lua, Condition::ItemNotFound),
        RosterError::Full => refused(lua, Condition::ResourceConstraint),
        RosterError::Store(_) | RosterError::Gone => Err(failure(error)),
    }
}

fn failure(error: &RosterError) -> LuaError {
    LuaError::runtime(format!("roster: {error}"))
}
