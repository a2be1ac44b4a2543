//! Why the daemon says no to the console, and what to do then.

use super::roster::BadRecord;
use crate::jid::Jid;

/// Any failure on the daemon's side that the operator can only read.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why the daemon said no.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not an address.
    #[error("`{given}` is not an address: {source}")]
    BadAddress {
        /// As given.
        given: String,
        /// What is wrong with it.
        source: crate::jid::Error,
    },
    /// An address without a user, or with a resource.
    #[error("`{0}` is not the address of a user, which reads user@domain")]
    NotAUser(String),
    /// A domain that is not ours.
    #[error("`{domain}` is not served here")]
    NotServed {
        /// The domain asked for.
        domain: String,
        /// Those served.
        served: Vec<String>,
    },
    /// The user is there already.
    #[error("{0} exists")]
    Exists(Jid),
    /// There is no such user.
    #[error("there is no user {0}")]
    NoSuchUser(Jid),
    /// A record that cannot be imported.
    #[error("{0}")]
    BadRecord(BadRecord),
    /// Nobody is logged in under that address.
    #[error("{jid} has no session")]
    NoSession {
        /// The address asked for.
        jid: Jid,
        /// Other resources of that user.
        others: Vec<String>,
    },
    /// No component of that name is connected.
    #[error("no component {0} is connected")]
    NoComponent(Jid),
    /// No script of that name.
    #[error("there is no script `{name}`")]
    NoSuchScript {
        /// The name asked for.
        name: String,
        /// Those that there are.
        names: Vec<String>,
    },
    /// Nothing of that number or for that user waits.
    #[error("nothing waits: {0}")]
    NotQueued(String),
    /// Text that names no queue.
    #[error("`{0}` names no queue and no message")]
    NotAQueue(String),
    /// Text behind which no listing goes on.
    #[error("`{0}` is no place behind which this listing could go on")]
    NotAfter(String),
    /// A queue of a kind that only a later version serves.
    #[error("this version does not serve the queue {0}")]
    Unserved(String),
    /// The reason is too long, or not one line.
    #[error("this reason cannot be sent: one line of at most 500 characters")]
    BadReason,
    /// There is no such invite.
    #[error("there is no invite `{0}`")]
    NoSuchInvite(String),
    /// The password is empty, too long, or has characters that no client could send.
    #[error("this password cannot be used: {0}")]
    BadPassword(Failure),
    /// The scripts were refused; the old generation runs on.
    #[error("still on {generation}: {report}")]
    Scripts {
        /// The generation that runs.
        generation: u64,
        /// File, line and reason, several lines.
        report: String,
    },
    /// The configuration is wrong; the old one stays in force.
    #[error("the configuration is not valid\n{report}")]
    Configuration {
        /// Every fault, several lines.
        report: String,
        /// The same for programs.
        details: serde_json::Value,
    },
    /// No such scope or option.
    #[error("{0}")]
    NoSetting(String),
    /// Something else went wrong in the daemon.
    #[error("{0}")]
    Failed(Failure),
}

impl Refused {
    /// A word that programs can compare.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refused::BadAddress { .. } => "bad-address",
            Refused::NotAUser(_) => "not-a-user",
            Refused::NotServed { .. } => "not-served",
            Refused::Exists(_) => "exists",
            Refused::NoSuchUser(_) => "no-such-user",
            Refused::BadRecord(_) => "bad-record",
            Refused::NoSession { .. } => "no-session",
            Refused::NoComponent(_) => "no-component",
            Refused::NoSuchScript { .. } => "no-such-script",
            Refused::NotQueued(_) => "not-queued",
            Refused::NotAQueue(_) => "not-a-queue",
            Refused::NotAfter(_) => "not-after",
            Refused::Unserved(_) => "unserved",
            Refused::BadReason => "bad-reason",
            Refused::NoSuchInvite(_) => "no-such-invite",
            Refused::BadPassword(_) => "bad-password",
            Refused::Scripts { .. } => "scripts",
            Refused::Configuration { .. } => "configuration",
            Refused::NoSetting(_) => "no-setting",
            Refused::Failed(_) => "failed",
        }
    }

    /// What a program can know beside the code, if there is something.
    #[must_use]
    pub fn details(&self) -> Option<&serde_json::Value> {
        match self {
            Refused::Configuration { details, .. } => Some(details),
            _ => None,
        }
    }

    /// What the operator can do next, if there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Refused::NotServed { served, .. } => {
                Some(format!("served here: {}", served.join(", ")))
            }
            Refused::NotAUser(_) => {
                Some("`stanzactl summary` names the domains that are served here".to_owned())
            }
            Refused::Exists(jid) => Some(format!(
                "`stanzactl user passwd {jid}` changes its password"
            )),
            Refused::NoSuchUser(jid) => Some(format!(
                "`stanzactl user add {jid}` makes it, `stanzactl user list` lists those that exist"
            )),
            Refused::NoSession { others, .. } if others.is_empty() => {
                Some("`stanzactl session list` lists who is logged in".to_owned())
            }
            Refused::NoSession { others, .. } => Some(format!("logged in: {}", others.join(", "))),
            Refused::NoComponent(_) => {
                Some("`stanzactl component list` lists those that there are".to_owned())
            }
            Refused::NoSuchScript { names, .. } if names.is_empty() => {
                Some("the configuration names no script".to_owned())
            }
            Refused::NoSuchScript { names, .. } => Some(format!("scripts: {}", names.join(", "))),
            Refused::NotQueued(_) => Some(
                "`stanzactl queue list` lists for whom something waits, `queue list OWNER` what"
                    .to_owned(),
            ),
            Refused::NotAQueue(_) => Some(
                "a queue is named by a user's address, or like domain:example.net; a message by its number".to_owned(),
            ),
            Refused::NotAfter(_) => {
                Some("`--after` takes the OWNER or the ID of the last row before".to_owned())
            }
            Refused::Configuration { .. } => Some("nothing has changed: what runs, runs on".to_owned()),
            Refused::NoSetting(_) => {
                Some("`stanzactl config show` lists what is there, docs/config-reference.md what there could be".to_owned())
            }
            Refused::Scripts { .. } => {
                Some("mend the file and save it; the old scripts run on meanwhile".to_owned())
            }
            _ => None,
        }
    }
}
