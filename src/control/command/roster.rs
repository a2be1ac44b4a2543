//! Rows of the table: rosters.

use super::{Command, USER, Verb};
use crate::control::shape::{Answer, Arg, ArgKind};

/// `roster show`.
pub(super) const SHOW: Command = Command {
    verb: Verb::RosterShow,
    name: "roster show",
    args: &[USER],
    answer: Answer::Rows(&["jid", "name", "state", "groups", "listed"]),
    help: "Lists a user's contacts",
    manual: "`state` is the subscription, `none`, `to`, `from` or `both`, and behind a `+` what waits: `out` the user's own request, `in` \
        the contact's, `approved` a yes in advance. `listed` is false for a contact that only asks: the user's clients do not show it.",
};

/// `roster import`.
pub(super) const IMPORT: Command = Command {
    verb: Verb::RosterImport,
    name: "roster import",
    args: &[
        USER,
        Arg {
            name: "record",
            kind: ArgKind::Content,
            optional: false,
            from: None,
            help: "the record, a JSON object of contacts as `roster export` prints it",
        },
        Arg {
            name: "replace",
            kind: ArgKind::Flag,
            optional: true,
            from: None,
            help: "deletes every contact that is not in the record",
        },
    ],
    answer: Answer::Record(&["jid", "imported", "contacts", "version"]),
    help: "Adds contacts from a file to a user's roster, all or none",
    manual: "A contact that is there already becomes what the record says. Of a record with faults nothing is imported, and each fault is \
        named with its contact and field. Clients that are logged in are told at once. Nobody else is told: a subscription has two ends, in two rosters. `contacts` is how many there are \
        then. docs/roster.md describes the record.",
};

/// `roster export`.
pub(super) const EXPORT: Command = Command {
    verb: Verb::RosterExport,
    name: "roster export",
    args: &[USER],
    answer: Answer::Document,
    help: "Prints a user's roster as a JSON object, contact to `name`, `groups`, `pending_requests` and `subscription`",
    manual: "`roster import` reads it. Of a contact's request that waits for an answer only that it does is told.",
};
