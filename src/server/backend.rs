//! What the console asks, answered by the running server.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::banner::Banner;
use super::reload::Reloads;
use super::{Common, Workers, blocks, components, queue, roster, scripts, sessions, settings};
use crate::accounts::{AccountError, Token};
use crate::control::{
    Attempt, Backend, CertificateRow, ComponentRow, ConfigReport, Deleted, GivenUp, HookRow,
    Imported, InviteRow, Listening, NewInvite, QueueRow, QueueStanza, QueueTotal, Refused,
    Reloaded, ScriptPage, ScriptRow, SessionRow, SettingReport, Summary, Thrown, UserRow, Waiting,
};
use crate::directory::BlockChange;
use crate::hook::Outbox;
use crate::jid::Jid;
use crate::observe::trace::Registry;
use crate::sasl::Secret;
use crate::script::{self, Report};
use crate::stanza::format_time;
use crate::stanza::roster::{Roster, RosterItem};
use crate::store::spool::Owner;

/// How long a worker may take to tell what it knows.
const ASK_TIME: Duration = Duration::from_secs(2);

/// The console's side of the server. Lives on the control thread.
pub(super) struct Console {
    common: Arc<Common>,
    scripts: script::Control,
    workers: Workers,
    banner: Banner,
    reloads: Reloads,
}

impl Console {
    pub(super) fn new(
        common: Arc<Common>,
        scripts: script::Control,
        workers: Workers,
        banner: Banner,
        reloads: Reloads,
    ) -> Console {
        Console {
            common,
            scripts,
            workers,
            banner,
            reloads,
        }
    }

    fn served(&self) -> Vec<String> {
        self.common.config.load().served()
    }

    /// The certificates in force; a reload may have changed them since the start.
    fn certificates(&self) -> Vec<CertificateRow> {
        let tls = self.common.tls.load();
        let rows = tls.certified.iter().map(|certified| CertificateRow {
            domain: certified.domain.clone(),
            fingerprint: certified.fingerprint.clone(),
            self_signed: certified.self_signed,
        });
        rows.collect()
    }

    /// A user's address at a domain of ours.
    fn check(&self, jid: &Jid) -> Result<(), Refused> {
        if self.common.config.load().is_local_domain(jid.domain()) {
            Ok(())
        } else {
            Err(Refused::NotServed {
                domain: jid.domain().to_owned(),
                served: self.served(),
            })
        }
    }

    fn iterations(&self) -> u32 {
        self.common.config.load().limits().scram_iterations
    }
}

fn refused(jid: &Jid, error: AccountError) -> Refused {
    match error {
        AccountError::Exists => Refused::Exists(jid.clone()),
        AccountError::NotFound => Refused::NoSuchUser(jid.clone()),
        AccountError::Password(error) => Refused::BadPassword(error.into()),
        error => Refused::Failed(error.into()),
    }
}

fn secret(password: &str) -> Secret {
    Secret::new(password.as_bytes())
}

pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Refused {
    Refused::Failed(Box::new(error))
}

impl Backend for Console {
    async fn summary(&self) -> Result<Summary, Refused> {
        let users = self.common.store.users(None).await.map_err(failed)?.len();
        Ok(Summary {
            version: self.banner.version.to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.common.clock.monotonic_ms() / 1000,
            configuration: self.banner.configuration.clone(),
            data: self.banner.data.clone(),
            scripts: self.banner.scripts.clone(),
            domains: self.served(),
            listening: self
                .banner
                .sockets
                .iter()
                .map(|socket| Listening {
                    address: socket.addr.to_string(),
                    tls: socket.tls.name().to_owned(),
                })
                .collect(),
            certificates: self.certificates(),
            workers: self.workers.len(),
            generation: self.scripts.generation(),
            users: users as u64,
            sessions: self.common.directory.entries().len() as u64,
            counters: self
                .common
                .counters
                .list()
                .into_iter()
                .map(|(name, count)| (name.to_owned(), count.into()))
                .collect(),
        })
    }

