//! The console over its socket, with a backend that knows one user.

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use super::*;
use crate::directory::BlockChange;
use crate::jid::Jid;
use crate::observe::trace::{Record, Registry, TraceStep};
use crate::stanza::roster::{Roster, RosterItem};
use crate::store::spool::Owner;

#[derive(Default)]
struct OneUser {
    traces: Arc<Registry>,
    stopped: Arc<Notify>,
    passwords: Mutex<Vec<String>>,
}

impl Backend for OneUser {
    async fn summary(&self) -> Result<Summary, Refused> {
        Err(Refused::Failed("no summary here".into()))
    }
    async fn user_add(&self, jid: &Jid, password: &str) -> Result<(), Refused> {
        if jid.as_str() == "alice@localhost" {
            return Err(Refused::Exists(jid.clone()));
        }
        self.passwords.lock().push(password.to_owned());
        Ok(())
    }
    async fn user_passwd(&self, jid: &Jid, _: &str) -> Result<(), Refused> {
        Err(Refused::NoSuchUser(jid.clone()))
    }
    async fn user_delete(&self, _: &Jid) -> Result<Deleted, Refused> {
        Ok(Deleted { sessions_closed: 1 })
    }
    async fn user_list(&self, domain: Option<&str>) -> Result<Vec<UserRow>, Refused> {
        let row = UserRow {
            jid: "alice@localhost".to_owned(),
            sessions: 1,
            waiting: 2,
        };
        let ours = domain.is_none_or(|domain| domain == "localhost");
        Ok(if ours { vec![row] } else { Vec::new() })
    }
    async fn invite_create(
        &self,
        domain: Option<&str>,
        uses: u32,
        hours: u32,
    ) -> Result<NewInvite, Refused> {
        Ok(NewInvite {
            id: "a1".to_owned(),
            token: "a1b2".to_owned(),
            uri: String::new(),
            domain: domain.unwrap_or("localhost").to_owned(),
            uses,
            expires: format!("in {hours} hours"),
        })
    }
    async fn invite_list(&self) -> Result<Vec<InviteRow>, Refused> {
        Ok(Vec::new())
    }
    async fn invite_revoke(&self, id: &str) -> Result<(), Refused> {
        Err(Refused::NoSuchInvite(id.to_owned()))
    }
    async fn roster(&self, jid: &Jid) -> Result<Roster, Refused> {
        Err(Refused::NoSuchUser(jid.clone()))
    }
    async fn roster_import(
        &self,
        jid: &Jid,
        items: Vec<RosterItem>,
        replace: bool,
    ) -> Result<Imported, Refused> {
        Ok(Imported {
            jid: jid.to_string(),
            imported: items.len(),
            contacts: if replace { items.len() } else { 100 },
            version: 7,
        })
    }
    async fn session_list(&self, _: Option<&Jid>) -> Result<Vec<SessionRow>, Refused> {
        Ok(Vec::new())
    }
    async fn session_kick(&self, jid: &Jid, reason: &str) -> Result<Deleted, Refused> {
        if reason.starts_with("the operator") {
            return Ok(Deleted { sessions_closed: 2 });
        }
        Err(Refused::NoSession {
            jid: jid.clone(),
            others: vec!["alice@localhost/desk".to_owned()],
        })
    }
    async fn component_list(&self) -> Result<Vec<ComponentRow>, Refused> {
        Ok(Vec::new())
    }
    async fn component_kick(&self, jid: &Jid, _: &str) -> Result<(), Refused> {
        Err(Refused::NoComponent(jid.clone()))
    }
    async fn block_list(&self, jid: &Jid) -> Result<Vec<Jid>, Refused> {
        Err(Refused::NoSuchUser(jid.clone()))
    }
    async fn block_change(&self, jid: &Jid, _: BlockChange) -> Result<(), Refused> {
        Err(Refused::NoSuchUser(jid.clone()))
    }
    async fn script_list(&self) -> Result<Vec<ScriptRow>, Refused> {
        Ok(Vec::new())
    }
    async fn script_show(&self, name: &str) -> Result<ScriptPage, Refused> {
        Err(Refused::NoSuchScript {
            name: name.to_owned(),
            names: vec!["dialplan".to_owned()],
        })
    }
    async fn script_reload(&self) -> Result<Reloaded, Refused> {
        Err(Refused::Scripts {
            generation: 6,
            report: "dialplan.lua:3: oops".to_owned(),
        })
    }
    async fn config_check(&self, file: Option<&str>) -> Result<ConfigReport, Refused> {
        Err(Refused::Configuration {
            report: format!("{}:1: oops", file.unwrap_or_default()),
            details: serde_json::json!({ "errors": 1 }),
        })
    }
    async fn config_reload(&self) -> Result<ConfigReport, Refused> {
        Err(Refused::Failed("no configuration here".into()))
    }
    async fn config_show(&self, path: &str) -> Result<SettingReport, Refused> {
        Err(Refused::NoSetting(path.to_owned()))
    }
    async fn hooks(&self) -> Result<Vec<HookRow>, Refused> {
        Ok(Vec::new())
    }
    async fn queue_totals(
        &self,
        _: Option<&str>,
        after: Option<Owner>,
        limit: usize,
    ) -> Result<Vec<QueueTotal>, Refused> {
        let total = |at| QueueTotal {
            owner: format!("user{at}@localhost"),
            kind: "user",
            messages: 1,
            bytes: 100,
            oldest_at: "2026-01-02T03:04:05.000Z".to_owned(),
            tries: 0,
            next_at: None,
        };
        let behind = |total: &QueueTotal| after.iter().all(|owner| *owner.name() < *total.owner);
        Ok((0..3).map(total).filter(behind).take(limit).collect())
    }
    async fn queue_rows(&self, _: &Owner, _: i64, _: usize) -> Result<Vec<QueueRow>, Refused> {
        Ok(Vec::new())
    }
    async fn queue_show(&self, id: i64) -> Result<QueueStanza, Refused> {
        Err(Refused::NotQueued(id.to_string()))
    }
    async fn queue_delete(&self, what: Waiting) -> Result<Thrown, Refused> {
        match what {
            Waiting::Row(id) => Err(Refused::NotQueued(id.to_string())),
            Waiting::Owner(owner) => Ok(Thrown {
                owner: owner.to_string(),
                deleted: 2,
                underway: 0,
            }),
        }
    }
    async fn queue_retry(&self, what: Waiting) -> Result<Attempt, Refused> {
        Err(Refused::Unserved(format!("{what:?}")))
    }
    async fn queue_bounce(&self, what: Waiting, reason: &str) -> Result<GivenUp, Refused> {
        Err(Refused::Failed(format!("{what:?} {reason}").into()))
    }
    fn traces(&self) -> Arc<Registry> {
        Arc::clone(&self.traces)
    }
    fn shutdown(&self) {
        self.stopped.notify_one();
    }
}

