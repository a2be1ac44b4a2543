mod blocking;
mod bouncing;
mod copies;
mod discarding;

use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use tokio::runtime::{Builder, LocalOptions};

use super::*;
use crate::directory::{About, Outcome, Progress, Safe};
use crate::sasl::Credentials;
use crate::store::StoreOptions;
use crate::store::spool::Owner;

/// A server with a store of its own, juliet as its only user, and outboxes of `outbox_bytes`.
struct Stage {
    delivery: Rc<Delivery>,
    turns: Arc<Turns>,
    _dir: tempfile::TempDir,
}

/// One session as delivery sees it; `reads` takes what was put into its outbox.
struct Client {
    jid: Jid,
    session: u64,
    outbox: Arc<Outbox>,
}

fn play<F: Future<Output = ()>>(outbox_bytes: usize, scene: impl FnOnce(Stage) -> F) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let wall = clock.clone();
        let store = Store::open(dir.path(), StoreOptions::new(move || wall.wall_ms())).unwrap();
        let juliet = Jid::new("juliet@localhost").unwrap();
        let credentials = Credentials::derive("pencil", 4096, b"salt salt salt..").unwrap();
        store.user_create(&juliet, credentials).await.unwrap();
        let turns = Arc::new(Turns::default());
        let settings = move || Settings {
            offline_expiration_s: None,
            offline_quota: Quota {
                rows: 1_000,
                bytes: 16 << 20,
            },
            outbox_bytes,
            sessions_per_user: 3,
        };
        let delivery = Rc::new(Delivery::new(
            Arc::default(),
            store,
            clock,
            (turns.clone(), Arc::default()),
            Box::new(settings),
        ));
        scene(Stage {
            delivery,
            turns,
            _dir: dir,
        })
        .await;
    });
}

impl Stage {
    fn bind(&self, resource: &str, session: u64) -> Client {
        self.bind_as(&format!("juliet@localhost/{resource}"), session)
    }

    fn bind_as(&self, jid: &str, session: u64) -> Client {
        let jid = Jid::new(jid).unwrap();
        let (outbox, _) = self.delivery.bind(&jid, session, About::default()).unwrap();
        Client {
            jid,
            session,
            outbox,
        }
    }

    fn available(&self, client: &Client) {
        self.delivery
            .presence(&client.jid, client.session, Some(Stanza::presence("")));
    }

    /// A session that has what waited for it.
    async fn online(&self, resource: &str, session: u64) -> Client {
        let client = self.bind(resource, session);
        self.available(&client);
        self.settled().await;
        client
    }

    /// Asks that what waits for `client` be safe now.
    async fn insured(&self, client: &Client) -> Outcome {
        let account = self.delivery.directory().find("juliet@localhost").unwrap();
        let insured = self.delivery.insure(&account, &client.outbox).unwrap();
        insured.await.unwrap()
    }

    fn leave(&self, client: &Client) -> Vec<Stanza> {
        self.delivery
            .unbind(&client.jid, client.session, &client.outbox)
    }

    fn say(&self, to: &str, id: usize) -> Receipt {
        self.delivery.deliver(message(to, id)).receipt
    }

    /// Rows in juliet's spool.
    async fn kept(&self) -> u64 {
        let store = &self.delivery.store;
        store.spool_count(&juliet()).await.unwrap()
    }

    async fn settled(&self) {
        while self.turns.count() > 0 {
            tokio::task::yield_now().await;
        }
    }
}

impl Client {
    /// Takes and "writes" everything; the ids, in order.
    fn reads(&self, stage: &Stage) -> Vec<usize> {
        let mut ids = Vec::new();
        while let Some(drained) = self.outbox.drain(usize::MAX, Waker::noop()) {
            let last = drained.last().map(|(at, _)| *at).unwrap();
            ids.extend(
                drained
                    .iter()
                    .map(|(_, stanza)| stanza.id().unwrap().parse::<usize>().unwrap()),
            );
            let rows = self.outbox.written(last);
            stage.delivery.delete_rows(&self.jid, rows);
        }
        ids
    }
}

fn juliet() -> Owner {
    Owner::parse("juliet@localhost").unwrap()
}

fn message(to: &str, id: usize) -> Stanza {
    let mut message = Stanza::message(Jid::new(to).unwrap()).with_body("wherefore art thou");
    message.set_id(Some(&id.to_string()));
    message.set_type("chat");
    message.set_from(Some(Jid::new("romeo@localhost/balcony").unwrap()));
    message
}

