//! Rows of the table: whom users do not hear from.

use super::{Command, USER, Verb};
use crate::control::shape::{Answer, Arg, ArgKind};

/// `block list`.
pub(super) const LIST: Command = Command {
    verb: Verb::BlockList,
    name: "block list",
    args: &[USER],
    answer: Answer::Rows(&["address"]),
    help: "Lists the addresses that a user blocks",
    manual: "",
};

/// `block add`.
pub(super) const ADD: Command = Command {
    verb: Verb::BlockAdd,
    name: "block add",
    args: &[
        USER,
        Arg {
            name: "addresses",
            kind: ArgKind::Rest,
            optional: false,
            from: None,
            help: "users, resources or whole domains, separated by blanks",
        },
    ],
    answer: Answer::Record(&["jid", "addresses"]),
    help: "Blocks addresses for a user, as its client does with XEP-0191",
    manual: "It is in force at once, and those of the user's clients that show the list are told. The user hears nothing from \
        those addresses and cannot write to them; to them the user is not there.",
};

/// `block remove`.
pub(super) const REMOVE: Command = Command {
    verb: Verb::BlockRemove,
    name: "block remove",
    args: &[
        USER,
        Arg {
            name: "addresses",
            kind: ArgKind::Rest,
            optional: true,
            from: None,
            help: "as `block list` shows them; none: all of them",
        },
    ],
    answer: Answer::Record(&["jid", "addresses"]),
    help: "Unblocks addresses for a user, or all of them",
    manual: "",
};
