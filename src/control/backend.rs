//! What the console asks of the daemon, as plain data.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::queue::{Attempt, GivenUp, QueueRow, QueueStanza, QueueTotal, Thrown, Waiting};
use super::roster::BadRecord;
use crate::directory::BlockChange;
use crate::jid::Jid;
use crate::observe::trace::Registry;
use crate::stanza::roster::{Roster, RosterItem};
use crate::store::spool::Owner;

/// The daemon as the console sees it. Called on the control thread; answers may wait but never block.
pub trait Backend: 'static {
    /// What runs.
    fn summary(&self) -> impl Future<Output = Result<Summary, Refused>>;
    /// Makes a user. `jid` is bare.
    fn user_add(&self, jid: &Jid, password: &str) -> impl Future<Output = Result<(), Refused>>;
    /// Changes a password. `jid` is bare.
    fn user_passwd(&self, jid: &Jid, password: &str) -> impl Future<Output = Result<(), Refused>>;
    /// Removes a user. `jid` is bare.
    fn user_delete(&self, jid: &Jid) -> impl Future<Output = Result<Deleted, Refused>>;
    /// Every user, or those of a domain.
    fn user_list(
        &self,
        domain: Option<&str>,
    ) -> impl Future<Output = Result<Vec<UserRow>, Refused>>;
    /// Makes an invite to a domain, or to the first; it is for so many users, and good for so many hours.
    fn invite_create(
        &self,
        domain: Option<&str>,
        uses: u32,
        hours: u32,
    ) -> impl Future<Output = Result<NewInvite, Refused>>;
    /// Every invite.
    fn invite_list(&self) -> impl Future<Output = Result<Vec<InviteRow>, Refused>>;
    /// Revokes an invite.
    fn invite_revoke(&self, id: &str) -> impl Future<Output = Result<(), Refused>>;
    /// A user's roster. `jid` is bare.
    fn roster(&self, jid: &Jid) -> impl Future<Output = Result<Roster, Refused>>;
    /// Writes contacts into a user's roster, all or none; with `replace` no other stays. Those with a request come without
    /// its stanza. `jid` is bare.
    fn roster_import(
        &self,
        jid: &Jid,
        items: Vec<RosterItem>,
        replace: bool,
    ) -> impl Future<Output = Result<Imported, Refused>>;
    /// Every session, or those of a user, a resource or a domain.
    fn session_list(
        &self,
        of: Option<&Jid>,
    ) -> impl Future<Output = Result<Vec<SessionRow>, Refused>>;
    /// Ends the session of a full address, or every session of a bare one; the client is told `reason`.
    fn session_kick(
        &self,
        jid: &Jid,
        reason: &str,
    ) -> impl Future<Output = Result<Deleted, Refused>>;
    /// Whom a user blocks, sorted. `jid` is bare.
    fn block_list(&self, jid: &Jid) -> impl Future<Output = Result<Vec<Jid>, Refused>>;
    /// Changes whom a user blocks. `jid` is bare.
    fn block_change(
        &self,
        jid: &Jid,
        change: BlockChange,
    ) -> impl Future<Output = Result<(), Refused>>;
    /// Every script.
    fn script_list(&self) -> impl Future<Output = Result<Vec<ScriptRow>, Refused>>;
    /// One script.
    fn script_show(&self, name: &str) -> impl Future<Output = Result<ScriptPage, Refused>>;
    /// Loads the scripts again.
    fn script_reload(&self) -> impl Future<Output = Result<Reloaded, Refused>>;
    /// What runs at each hook point.
    fn hooks(&self) -> impl Future<Output = Result<Vec<HookRow>, Refused>>;
    /// Queues behind that of `after`: all, or those of a domain and its users; at most `limit`.
    fn queue_totals(
        &self,
        domain: Option<&str>,
        after: Option<Owner>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<QueueTotal>, Refused>>;
    /// The messages of a queue behind that of number `after`, oldest first; at most `limit`.
    fn queue_rows(
        &self,
        owner: &Owner,
        after: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<QueueRow>, Refused>>;
    /// One of them, and its stanza as XML.
    fn queue_show(&self, id: i64) -> impl Future<Output = Result<QueueStanza, Refused>>;
    /// Throws away what waits.
    fn queue_delete(&self, what: Waiting) -> impl Future<Output = Result<Thrown, Refused>>;
    /// Delivers what waits, as far as somebody takes it: the whole queue, of a message too, so that its order stays.
    fn queue_retry(&self, what: Waiting) -> impl Future<Output = Result<Attempt, Refused>>;
    /// Gives what waits back to its senders, who are told `reason`.
    fn queue_bounce(
        &self,
        what: Waiting,
        reason: &str,
    ) -> impl Future<Output = Result<GivenUp, Refused>>;
    /// Checks this daemon's configuration, or that in a file, against what runs.
    fn config_check(
        &self,
        file: Option<&str>,
    ) -> impl Future<Output = Result<ConfigReport, Refused>>;
    /// Reads the configuration again and puts it in force, all or nothing.
    fn config_reload(&self) -> impl Future<Output = Result<ConfigReport, Refused>>;
    /// The values in force, in the words of the console.
    fn config_show(&self, path: &str) -> impl Future<Output = Result<SettingReport, Refused>>;
    /// Where traces are watched.
    fn traces(&self) -> Arc<Registry>;
    /// Begins the drain; returns at once.
    fn shutdown(&self);
}

/// `summary`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Seconds since its start.
    pub uptime_seconds: u64,
    /// The configuration in force: a path, or `built in`.
    pub configuration: String,
    /// The data directory.
    pub data: PathBuf,
    /// The script directory, or `built in`.
    pub scripts: String,
    /// The domains served.
    pub domains: Vec<String>,
    /// The sockets that accept.
    pub listening: Vec<Listening>,
    /// The certificates in force.
    pub certificates: Vec<CertificateRow>,
    /// How many workers.
    pub workers: usize,
    /// The generation of scripts that runs.
    pub generation: u64,
    /// How many users exist.
    pub users: u64,
    /// How many sessions are open.
    pub sessions: u64,
    /// `observe::Counters::list`, as an object.
    pub counters: serde_json::Map<String, serde_json::Value>,
}

