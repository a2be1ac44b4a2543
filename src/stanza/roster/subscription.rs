//! The states of RFC 6121 appendix A.

/// What is agreed and asked between a user (the owner) and a contact: the five facts of which RFC 6121 appendix A makes
/// its states. Those that can be are [`Subscription::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// The owner gets the contact's presence.
    pub to: bool,
    /// The contact gets the owner's presence.
    pub from: bool,
    /// The owner has asked for the contact's presence and has no answer yet: `ask='subscribe'`.
    pub out: bool,
    /// The contact has asked for the owner's presence and has no answer yet.
    pub in_: bool,
    /// The owner has said yes before the contact asked (RFC 6121 §3.4).
    pub approved: bool,
}

const NONE: Subscription = Subscription::NONE;
const TO: Subscription = Subscription { to: true, ..NONE };
const FROM: Subscription = Subscription { from: true, ..NONE };

impl Subscription {
    /// Nothing agreed, nothing asked.
    pub const NONE: Subscription = Subscription {
        to: false,
        from: false,
        out: false,
        in_: false,
        approved: false,
    };

    /// The nine states of appendix A, then the three in which an approval in advance can wait (§3.4.2).
    pub const ALL: [Subscription; 12] = [
        NONE,
        Subscription { out: true, ..NONE },
        Subscription { in_: true, ..NONE },
        Subscription {
            out: true,
            in_: true,
            ..NONE
        },
        TO,
        Subscription { in_: true, ..TO },
        FROM,
        Subscription { out: true, ..FROM },
        Subscription { from: true, ..TO },
        Subscription {
            approved: true,
            ..NONE
        },
        Subscription {
            out: true,
            approved: true,
            ..NONE
        },
        Subscription {
            approved: true,
            ..TO
        },
    ];

    /// The state's name, as in `none+out+in`; in the order of [`Subscription::ALL`]. What is none of the twelve has the
    /// name of what it would be without the facts that cannot be.
    #[must_use]
    pub fn name(self) -> &'static str {
        let Subscription {
            to,
            from,
            out,
            in_,
            approved,
        } = self;
        match (to, from) {
            (true, true) => "both",
            (true, false) if in_ => "to+in",
            (true, false) if approved => "to+approved",
            (true, false) => "to",
            (false, true) if out => "from+out",
            (false, true) => "from",
            (false, false) => match (out, in_) {
                (true, true) => "none+out+in",
                (false, true) => "none+in",
                (true, false) if approved => "none+out+approved",
                (true, false) => "none+out",
                (false, false) if approved => "none+approved",
                (false, false) => "none",
            },
        }
    }

    /// The state of that name; `None` for anything but the twelve.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Subscription> {
        Subscription::ALL
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// Whether this is one of the twelve states.
    #[must_use]
    pub fn is_valid(self) -> bool {
        Subscription::ALL.contains(&self)
    }

    /// The value of the attribute `subscription` (RFC 6121 §2.1.2.5): `none`, `to`, `from` or `both`.
    #[must_use]
    pub fn attr(self) -> &'static str {
        match (self.to, self.from) {
            (false, false) => "none",
            (true, false) => "to",
            (false, true) => "from",
            (true, true) => "both",
        }
    }
}
