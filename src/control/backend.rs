//! What the console asks of the daemon, as plain data.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::queue::{Attempt, GivenUp, QueueRow, QueueStanza, QueueTotal, Thrown, Waiting};
use super::refused::Refused;
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
    /// Every component of the configuration.
    fn component_list(&self) -> impl Future<Output = Result<Vec<ComponentRow>, Refused>>;
    /// Ends a component's connection; the component is told `reason`.
    fn component_kick(&self, jid: &Jid, reason: &str) -> impl Future<Output = Result<(), Refused>>;
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
    /// `live`, or `detached`: its connection is lost, and it waits for its client to resume it.
    pub state: &'static str,
}

/// `component list`.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentRow {
    /// Its domain.
    pub jid: String,
    /// Whether it is there. Else all below is absent.
    pub connected: bool,
    /// Its session's number.
    pub id: Option<u64>,
    /// Its address and port.
    pub address: Option<String>,
    /// `TLSv1.3` or `TLSv1.2`; absent without TLS.
    pub tls: Option<String>,
    /// The worker's number.
    pub worker: Option<usize>,
    /// When it connected, in the format of XEP-0082.
    pub since: Option<String>,
    /// Seconds since then.
    pub age_seconds: Option<u64>,
    /// Bytes that wait to be written to it.
    pub waiting_bytes: Option<usize>,
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
