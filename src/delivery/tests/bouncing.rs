//! What did not reach its user goes back to its sender while sessions come and go.

use super::*;
use crate::delivery::{Retried, Returned, given_up};
use crate::store::{RowId, SpoolRow};

const ROMEO: &str = "romeo@localhost/balcony";

impl Stage {
    async fn with_romeo(&self) {
        let romeo = Jid::new("romeo@localhost").unwrap();
        let credentials = Credentials::derive("pencil", 4096, b"salt salt salt..").unwrap();
        let made = self.delivery.store.user_create(&romeo, credentials);
        made.await.unwrap();
    }

    /// Messages of romeo's in juliet's spool; every second has expired.
    async fn keep_expiring(&self, ids: std::ops::Range<usize>) -> Vec<RowId> {
        let now = self.delivery.clock.wall_ms();
        let rows = ids.map(|id| SpoolRow {
            owner: juliet(),
            stanza: message("juliet@localhost", id).to_bytes(),
            from: Some(Jid::new(ROMEO).unwrap()),
            stored_at: now - 10_000,
            expires_at: (id % 2 == 0).then_some(now - 1_000),
        });
        let quota = (self.delivery.settings)().offline_quota;
        let kept = self.delivery.store.spool_append(rows.collect(), quota);
        kept.await.unwrap()
    }

    async fn expire(&self) -> Returned {
        let mut sum = Returned::default();
        loop {
            let expired = self.delivery.expire().await.unwrap();
            sum.bounced += expired.returned.bounced;
            sum.silent += expired.returned.silent;
            sum.underway += expired.returned.underway;
            sum.elsewhere.extend(expired.returned.elsewhere);
            if !expired.more {
                return sum;
            }
        }
    }

    async fn give_up(&self, rows: &[RowId]) -> Returned {
        let mut stanzas = Vec::new();
        for row in rows {
            let found = self.delivery.store.spool_row(*row).await.unwrap();
            stanzas.extend(found.map(|(_, stanza)| (*row, stanza)));
        }
        let juliet = Jid::new("juliet@localhost").unwrap();
        let why = given_up("no");
        let returned = self.delivery.bounce(&juliet, stanzas, &why);
        returned.await.unwrap()
    }

    async fn retry(&self) -> Retried {
        let juliet = Jid::new("juliet@localhost").unwrap();
        self.delivery.retry(&juliet).await.unwrap()
    }

    /// Rows in romeo's spool.
    async fn owed(&self) -> u64 {
        let romeo = Owner::parse("romeo@localhost").unwrap();
        self.delivery.store.spool_count(&romeo).await.unwrap()
    }
}

#[test]
fn what_has_expired_goes_back_to_the_session_that_sent_it() {
    play(1 << 20, |stage| async move {
        stage.with_romeo().await;
        let romeo = stage.bind_as(ROMEO, 1);
        stage.delivery.know(&romeo.jid).await.unwrap();
        stage.keep_expiring(0..6).await;
        let returned = stage.expire().await;
        assert_eq!((returned.bounced, returned.underway), (3, 0));
        assert!(returned.elsewhere.is_empty());
        stage.settled().await;
        let drained = romeo.outbox.drain(usize::MAX, Waker::noop()).unwrap();
        for ((_, error), id) in drained.iter().zip(["0", "2", "4"]) {
            assert_eq!((error.type_(), error.id()), ("error", Some(id)));
            assert_eq!(error.to(), Some(&romeo.jid));
        }
        assert_eq!((drained.len(), stage.owed().await), (3, 3));
        let rows = romeo.outbox.written(drained[2].0);
        stage.delivery.delete_rows(&romeo.jid, rows);
        stage.settled().await;
        assert_eq!(stage.owed().await, 0, "told once");
        assert_eq!(stage.kept().await, 3, "the others wait on");
        assert_eq!(stage.expire().await.bounced, 0);
    });
}

#[test]
fn a_sender_who_is_away_is_told_when_it_comes_back() {
    play(1 << 20, |stage| async move {
        stage.with_romeo().await;
        stage.keep_expiring(0..1).await;
        assert_eq!(stage.expire().await.bounced, 1);
        assert_eq!((stage.kept().await, stage.owed().await), (0, 1));
        // Another of his sessions, that did not send it.
        let romeo = stage.bind_as("romeo@localhost/street", 1);
        stage.available(&romeo);
        stage.settled().await;
        assert_eq!(romeo.reads(&stage), [0]);
        stage.settled().await;
        assert_eq!(stage.owed().await, 0);
        assert!(
            stage
                .delivery
                .directory()
                .find("juliet@localhost")
                .is_none()
        );
    });
}

