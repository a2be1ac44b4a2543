//! Rows of the table: scripts and hook points.

use super::{Command, Verb};
use crate::control::shape::{Answer, Arg, ArgKind};

/// `script list`.
pub(super) const LIST: Command = Command {
    verb: Verb::ScriptList,
    name: "script list",
    args: &[],
    answer: Answer::Listing {
        keys: &[
            "name",
            "file",
            "generation",
            "state",
            "required",
            "handlers",
            "calls",
            "errors",
            "us_per_call",
        ],
        shown: &[
            ("name", "NAME"),
            ("file", "FILE"),
            ("generation", "GEN"),
            ("state", "STATE"),
            ("handlers", "HANDLERS"),
            ("calls", "CALLS"),
            ("errors", "ERRORS"),
            ("us_per_call", "µs/CALL"),
        ],
    },
    help: "Lists the scripts, the generation that runs and how often each was called and failed",
    manual: "Counts are of all workers and all generations since the daemon's start. `parked`: it could not be built again after its VM \
        ran out of memory; it is tried once a second, and what is `required` refuses stanzas meanwhile.",
};

/// `script show`.
pub(super) const SHOW: Command = Command {
    verb: Verb::ScriptShow,
    name: "script show",
    args: &[Arg {
        name: "name",
        kind: ArgKind::Word,
        optional: false,
        from: Some(("script list", "name")),
        help: "its name in the configuration",
    }],
    answer: Answer::Record(&[
        "name",
        "file",
        "generation",
        "state",
        "required",
        "calls",
        "errors",
        "us_per_call",
        "functions",
    ]),
    help: "Shows one script, and which of its functions run at which hook points",
    manual: "",
};

/// `script reload`.
pub(super) const RELOAD: Command = Command {
    verb: Verb::ScriptReload,
    name: "script reload",
    args: &[],
    answer: Answer::Record(&["generation", "report"]),
    help: "Loads every script again, all or nothing, as a save does",
    manual: "",
};

/// `hooks`.
pub(super) const HOOKS: Command = Command {
    verb: Verb::Hooks,
    name: "hooks",
    args: &[],
    answer: Answer::Listing {
        keys: &["point", "band", "handler", "at", "priority", "filter"],
        shown: &[
            ("point", "POINT"),
            ("band", "BAND"),
            ("handler", "HANDLER"),
            ("at", "AT"),
            ("priority", "PRIO"),
            ("filter", "FILTER"),
        ],
    },
    help: "Lists what runs at each hook point, in order",
    manual: "At each point the early scripts run, then the server's own services (band `native`), then the late scripts; inside a band \
        the higher priority first. `at` is file and line of a script's function; `filter` says which stanzas it wants.",
};