    async fn user_add(&self, jid: &Jid, password: &str) -> Result<(), Refused> {
        self.check(jid)?;
        let accounts = &self.common.accounts;
        accounts
            .create(jid, secret(password), self.iterations())
            .await
            .map_err(|error| refused(jid, error))
    }

    async fn user_passwd(&self, jid: &Jid, password: &str) -> Result<(), Refused> {
        self.check(jid)?;
        let accounts = &self.common.accounts;
        accounts
            .change_password(jid, secret(password), self.iterations(), None)
            .await
            .map_err(|error| refused(jid, error))
    }

    async fn user_delete(&self, jid: &Jid) -> Result<Deleted, Refused> {
        self.check(jid)?;
        let workers = self.workers.clone();
        let tell = move |farewells| {
            if let Some(worker) = workers.first() {
                worker.run(move |local| {
                    local.queue().send_all(farewells, 0);
                });
            }
        };
        let removed = self.common.accounts.remove(jid, None, tell).await;
        Ok(Deleted {
            sessions_closed: removed.map_err(|error| refused(jid, error))?,
        })
    }

    async fn user_list(&self, domain: Option<&str>) -> Result<Vec<UserRow>, Refused> {
        let users = self.common.store.users(domain).await.map_err(failed)?;
        let mut rows = Vec::with_capacity(users.len());
        for user in users {
            let sessions = self
                .common
                .directory
                .find(user.as_str())
                .and_then(|account| account.lock().map(|state| state.resources().len()));
            let waiting = self.common.store.spool_count(&Owner::user(&user)).await;
            rows.push(UserRow {
                sessions: sessions.unwrap_or(0),
                waiting: waiting.map_err(failed)?,
                jid: user.to_string(),
            });
        }
        Ok(rows)
    }

    async fn invite_create(
        &self,
        domain: Option<&str>,
        uses: u32,
        hours: u32,
    ) -> Result<NewInvite, Refused> {
        let first = self.served().into_iter().next().unwrap_or_default();
        let given = domain.unwrap_or(&first);
        let jid = Jid::new(given).map_err(|source| Refused::BadAddress {
            given: given.to_owned(),
            source,
        })?;
        self.check(&jid)?;
        let domain = jid.domain();
        let made = self.common.accounts.invite(domain, uses, hours).await;
        let Token { invite, token } = made.map_err(failed)?;
        let token = String::from_utf8_lossy(token.expose()).into_owned();
        Ok(NewInvite {
            uri: format!("xmpp:{domain}?register;preauth={token}"),
            id: invite.id,
            token,
            domain: invite.domain,
            uses,
            expires: format_time(invite.expires_at),
        })
    }

    async fn invite_list(&self) -> Result<Vec<InviteRow>, Refused> {
        let invites = self.common.store.invites().await.map_err(failed)?;
        let rows = invites.into_iter().map(|invite| InviteRow {
            id: invite.id,
            domain: invite.domain,
            uses: invite.uses,
            created: format_time(invite.created_at),
            expires: format_time(invite.expires_at),
        });
        Ok(rows.collect())
    }

