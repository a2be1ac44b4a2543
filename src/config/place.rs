//! The kinds of scope, where each may stand and how it is named.

/// A kind of scope at its place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(usize)]
pub(super) enum Place {
    /// The top of the configuration.
    Global,
    /// `xmpp { }`.
    Xmpp,
    /// `xmpp_listener { }`.
    XmppListener,
    /// `Listen "ADDRESS" { }` in `xmpp_listener`.
    XmppListen,
    /// `Peer "NET" { }` in `xmpp_listener` or in its `Listen`.
    XmppPeer,
    /// `control_listener { }`.
    ControlListener,
    /// `Listen "PATH" { }` in `control_listener`.
    ControlListen,
    /// `Domain "NAME" { }`.
    Domain,
    /// `component "NAME" { }`.
    Component,
    /// `ThreadPool "NAME" { }`.
    ThreadPool,
    /// `scriptlet "scriptlet" { }`.
    Scriptlet,
    /// `script "NAME" { }` in `scriptlet`.
    Script,
}

/// How a scope's instance is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// It takes no name; all its pieces are one.
    None,
    /// Any text.
    Text,
    /// Always this one word (Momentum's `scriptlet`).
    Fixed(&'static str),
    /// A TCP address: `*:5222`, `10.0.0.1:5222`, `[::1]:5222`.
    Tcp,
    /// The path of a unix socket.
    Socket,
    /// An address or network: `10.0.0.0/8`.
    Net,
    /// A domain name, `#xmpp#name` or `/regex/`.
    Domain,
    /// A domain name alone.
    Host,
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// At the reload.
    Live,
    /// At the next start.
    Restart,
}

/// A row of the scope table.
pub(super) struct PlaceInfo {
    pub(super) place: Place,
    /// The word that opens it, in Momentum's spelling.
    pub(super) word: &'static str,
    pub(super) parents: &'static [Place],
    pub(super) naming: Naming,
    /// How the manual names it.
    pub(super) title: &'static str,
    /// When an instance that comes or goes takes effect.
    pub(super) effect: Effect,
    pub(super) doc: &'static str,
}

/// Every kind of scope, in [`Place`] order.
pub(super) const PLACES: &[PlaceInfo] = &[
    PlaceInfo {
        place: Place::Global,
        word: "",
        parents: &[],
        naming: Naming::None,
        title: "the global scope",
        effect: Effect::Live,
        doc: "Options outside of every scope. Narrower scopes fall back to them.",
    },
    PlaceInfo {
        place: Place::Xmpp,
        word: "xmpp",
        parents: &[Place::Global],
        naming: Naming::None,
        title: "xmpp",
        effect: Effect::Restart,
        doc: "The XMPP module. It must stand before an `xmpp_listener`.",
    },
    PlaceInfo {
        place: Place::XmppListener,
        word: "xmpp_listener",
        parents: &[Place::Global],
        naming: Naming::None,
        title: "xmpp_listener",
        effect: Effect::Restart,
        doc: "Where XMPP streams are accepted. It needs `AuthPlainParameters` or `AuthScramParameters`.",
    },
    PlaceInfo {
        place: Place::XmppListen,
        word: "Listen",
        parents: &[Place::XmppListener],
        naming: Naming::Tcp,
        title: "Listen of xmpp_listener",
        effect: Effect::Restart,
        doc: "One socket: `\"*:5222\"` or `\":5222\"` (any address, IPv4 and IPv6), `\"192.0.2.1:5222\"`, `\"[::1]:5222\"`, `\"[*]:5222\"` (any IPv6). Port 0 lets the kernel choose.",
    },
    PlaceInfo {
        place: Place::XmppPeer,
        word: "Peer",
        parents: &[Place::XmppListener, Place::XmppListen],
        naming: Naming::Net,
        title: "Peer of xmpp_listener",
        effect: Effect::Live,
        doc: "Options for connections from one address or network: `\"192.0.2.7\"`, `\"198.51.100.0/24\"`, `\"2001:db8::/32\"`. The longest prefix wins, whatever the order; what it does not set falls back.",
    },
    PlaceInfo {
        place: Place::ControlListener,
        word: "control_listener",
        parents: &[Place::Global],
        naming: Naming::None,
        title: "control_listener",
        effect: Effect::Restart,
        doc: "Where `stanzactl` reaches the daemon.",
    },
    PlaceInfo {
        place: Place::ControlListen,
        word: "Listen",
        parents: &[Place::ControlListener],
        naming: Naming::Socket,
        title: "Listen of control_listener",
        effect: Effect::Restart,
        doc: "The path of a unix socket. A relative path stands in the data directory.",
    },
    PlaceInfo {
        place: Place::Domain,
        word: "Domain",
        parents: &[Place::Global],
        naming: Naming::Domain,
        title: "Domain",
        effect: Effect::Live,
        doc: "A domain. `\"#xmpp#example.org\"` is the same domain for XMPP alone and comes before `\"example.org\"`. `\"/regex/\"` is every domain that the pattern matches, see below.",
    },
    PlaceInfo {
        place: Place::Component,
        word: "component",
        parents: &[Place::Global],
        naming: Naming::Host,
        title: "component",
        effect: Effect::Live,
        doc: "A program beside the server that speaks for a domain of its own (XEP-0114), like a gateway. Its name is that domain.",
    },
    PlaceInfo {
        place: Place::ThreadPool,
        word: "ThreadPool",
        parents: &[Place::Global],
        naming: Naming::Text,
        title: "ThreadPool",
        effect: Effect::Restart,
        doc: "Worker threads that `pool_name` chooses. The pool `default` always exists.",
    },
    PlaceInfo {
        place: Place::Scriptlet,
        word: "scriptlet",
        parents: &[Place::Global],
        naming: Naming::Fixed("scriptlet"),
        title: "scriptlet",
        effect: Effect::Live,
        doc: "The Lua scripts that run. Its name is always `\"scriptlet\"`.",
    },
    PlaceInfo {
        place: Place::Script,
        word: "script",
        parents: &[Place::Scriptlet],
        naming: Naming::Text,
        title: "script of scriptlet",
        effect: Effect::Live,
        doc: "One script. Scripts run in the order in which they stand here.",
    },
];

impl Place {
    /// The place's row.
    pub(super) fn info(self) -> &'static PlaceInfo {
        &PLACES[self as usize]
    }

    /// The kind of scope that `word` opens inside this one, whatever its case.
    pub(super) fn child(self, word: &str) -> Option<Place> {
        self.children()
            .find(|child| child.info().word.eq_ignore_ascii_case(word))
    }

    /// The kinds of scope that may stand inside this one.
    pub(super) fn children(self) -> impl Iterator<Item = Place> {
        PLACES
            .iter()
            .filter(move |info| info.parents.contains(&self))
            .map(|info| info.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_place_order() {
        for (index, row) in PLACES.iter().enumerate() {
            assert_eq!(row.place as usize, index, "{}", row.title);
        }
    }
}