async fn outcome(receipt: Receipt) -> Result<(), StanzaError> {
    match receipt {
        Receipt::Ready | Receipt::Written { .. } | Receipt::Taken { .. } => Ok(()),
        Receipt::Stored { outcome, .. } | Receipt::Insured(outcome) => {
            outcome.await.unwrap().map(|_| ())
        }
        Receipt::Refused(error) => Err(error),
    }
}

#[test]
fn messages_for_one_who_is_away_wait_in_order_and_are_stamped() {
    play(1 << 20, |stage| async move {
        for id in 0..250 {
            outcome(stage.say("juliet@localhost", id)).await.unwrap();
        }
        let juliet = stage.online("garden", 1).await;
        let first = juliet.outbox.drain(1, Waker::noop()).unwrap();
        let (at, stanza) = &first[0];
        assert!(stanza.has_child("delay", "urn:xmpp:delay"));
        assert!(stanza.has_child("stanza-id", "urn:xmpp:sid:0"));
        let rows = juliet.outbox.written(*at);
        stage.delivery.delete_rows(&juliet.jid, rows);
        assert_eq!(juliet.reads(&stage), (1..250).collect::<Vec<_>>());
        stage.settled().await;
        let later = stage.online("balcony", 2).await;
        assert!(
            later.reads(&stage).is_empty(),
            "rows go when they are written"
        );
    });
}

#[test]
fn a_message_to_nobody_is_refused() {
    play(1 << 20, |stage| async move {
        let error = outcome(stage.say("nobody@localhost", 1)).await.unwrap_err();
        assert_eq!(error.condition, Condition::ServiceUnavailable);
        stage.settled().await;
        assert!(stage.delivery.directory().accounts().is_empty());
    });
}