/// One accepting socket.
#[derive(Clone, Debug, Serialize)]
pub struct Listening {
    /// Its address.
    pub address: String,
    /// Its TLS mode, as the configuration writes it.
    pub tls: String,
}

/// One certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateRow {
    /// The domain it was made or configured for.
    pub domain: String,
    /// SHA-256 of the leaf, `AB:CD:...`.
    pub fingerprint: String,
    /// Made by this server for itself.
    pub self_signed: bool,
}

/// `user list`.
#[derive(Clone, Debug, Serialize)]
pub struct UserRow {
    /// The bare address.
    pub jid: String,
    /// How many sessions are open.
    pub sessions: usize,
    /// How many messages wait in the spool.
    pub waiting: u64,
}

/// `invite create`. It shows the token, so it has no `Debug`.
#[derive(Clone, Serialize)]
pub struct NewInvite {
    /// The invite's name.
    pub id: String,
    /// What whoever registers shows.
    pub token: String,
    /// The same as a link that clients open (XEP-0445).
    pub uri: String,
    /// Where it lets somebody register.
    pub domain: String,
    /// For how many users.
    pub uses: u32,
    /// When it ends, in the format of XEP-0082.
    pub expires: String,
}

/// `invite list`.
#[derive(Clone, Debug, Serialize)]
pub struct InviteRow {
    /// The invite's name.
    pub id: String,
    /// Where it lets somebody register.
    pub domain: String,
    /// For how many users still.
    pub uses: u32,
    /// When it was made, in the format of XEP-0082.
    pub created: String,
    /// When it ends, likewise.
    pub expires: String,
}

/// `user delete`, `session kick`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Deleted {
    /// How many sessions were told to close.
    pub sessions_closed: usize,
}

/// `roster import`.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// The user's bare address.
    pub jid: String,
    /// How many contacts the record has.
    pub imported: usize,
    /// How many the roster has.
    pub contacts: usize,
    /// The roster's version.
    pub version: u64,
}