#[test]
fn a_session_that_fetches_gets_it_when_the_one_that_sent_it_is_gone() {
    play(1 << 20, |stage| async move {
        stage.with_romeo().await;
        let romeo = stage.bind_as("romeo@localhost/street", 1);
        stage.delivery.know(&romeo.jid).await.unwrap();
        stage.available(&romeo);
        stage.settled().await;
        stage.keep_expiring(0..3).await;
        assert_eq!(stage.expire().await.bounced, 2);
        stage.settled().await;
        assert_eq!(romeo.reads(&stage), [0, 2]);
    });
}

#[test]
fn t49_an_error_that_waits_is_not_answered() {
    play(1 << 20, |stage| async move {
        stage.with_romeo().await;
        let rows = stage.keep_expiring(1..2).await;
        assert_eq!(stage.give_up(&rows).await.bounced, 1);
        let romeo = Owner::parse("romeo@localhost").unwrap();
        let owed = stage.delivery.store.spool_fetch(&romeo, RowId::START, 9);
        let owed = owed.await.unwrap();
        let jid = Jid::new("romeo@localhost").unwrap();
        let why = given_up("no");
        let returned = stage.delivery.bounce(&jid, owed, &why);
        let returned = returned.await.unwrap();
        assert_eq!((returned.bounced, returned.silent), (0, 1));
        assert_eq!((stage.owed().await, stage.kept().await), (0, 0));
    });
}

#[test]
fn an_error_for_somebody_without_a_queue_is_given_to_the_router() {
    play(1 << 20, |stage| async move {
        let rows = stage.keep_expiring(0..1).await;
        let returned = stage.give_up(&rows).await;
        assert_eq!(returned.bounced, 1);
        let to = returned.elsewhere[0].to().map(Jid::as_str);
        assert_eq!((to, stage.owed().await), (Some(ROMEO), 0));
    });
}

#[test]
fn what_a_session_is_being_given_does_not_go_back_unless_it_comes_back() {
    play(1 << 20, |stage| async move {
        stage.with_romeo().await;
        let rows = stage.keep_expiring(1..2).await;
        let session = stage.online("garden", 1).await;
        let returned = stage.give_up(&rows).await;
        assert_eq!((returned.bounced, returned.underway), (0, 1));
        assert_eq!((stage.kept().await, stage.owed().await), (1, 0));

        assert!(stage.leave(&session).is_empty());
        stage.settled().await;
        let returned = stage.give_up(&rows).await;
        assert_eq!((returned.bounced, returned.underway), (1, 0));
        let again = stage.online("garden", 2).await;
        assert!(again.reads(&stage).is_empty());
        assert_eq!(stage.owed().await, 1);
        assert_eq!(stage.give_up(&rows).await.bounced, 0, "once");
    });
}

#[test]
fn what_expires_under_way_is_looked_at_again_later() {
    play(1 << 20, |stage| async move {
        stage.with_romeo().await;
        let session = stage.bind("garden", 1);
        stage.delivery.know(&session.jid).await.unwrap();
        let rows = stage.keep_expiring(0..1).await;
        let carry = |row: i64| {
            let directory = stage.delivery.directory();
            directory.with(&session.jid, |_, state| state.carry(row))
        };
        assert!(carry(rows[0].into()));
        let returned = stage.expire().await;
        assert_eq!((returned.bounced, returned.underway), (0, 1));
        let totals = stage.delivery.store.spool_summary(None, None, 9);
        let total = totals.await.unwrap().remove(0);
        assert_eq!(total.tries, 1);
        assert!(total.next_at.unwrap() > stage.delivery.clock.wall_ms() - 60_000);
        assert_eq!(stage.expire().await.underway, 0, "not at once");
    });
}

#[test]
fn a_retry_says_what_it_gave_and_why_the_rest_waits() {
    play(4096, |stage| async move {
        stage.keep_expiring(1..2).await;
        let nobody = stage.retry().await;
        assert_eq!((nobody.given, nobody.waits), (0, 1));
        assert_eq!(nobody.why, Some("the user is not logged in"));
        assert!(stage.delivery.directory().accounts().is_empty());

        let juliet = stage.bind("garden", 1);
        let silent = stage.retry().await;
        assert!(silent.why.unwrap().starts_with("no session takes messages"));
        stage.available(&juliet);
        stage.settled().await;
        for id in 2..60 {
            outcome(stage.say("juliet@localhost", id)).await.unwrap();
        }
        let full = stage.retry().await;
        assert_eq!(full.session.as_ref(), Some(&juliet.jid));
        assert!(full.waits > 0 && full.why.unwrap().contains("as it reads"));
        let mut read = juliet.reads(&stage);
        stage.settled().await;
        let some = stage.retry().await;
        assert!(some.given > 0, "{some:?}");
        while read.len() < 59 {
            stage.retry().await;
            read.extend(juliet.reads(&stage));
            stage.settled().await;
        }
        assert_eq!(read, (1..60).collect::<Vec<_>>());
        let none = stage.retry().await;
        assert_eq!((none.given, none.waits, none.why), (0, 0, None));
    });
}