#[test]
fn what_a_session_did_not_write_comes_to_the_next_before_anything_newer() {
    play(1 << 20, |stage| async move {
        let juliet = stage.online("garden", 1).await;
        for id in 0..5 {
            assert!(matches!(
                stage.say("juliet@localhost", id),
                Receipt::Written { .. }
            ));
        }
        assert!(stage.leave(&juliet).is_empty());
        outcome(stage.say("juliet@localhost", 5)).await.unwrap();
        let again = stage.online("garden", 2).await;
        assert_eq!(again.reads(&stage), vec![0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn a_full_outbox_sends_messages_to_the_spool_and_catches_up_in_order() {
    play(4096, |stage| async move {
        let juliet = stage.online("garden", 1).await;
        for id in 0..200 {
            outcome(stage.say("juliet@localhost", id)).await.unwrap();
        }
        assert!(juliet.outbox.overflowed());
        let mut read = Vec::new();
        while read.len() < 200 {
            read.extend(juliet.reads(&stage));
            if juliet.outbox.overflowed() {
                stage.delivery.catch_up(&juliet.jid, juliet.session);
            }
            stage.settled().await;
        }
        assert_eq!(read, (0..200).collect::<Vec<_>>());
    });
}

#[test]
fn a_session_that_ends_while_it_is_behind_loses_and_doubles_nothing() {
    play(4096, |stage| async move {
        let juliet = stage.online("garden", 1).await;
        for id in 0..100 {
            outcome(stage.say("juliet@localhost", id)).await.unwrap();
        }
        stage.leave(&juliet);
        stage.settled().await;
        let again = stage.bind("balcony", 2);
        stage.available(&again);
        let mut read = Vec::new();
        while read.len() < 100 {
            stage.settled().await;
            read.extend(again.reads(&stage));
            if again.outbox.overflowed() {
                stage.delivery.catch_up(&again.jid, again.session);
            }
        }
        assert_eq!(read, (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn an_insured_message_is_safe_before_it_is_written_and_comes_once() {
    play(1 << 20, |stage| async move {
        let juliet = stage.online("garden", 1).await;
        let Receipt::Written {
            account: Some(account),
            outbox,
            at,
        } = stage.say("juliet@localhost", 7)
        else {
            panic!("juliet is online");
        };
        assert_eq!(outbox.poll_safe(at, Waker::noop()), Progress::Waits);
        let insured = stage.delivery.insure(&account, &outbox).unwrap();
        assert!(matches!(insured.await.unwrap(), Ok(Safe::Now)));
        stage.leave(&juliet);
        stage.settled().await;
        let again = stage.online("balcony", 2).await;
        assert_eq!(again.reads(&stage), vec![7]);
    });
}

#[test]
fn the_turn_keeps_order_while_a_user_comes_and_goes() {
    play(1 << 20, |stage| async move {
        let mut read = Vec::new();
        let mut receipts = Vec::new();
        for round in 0..200 {
            let juliet = stage.bind("garden", round + 1);
            receipts.push(stage.say("juliet@localhost", receipts.len()));
            stage.available(&juliet);
            receipts.push(stage.say("juliet@localhost", receipts.len()));
            if round % 3 == 0 {
                tokio::task::yield_now().await;
            }
            receipts.push(stage.say("juliet@localhost", receipts.len()));
            if round % 2 == 0 {
                stage.settled().await;
                read.extend(juliet.reads(&stage));
            }
            stage.leave(&juliet);
        }
        for receipt in receipts {
            outcome(receipt).await.unwrap();
        }
        let last = stage.bind("garden", 10_000);
        stage.available(&last);
        stage.settled().await;
        read.extend(last.reads(&stage));
        assert_eq!(read, (0..600).collect::<Vec<_>>());
    });
}

#[test]
fn an_older_session_of_the_same_resource_is_asked_to_end() {
    play(1 << 20, |stage| async move {
        let older = stage.bind("garden", 1);
        let newer = stage.bind("garden", 2);
        assert_eq!(
            older.outbox.wish(Waker::noop()),
            Some(crate::directory::Wish::End(
                crate::directory::Closing::Conflict
            ))
        );
        assert_eq!(newer.outbox.wish(Waker::noop()), None);
        stage.bind("balcony", 3);
        stage.bind("tower", 4);
        let jid = Jid::new("juliet@localhost/crypt").unwrap();
        assert_eq!(
            stage.delivery.bind(&jid, 5, About::default()).err(),
            Some(BindError::TooMany)
        );
    });
}

#[test]
fn who_takes_the_place_of_a_session_gets_what_that_had_not_written_before_anything_newer() {
    play(1 << 20, |stage| async move {
        let first = stage.online("balcony", 1).await;
        for id in 0..3 {
            outcome(stage.say("juliet@localhost", id)).await.unwrap();
        }
        // One is on its way to a socket that takes nothing.
        let stuck = first.outbox.drain(1, Waker::noop()).unwrap();
        assert_eq!(stuck.len(), 1);
        let mut question = Stanza::iq("get", "asked");
        question.set_from(Some(Jid::new("juliet@localhost/nurse").unwrap()));
        question.set_to(Some(first.jid.clone()));
        let nurse = stage.bind("nurse", 2);
        stage.delivery.deliver(question);

        // The older session has not noticed yet.
        let second = stage.online("balcony", 3).await;
        outcome(stage.say("juliet@localhost", 3)).await.unwrap();
        assert_eq!(second.reads(&stage), [0, 1, 2, 3]);
        let bounced = nurse.outbox.drain(usize::MAX, Waker::noop()).unwrap();
        assert_eq!(bounced[0].1.id(), Some("asked"));
        assert_eq!(bounced[0].1.type_(), "error");
        assert!(stage.leave(&first).is_empty());
        stage.settled().await;
        assert!(second.reads(&stage).is_empty());
        assert_eq!(stage.kept().await, 0);
    });
}

#[test]
fn a_message_that_is_being_written_can_be_insured() {
    play(1 << 20, |stage| async move {
        let juliet = stage.online("garden", 1).await;
        let Receipt::Written {
            account: Some(account),
            outbox,
            ..
        } = stage.say("juliet@localhost", 7)
        else {
            panic!("juliet is online");
        };
        let drained = juliet.outbox.drain(usize::MAX, Waker::noop()).unwrap();
        let insured = stage.delivery.insure(&account, &outbox).unwrap();
        assert!(insured.await.unwrap().is_ok());
        assert_eq!(stage.kept().await, 1);
        let rows = juliet.outbox.written(drained[0].0);
        stage.delivery.delete_rows(&juliet.jid, rows);
        stage.settled().await;
        assert_eq!(stage.kept().await, 0);
    });
}

#[test]
fn a_session_that_ends_while_its_messages_are_insured_keeps_one_row_of_each() {
    play(1 << 20, |stage| async move {
        let juliet = stage.online("garden", 1).await;
        let receipts: Vec<_> = (0..3).map(|id| stage.say("juliet@localhost", id)).collect();
        let Some(Receipt::Written {
            account: Some(account),
            outbox,
            ..
        }) = receipts.first()
        else {
            panic!("juliet is online");
        };
        let insured = stage.delivery.insure(account, outbox).unwrap();
        // The turn begins its append and waits for it.
        tokio::task::yield_now().await;
        stage.leave(&juliet);
        assert!(insured.await.unwrap().is_ok());
        stage.settled().await;
        assert_eq!(stage.kept().await, 3);
        let again = stage.online("balcony", 2).await;
        assert_eq!(again.reads(&stage), vec![0, 1, 2]);
    });
}

#[test]
fn what_is_left_behind_comes_to_the_next_resource_in_order() {
    play(1 << 20, |stage| async move {
        let juliet = stage.bind("garden", 1);
        let heir = stage.bind("balcony", 2);
        let five = crate::xml::Element::new("priority", crate::xml::CLIENT_NS).with_text("5");
        let presence = Stanza::presence("").with_child(&five);
        stage
            .delivery
            .presence(&juliet.jid, juliet.session, Some(presence));
        stage.available(&heir);
        stage.settled().await;
        let Receipt::Written {
            account: Some(account),
            outbox,
            ..
        } = stage.say("juliet@localhost", 0)
        else {
            panic!("juliet is online");
        };
        let insured = stage.delivery.insure(&account, &outbox).unwrap();
        assert!(insured.await.unwrap().is_ok());
        stage.settled().await;
        stage.say("juliet@localhost", 1);
        stage.leave(&juliet);
        stage.settled().await;
        assert_eq!(heir.reads(&stage), vec![0, 1]);
    });
}

#[test]
fn deleted_rows_are_not_free_for_a_flush_that_fetched_them_before() {
    play(1 << 20, |stage| async move {
        outcome(stage.say("juliet@localhost", 1)).await.unwrap();
        let juliet = stage.online("garden", 1).await;
        let with = |look: &dyn Fn(&mut State)| {
            let directory = stage.delivery.directory();
            directory.with(&juliet.jid, |_, state| look(state));
        };
        // As a flush of another session would.
        with(&|state| assert!(state.take_turn()));
        let drained = juliet.outbox.drain(usize::MAX, Waker::noop()).unwrap();
        let rows = juliet.outbox.written(drained[0].0);
        stage.delivery.delete_rows(&juliet.jid, rows.clone());
        stage.settled().await;
        with(&|state| assert!(!state.carry(rows[0])));
        let tidied = turn::run(
            stage.delivery.clone(),
            stage.delivery.directory().open(&juliet.jid),
            stage.turns.begin(),
        );
        tidied.await;
        with(&|state| assert!(state.carry(rows[0])));
    });
}

#[test]
fn a_left_behind_message_that_cannot_be_stored_comes_back_as_an_error() {
    play(1 << 20, |stage| async move {
        let romeo = stage.bind_as("romeo@localhost/balcony", 1);
        let juliet = stage.online("garden", 2).await;
        stage.delivery.know(&romeo.jid).await.unwrap();
        stage.say("juliet@localhost", 7);
        stage.delivery.store.close().await.unwrap();
        stage.leave(&juliet);
        stage.settled().await;
        let drained = romeo.outbox.drain(usize::MAX, Waker::noop()).unwrap();
        let (_, error) = &drained[0];
        assert_eq!((error.type_(), error.id()), ("error", Some("7")));
    });
}

#[test]
fn a_left_behind_message_that_is_for_nobody_else_comes_back_as_an_error() {
    play(1 << 20, |stage| async move {
        let romeo = stage.bind_as("romeo@localhost/balcony", 1);
        let juliet = stage.bind("garden", 2);
        stage.delivery.know(&romeo.jid).await.unwrap();
        stage.delivery.know(&juliet.jid).await.unwrap();
        for (id, kind) in ["groupchat", "normal", "headline"].iter().enumerate() {
            let mut stanza = message("juliet@localhost/garden", id);
            stanza.set_type(kind);
            drop(stage.delivery.deliver(stanza));
        }
        assert!(stage.leave(&juliet).is_empty());
        stage.settled().await;
        let drained = romeo.outbox.drain(usize::MAX, Waker::noop()).unwrap();
        let (_, error) = &drained[0];
        assert_eq!((error.type_(), error.id()), ("error", Some("0")));
        assert_eq!(drained.len(), 1);
        assert_eq!(stage.kept().await, 1, "what is meant for the user waits");
    });
}

#[test]
fn names_that_get_nothing_leave_nothing() {
    play(1 << 20, |stage| async move {
        for (id, kind) in ["headline", "error", "groupchat"].iter().enumerate() {
            let mut message = message(&format!("nobody{id}@localhost"), id);
            message.set_type(kind);
            stage.delivery.deliver(message);
        }
        assert!(stage.delivery.directory().accounts().is_empty());
    });
}