    async fn invite_revoke(&self, id: &str) -> Result<(), Refused> {
        match self.common.store.invite_revoke(id).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refused::NoSuchInvite(id.to_owned())),
            Err(error) => Err(failed(error)),
        }
    }

    async fn roster(&self, jid: &Jid) -> Result<Roster, Refused> {
        self.check(jid)?;
        roster::read(&self.common, jid).await
    }

    async fn roster_import(
        &self,
        jid: &Jid,
        items: Vec<RosterItem>,
        replace: bool,
    ) -> Result<Imported, Refused> {
        self.check(jid)?;
        roster::import(&self.common, &self.workers, jid, items, replace).await
    }

    async fn session_list(&self, of: Option<&Jid>) -> Result<Vec<SessionRow>, Refused> {
        Ok(sessions::list(&self.common, of))
    }

    async fn session_kick(&self, jid: &Jid, reason: &str) -> Result<Deleted, Refused> {
        sessions::kick(&self.common, jid, reason)
    }

    async fn component_list(&self) -> Result<Vec<ComponentRow>, Refused> {
        Ok(components::list(&self.common))
    }

    async fn component_kick(&self, jid: &Jid, reason: &str) -> Result<(), Refused> {
        components::kick(&self.common, jid, reason)
    }

    async fn block_list(&self, jid: &Jid) -> Result<Vec<Jid>, Refused> {
        self.check(jid)?;
        blocks::list(&self.common, jid).await
    }

    async fn block_change(&self, jid: &Jid, change: BlockChange) -> Result<(), Refused> {
        self.check(jid)?;
        blocks::change(&self.workers, jid, change).await
    }

    async fn script_list(&self) -> Result<Vec<ScriptRow>, Refused> {
        scripts::list(&self.scripts).await.map_err(failed)
    }

    async fn script_show(&self, name: &str) -> Result<ScriptPage, Refused> {
        scripts::show(&self.scripts, name).await
    }

    async fn script_reload(&self) -> Result<Reloaded, Refused> {
        let report = self.scripts.reload().await.map_err(failed)?;
        match report {
            Report::Refused {
                failure,
                generation,
            } => Err(Refused::Scripts {
                generation,
                report: failure.to_string(),
            }),
            report => Ok(Reloaded {
                generation: report.generation(),
                report: report.to_string(),
            }),
        }
    }

    async fn hooks(&self) -> Result<Vec<HookRow>, Refused> {
        let Some(worker) = self.workers.first() else {
            return Ok(Vec::new());
        };
        let (tell, told) = oneshot::channel();
        worker.run(move |local| {
            // Nobody listens if the console has given up.
            let _ = tell.send(local.services());
        });
        let services = tokio::time::timeout(ASK_TIME, told)
            .await
            .map_err(failed)?
            .map_err(failed)?;
        let functions = self.scripts.hooks().await.map_err(failed)?;
        Ok(scripts::hooks(&services, &functions))
    }

    async fn queue_totals(
        &self,
        domain: Option<&str>,
        after: Option<Owner>,
        limit: usize,
    ) -> Result<Vec<QueueTotal>, Refused> {
        let totals = queue::totals(&self.common, domain, after, limit).await;
        totals.map_err(failed)
    }

    async fn queue_rows(
        &self,
        owner: &Owner,
        after: i64,
        limit: usize,
    ) -> Result<Vec<QueueRow>, Refused> {
        let rows = queue::rows(&self.common, owner, after, limit).await;
        rows.map_err(failed)
    }

    async fn queue_show(&self, id: i64) -> Result<QueueStanza, Refused> {
        queue::show(&self.common, id).await
    }

    async fn queue_delete(&self, what: Waiting) -> Result<Thrown, Refused> {
        queue::delete(&self.common, what).await
    }

    async fn queue_retry(&self, what: Waiting) -> Result<Attempt, Refused> {
        queue::retry(&self.common, &self.workers, what).await
    }

    async fn queue_bounce(&self, what: Waiting, reason: &str) -> Result<GivenUp, Refused> {
        queue::bounce(&self.common, &self.workers, what, reason).await
    }

    async fn config_check(&self, file: Option<&str>) -> Result<ConfigReport, Refused> {
        settings::check(&self.common, file).await
    }

    async fn config_reload(&self) -> Result<ConfigReport, Refused> {
        settings::reload(&self.common, &self.reloads).await
    }

    async fn config_show(&self, path: &str) -> Result<SettingReport, Refused> {
        settings::show(&self.common, path)
    }

    fn traces(&self) -> Arc<Registry> {
        self.common.traces.clone()
    }

    fn shutdown(&self) {
        self.common.stop.notify_one();
    }
}
