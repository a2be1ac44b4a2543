//! Rows of the table: the configuration.

use super::{Command, Verb};
use crate::control::shape::{Answer, Arg, ArgKind};

const REPORT: Answer = Answer::Report(&["configuration", "warnings", "changes"], "text");

/// `config check`.
pub(super) const CHECK: Command = Command {
    verb: Verb::ConfigCheck,
    name: "config check",
    args: &[Arg {
        name: "file",
        kind: ArgKind::File,
        optional: true,
        from: None,
        help: "another configuration than the one that runs",
    }],
    answer: REPORT,
    help: "Checks the configuration and shows what a reload would change",
    manual: "Changes nothing. Without a daemon: `stanzad -c FILE check`. Faults are listed all at once, each with its line; `--json` \
        has them in `error.details`. An `effect` is `live`, or `restart` if only the next start brings it.",
};

/// `config reload`.
pub(super) const RELOAD: Command = Command {
    verb: Verb::ConfigReload,
    name: "config reload",
    args: &[],
    answer: REPORT,
    help: "Reads the configuration and the scripts again, all or nothing, as SIGHUP does",
    manual: "A fault in a file, a certificate or a script changes nothing. Else everything with the `effect` `live` is in force when this \
        answers, for sessions that are open too; what has the `effect` `restart` stays as it was until the next start.",
};

/// `config show`.
pub(super) const SHOW: Command = Command {
    verb: Verb::ConfigShow,
    name: "config show",
    args: &[Arg {
        name: "path",
        kind: ArgKind::Rest,
        optional: true,
        from: None,
        help: "a scope, options, or a scope and options in it: xmpp_listener Listen '*:5222' idle_time",
    }],
    answer: Answer::Report(&["settings"], "text"),
    help: "Shows the values in force and who set each: file and line, the command line, or nobody",
    manual: "A scope that the configuration does not have falls back like one that sets nothing: `config show domain example.org`, \
        `config show xmpp_listener peer 192.0.2.7 tls`. A name with blanks needs quotes within quotes: `'\"my pool\"'`. Secrets are not shown. Each of the `settings` has `scope`, `option`, `value` and `from`.",
};