/// Serves `backend` at a fresh socket while `client` runs on a thread of its own.
fn with_console<T: Send + 'static>(
    backend: OneUser,
    client: impl FnOnce(PathBuf) -> T + Send + 'static,
) -> T {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run/stanzad.sock");
    run_local(async move {
        let listener = Listener::bind(&path, 0o600).unwrap();
        let serving = tokio::task::spawn_local(listener.serve(Rc::new(backend)));
        let given = tokio::task::spawn_blocking(move || client(path))
            .await
            .unwrap();
        serving.abort();
        given
    })
}

fn run_local<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

fn ask(path: &Path, command: &str, args: &[(&str, &str)]) -> Vec<Reply> {
    let request = Request {
        command: command.to_owned(),
        args: args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    Answers::ask(UnixStream::connect(path).unwrap(), &request)
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn complaint(mut replies: Vec<Reply>) -> Complaint {
    match replies.pop() {
        Some(Reply::Error(complaint)) => complaint,
        other => panic!("expected an error, got {other:?}"),
    }
}

fn done(mut replies: Vec<Reply>) -> Value {
    match replies.pop() {
        Some(Reply::Done(value)) => value,
        other => panic!("expected an object, got {other:?}"),
    }
}

#[test]
fn commands_answer_with_rows_objects_and_complaints() {
    with_console(OneUser::default(), |path| {
        let users = ask(&path, "user list", &[]);
        assert!(matches!(&users[..], [Reply::Row(row), Reply::Done(_)] if row["waiting"] == 2));
        let users = ask(&path, "user list", &[("domain", "other.example")]);
        assert!(matches!(&users[..], [Reply::Done(_)]));

        let bob = [("jid", "bob@localhost"), ("password", "secret")];
        let added = ask(&path, "user add", &bob);
        assert!(matches!(&added[..], [Reply::Done(done)] if done["jid"] == "bob@localhost"));
        let alice = [("jid", "alice@localhost"), ("password", "secret")];
        let refused = complaint(ask(&path, "user add", &alice));
        assert_eq!(refused.code, "exists");
        assert_eq!(refused.message, "alice@localhost exists");
        assert!(
            refused
                .hint
                .unwrap()
                .contains("user passwd alice@localhost")
        );

        let nobody = [("jid", "localhost"), ("password", "secret")];
        assert_eq!(
            complaint(ask(&path, "user add", &nobody)).code,
            "not-a-user"
        );
        let empty = [("jid", "bob@localhost"), ("password", "")];
        assert_eq!(
            complaint(ask(&path, "user add", &empty)).code,
            "bad-password"
        );

        let alice = ("jid", "alice@localhost/phone");
        let kicked = ask(&path, "session kick", &[alice]);
        assert!(matches!(&kicked[..], [Reply::Done(done)] if done["sessions_closed"] == 2));
        let why = |reason| complaint(ask(&path, "session kick", &[alice, ("reason", reason)]));
        assert_eq!(why("go").hint.unwrap(), "logged in: alice@localhost/desk");
        assert_eq!(why("bell\u{7}").code, "bad-reason");
        assert_eq!(why(&"long ".repeat(101)).code, "bad-reason");

        let wrong = complaint(ask(&path, "config check", &[("file", "a.conf")]));
        assert_eq!(
            wrong.message,
            "the configuration is not valid\na.conf:1: oops"
        );
        assert_eq!(wrong.details.unwrap()["errors"], 1);

        let broken = complaint(ask(&path, "script reload", &[]));
        assert_eq!(broken.message, "still on 6: dialplan.lua:3: oops");
    });
}

#[test]
fn listings_are_bounded_and_say_when_there_is_more() {
    with_console(OneUser::default(), |path| {
        let list = |args: &[(&str, &str)]| ask(&path, "queue list", args);
        let all = list(&[("limit", "3")]);
        assert!(
            matches!(&all[..], [_, _, _, Reply::Done(Value::Null)]),
            "{all:?}"
        );
        let some = list(&[("limit", "2")]);
        assert!(
            matches!(&some[..], [Reply::Row(_), Reply::Row(_), Reply::Done(end)] if end["more"] == true),
            "{some:?}"
        );
        let bad = complaint(list(&[("limit", "0")]));
        assert_eq!(bad.message, "`0` is no limit of `queue list`");

        let rest = list(&[("after", "user0@localhost"), ("limit", "2")]);
        assert!(
            matches!(&rest[..], [Reply::Row(row), _, Reply::Done(Value::Null)] if row["owner"] == "user1@localhost"),
            "{rest:?}"
        );
        for of in [&[("after", "7")][..], &[("owner", "a@x"), ("after", "b@x")]] {
            assert_eq!(complaint(list(of)).code, "not-after");
        }
        assert_eq!(complaint(list(&[("owner", "a@x/y")])).code, "not-a-queue");

        let delete = |what| ask(&path, "queue delete", &[("what", what)]);
        assert_eq!(complaint(delete("17")).code, "not-queued");
        assert_eq!(complaint(delete("localhost")).code, "not-a-queue");
        let cleared = delete("alice@localhost");
        assert!(matches!(&cleared[..], [Reply::Done(done)] if done["deleted"] == 2));
        assert_eq!(
            complaint(ask(&path, "queue show", &[("id", "-1")])).code,
            "not-queued"
        );
    });
}

#[test]
fn rosters_are_imported_whole_or_not_at_all() {
    with_console(OneUser::default(), |path| {
        let import = |record: &str, more: &[(&str, &str)]| {
            let args = [&[("jid", "bob@localhost"), ("record", record)], more].concat();
            ask(&path, "roster import", &args)
        };
        // Longer than any line that a person types.
        let contacts: Vec<String> = (0..5_000)
            .map(|n| {
                format!(
                    "\"contact{n}@localhost\": {{\"name\": {:?}}}",
                    "n".repeat(300)
                )
            })
            .collect();
        let record = format!("{{{}}}", contacts.join(","));
        assert!(record.len() > 1 << 20);
        let done = import(&record, &[]);
        let [Reply::Done(done)] = &done[..] else {
            panic!("{done:?}");
        };
        assert_eq!(
            (&done["imported"], &done["contacts"]),
            (&5_000.into(), &100.into())
        );
        let done = import("{}", &[("replace", "true")]);
        assert!(matches!(&done[..], [Reply::Done(done)] if done["contacts"] == 0));

        let refused = complaint(import("{}", &[("replace", "yes")]));
        assert_eq!(refused.code, "bad-argument");
        let refused = complaint(import("{\"a@x\": 7}", &[]));
        assert_eq!(refused.code, "bad-record");
        assert_eq!(
            refused.message,
            "1 fault, nothing was imported\n  `a@x`: a number where an object should be"
        );
        let nobody = complaint(ask(&path, "roster show", &[("jid", "eve@localhost")]));
        assert_eq!(nobody.code, "no-such-user");
    });
}

#[test]
fn trace_follows_until_the_client_closes() {
    let backend = OneUser::default();
    let traces = Arc::clone(&backend.traces);
    with_console(backend, move |path| {
        let request = Request {
            command: "trace".to_owned(),
            args: [("jid".to_owned(), "alice@localhost".to_owned())].into(),
        };
        let mut answers = Answers::ask(UnixStream::connect(&path).unwrap(), &request).unwrap();
        let first = answers.next().unwrap().unwrap();
        assert!(matches!(first, Reply::Row(Value::Null)));
        traces.publish(&Record {
            when: SystemTime::UNIX_EPOCH,
            kind: "message",
            id: "m1".to_owned(),
            from: "alice@localhost/a".to_owned(),
            to: "echo@localhost".to_owned(),
            steps: vec![TraceStep {
                point: "client_message_recv",
                handler: "script:dialplan".into(),
                verdict: "done",
                took: Duration::from_micros(13),
            }],
            fate: "taken".to_owned(),
        });
        let Reply::Row(row) = answers.next().unwrap().unwrap() else {
            panic!("a row");
        };
        assert_eq!(row["when"], "1970-01-01T00:00:00.000Z");
        assert_eq!(row["steps"][0]["us"], 13);
        drop(answers);
        while traces.active() {
            std::thread::yield_now();
        }
    });
}

#[test]
fn shutdown_is_answered_before_it_begins() {
    let backend = OneUser::default();
    let stopped = Arc::clone(&backend.stopped);
    with_console(backend, |path| {
        assert!(matches!(&ask(&path, "shutdown", &[])[..], [Reply::Done(_)]));
    });
    run_local(stopped.notified());
}

#[test]
fn socket_has_its_mode_and_goes_with_the_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/er/stanzad.sock");
    run_local(async {
        let listener = Listener::bind(&path, 0o660).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let second = Listener::bind(&path, 0o660).unwrap_err();
        assert!(matches!(second, BindError::InUse { .. }), "{second}");
        drop(listener);
        assert!(!path.exists());
    });
}

#[test]
fn invites_have_their_defaults_and_their_complaint() {
    with_console(OneUser::default(), |path| {
        let made = done(ask(&path, "invite create", &[]));
        assert_eq!(made["uses"], 1);
        assert_eq!(made["expires"], "in 168 hours");
        let options = [("domain", "example.org"), ("uses", "5"), ("hours", "2")];
        let made = done(ask(&path, "invite create", &options));
        assert_eq!(
            (&made["domain"], &made["uses"]),
            (&"example.org".into(), &5.into())
        );
        assert_eq!(made["expires"], "in 2 hours");
        let zero = ask(&path, "invite create", &[("uses", "0")]);
        assert_eq!(complaint(zero).code, "bad-argument");
        let gone = ask(&path, "invite revoke", &[("id", "zz")]);
        assert_eq!(complaint(gone).code, "no-such-invite");
    });
}

#[test]
fn socket_of_a_dead_daemon_is_replaced_and_a_file_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stanzad.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    run_local(async {
        drop(Listener::bind(&path, 0o660).unwrap());
        std::fs::write(&path, "notes").unwrap();
        let refused = Listener::bind(&path, 0o660).unwrap_err();
        assert!(matches!(refused, BindError::NotASocket { .. }), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "notes");
    });
}
