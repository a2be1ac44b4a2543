//! The hook table: one row per point. Dispatch, `stanzactl hooks`, the Lua stubs and the manual are made from it.

/// A named point in a stanza's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Point {
    /// A client has bound its resource.
    SessionBound,
    /// A session has ended.
    SessionClosed,
    /// A client sent a message.
    ClientMessageRecv,
    /// A client sent presence.
    ClientPresenceRecv,
    /// A client sent an iq.
    ClientIqRecv,
    /// A component sent a message.
    ComponentMessageRecv,
    /// A component sent presence.
    ComponentPresenceRecv,
    /// A component sent an iq.
    ComponentIqRecv,
    /// A session has become available.
    InitialPresence,
    /// An available session has changed its presence.
    SubsequentPresence,
    /// An available session is so no longer.
    UnavailablePresence,
    /// A stanza is about to be routed.
    Route,
    /// A subscription or a probe has come for a local user.
    SubscriptionRecv,
    /// A stanza is about to be given to a local user.
    Deliver,
}

/// A row of the hook table.
pub struct PointInfo {
    /// The point.
    pub point: Point,
    /// Its name in scripts.
    pub name: &'static str,
    /// Its arguments in scripts, in order, as `name: type`.
    pub args: &'static [(&'static str, &'static str)],
    /// The verdicts that a handler may give.
    pub verdicts: &'static [&'static str],
    /// What happens when every handler says next.
    pub default: &'static str,
    /// The version that introduced it.
    pub since: &'static str,
    /// One line for the manual.
    pub doc: &'static str,
}

const ALL: &[&str] = &["next", "done", "drop", "reject"];
const SESSION: &[(&str, &str)] = &[("sess", "session")];
const STANZA: &[(&str, &str)] = &[("sess", "session"), ("stanza", "stanza")];

/// Every hook point, in [`Point`] order.
pub const POINTS: &[PointInfo] = &[
    PointInfo {
        point: Point::SessionBound,
        name: "session_bound",
        args: SESSION,
        verdicts: &["next"],
        default: "the session goes on",
        since: "0.1",
        doc: "A client has logged in and bound its resource; nothing was routed for it yet.",
    },
    PointInfo {
        point: Point::SessionClosed,
        name: "session_closed",
        args: SESSION,
        verdicts: &["next"],
        default: "nothing",
        since: "0.1",
        doc: "A session has ended; its resource is gone from the directory.",
    },
    PointInfo {
        point: Point::ClientMessageRecv,
        name: "client_message_recv",
        args: STANZA,
        verdicts: ALL,
        default: "the message is routed",
        since: "0.1",
        doc: "A client sent a message. `from` is stamped, `to` is checked.",
    },
    PointInfo {
        point: Point::ClientPresenceRecv,
        name: "client_presence_recv",
        args: STANZA,
        verdicts: ALL,
        default: "the presence takes effect and is routed",
        since: "0.1",
        doc: "A client sent presence, directed or not.",
    },
    PointInfo {
        point: Point::ClientIqRecv,
        name: "client_iq_recv",
        args: STANZA,
        verdicts: ALL,
        default: "the iq is routed; a request that nobody takes is answered service-unavailable",
        since: "0.1",
        doc: "A client sent an iq.",
    },
    PointInfo {
        point: Point::ComponentMessageRecv,
        name: "component_message_recv",
        args: STANZA,
        verdicts: ALL,
        default: "the message is routed",
        since: "0.1",
        doc: "A component sent a message. `from` is an address of its domain, `to` is there.",
    },
    PointInfo {
        point: Point::ComponentPresenceRecv,
        name: "component_presence_recv",
        args: STANZA,
        verdicts: ALL,
        default: "the presence is routed",
        since: "0.1",
        doc: "A component sent presence to somebody.",
    },
    PointInfo {
        point: Point::ComponentIqRecv,
        name: "component_iq_recv",
        args: STANZA,
        verdicts: ALL,
        default: "the iq is routed; a request that nobody takes is answered service-unavailable",
        since: "0.1",
        doc: "A component sent an iq.",
    },
    PointInfo {
        point: Point::InitialPresence,
        name: "initial_presence",
        args: STANZA,
        verdicts: &["next"],
        default: "nothing",
        since: "0.1",
        doc: "A session has become available, and its own account knows. `msys.xmpp.presence` tells the contacts.",
    },
    PointInfo {
        point: Point::SubsequentPresence,
        name: "subsequent_presence",
        args: STANZA,
        verdicts: &["next"],
        default: "nothing",
        since: "0.1",
        doc: "A session that was available has sent another presence.",
    },
    PointInfo {
        point: Point::UnavailablePresence,
        name: "unavailable_presence",
        args: STANZA,
        verdicts: &["next"],
        default: "nothing",
        since: "0.1",
        doc: "A session has said that it is unavailable, or has ended without a word. Comes too when it was never available but has sent presence to somebody.",
    },
    PointInfo {
        point: Point::Route,
        name: "route",
        args: STANZA,
        verdicts: ALL,
        default: "the stanza goes where its `to` says",
        since: "0.1",
        doc: "Any stanza, from a client, a component or a script, before its way is chosen. A handler may change `to`.",
    },
    PointInfo {
        point: Point::SubscriptionRecv,
        name: "subscription_recv",
        args: STANZA,
        verdicts: ALL,
        default: "a subscription goes to the user's available resources, a probe nowhere",
        since: "0.1",
        doc: "Presence of type subscribe, subscribed, unsubscribe, unsubscribed or probe for a local user.",
    },
    PointInfo {
        point: Point::Deliver,
        name: "deliver",
        args: STANZA,
        verdicts: ALL,
        default: "the stanza goes to the user's resources or into the spool",
        since: "0.1",
        doc: "A stanza for a local user, once per recipient.",
    },
];

impl Point {
    /// How many points there are.
    pub const COUNT: usize = POINTS.len();

    /// The point's row.
    #[must_use]
    pub fn info(self) -> &'static PointInfo {
        &POINTS[self as usize]
    }

    /// The name that scripts use.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The point of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Point> {
        POINTS
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_point_order() {
        for (index, row) in POINTS.iter().enumerate() {
            assert_eq!(row.point as usize, index, "{}", row.name);
            assert_eq!(Point::from_name(row.name), Some(row.point));
        }
    }
}
