//! Rows of the table: invites to register.

use super::{Command, Verb};
use crate::control::shape::{Answer, Arg, ArgKind};

/// `invite create`.
pub(super) const CREATE: Command = Command {
    verb: Verb::InviteCreate,
    name: "invite create",
    args: &[
        Arg {
            name: "domain",
            kind: ArgKind::Address,
            optional: true,
            from: None,
            help: "where it lets somebody register; the first domain if it is left out",
        },
        Arg {
            name: "uses",
            kind: ArgKind::Count,
            optional: true,
            from: None,
            help: "how many users it is for; 1 if it is left out",
        },
        Arg {
            name: "hours",
            kind: ArgKind::Count,
            optional: true,
            from: None,
            help: "how long it is good for; 168, a week, if it is left out",
        },
    ],
    answer: Answer::Record(&["id", "token", "uri", "domain", "uses", "expires"]),
    help: "Makes an invite to register",
    manual: "The token is shown here and never again: the daemon keeps a hash of it. Hand out the `uri`, which clients open, or the token, \
        which goes into the registration form. `Registration = \"invite\"` lets users in with invites alone.",
};

/// `invite list`.
pub(super) const LIST: Command = Command {
    verb: Verb::InviteList,
    name: "invite list",
    args: &[],
    answer: Answer::Rows(&["id", "domain", "uses", "created", "expires"]),
    help: "Lists invites, the oldest first",
    manual: "`uses` is how often each may still be used. One that is used up is gone.",
};

/// `invite revoke`.
pub(super) const REVOKE: Command = Command {
    verb: Verb::InviteRevoke,
    name: "invite revoke",
    args: &[Arg {
        name: "id",
        kind: ArgKind::Word,
        optional: false,
        from: Some(("invite list", "id")),
        help: "the invite's id",
    }],
    answer: Answer::Record(&["id"]),
    help: "Revokes an invite",
    manual: "Users who have registered with it stay.",
};