/// `session list`.
#[derive(Clone, Debug, Serialize)]
pub struct SessionRow {
    /// The session's number.
    pub id: u64,
    /// Its full address.
    pub jid: String,
    /// The peer's address and port.
    pub address: String,
    /// `TLSv1.3` or `TLSv1.2`; absent without TLS.
    pub tls: Option<String>,
    /// The presence priority; absent while not available.
    pub priority: Option<i8>,
    /// `away`, `chat`, `dnd` or `xa`; empty for plain available; absent while not available.
    pub show: Option<String>,
    /// The worker's number.
    pub worker: usize,
    /// When it was bound, in the format of XEP-0082.
    pub since: String,
    /// Seconds since it was bound.
    pub age_seconds: u64,
    /// Bytes that wait to be written to it.
    pub waiting_bytes: usize,
    /// `connected`, or `detached`: its connection is lost, and it waits for its client to resume it.
    pub state: &'static str,
}

/// `script list`.
#[derive(Clone, Debug, Serialize)]
pub struct ScriptRow {
    /// Its name in the configuration.
    pub name: String,
    /// The file it was read from.
    pub file: String,
    /// The generation that runs.
    pub generation: u64,
    /// `live`, or `parked`: it does not run.
    pub state: &'static str,
    /// Whether stanzas are refused while it cannot decide.
    pub required: bool,
    /// How many of its functions stand at hook points.
    pub handlers: usize,
    /// How often they were called since the daemon's start.
    pub calls: u64,
    /// How often they failed.
    pub errors: u64,
    /// Microseconds that a call took, on average; absent without calls.
    pub us_per_call: Option<u64>,
}

/// `script show`.
#[derive(Clone, Debug, Serialize)]
pub struct ScriptPage {
    /// What the list says.
    #[serde(flatten)]
    pub row: ScriptRow,
    /// Its functions at hook points.
    pub functions: Vec<HandlerRow>,
}

/// A script's function at a hook point.
#[derive(Clone, Debug, Serialize)]
pub struct HandlerRow {
    /// The hook point.
    pub point: String,
    /// The band.
    pub band: String,
    /// `file:line`.
    pub at: String,
    /// Higher runs first inside a band.
    pub priority: i64,
    /// Which stanzas it wants; empty: all.
    pub filter: String,
}

/// `script reload`.
#[derive(Clone, Debug, Serialize)]
pub struct Reloaded {
    /// The generation that is live now.
    pub generation: u64,
    /// What the log says too: workers, time, files.
    pub report: String,
}

/// `hooks`.
#[derive(Clone, Debug, Serialize)]
pub struct HookRow {
    /// The hook point.
    pub point: String,
    /// The band.
    pub band: String,
    /// `script:NAME`, or the service.
    pub handler: String,
    /// `file:line` of a script's function.
    pub at: Option<String>,
    /// A script's: higher runs first inside a band.
    pub priority: Option<i64>,
    /// A script's: which stanzas it wants; empty: all.
    pub filter: Option<String>,
}

/// `config check`, `config reload`.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigReport {
    /// Where it was read.
    pub configuration: String,
    /// What is valid and probably not meant so: diagnostics as `stanzad check --json` has them.
    pub warnings: serde_json::Value,
    /// How it differs from what was in force.
    pub changes: Vec<ChangeRow>,
    /// All that for people.
    pub text: String,
}

/// One difference between two configurations.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeRow {
    /// The option with its scopes, or a scope that came or went.
    pub option: String,
    /// The old value, as it would be written.
    pub old: Option<String>,
    /// The new one.
    pub new: Option<String>,
    /// `live` or `restart`.
    pub effect: &'static str,
}

/// `config show`.
#[derive(Clone, Debug, Serialize)]
pub struct SettingReport {
    /// Each value.
    pub settings: Vec<SettingRow>,
    /// The same for people.
    pub text: String,
}

/// One value in force.
#[derive(Clone, Debug, Serialize)]
pub struct SettingRow {
    /// The scope; empty: global.
    pub scope: String,
    /// The option.
    pub option: String,
    /// The value in force, as it would be written; absent: none.
    pub value: Option<String>,
    /// File and line, `command line` or `default`.
    pub from: String,
}

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
