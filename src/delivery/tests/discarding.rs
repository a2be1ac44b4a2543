//! Throwing waiting messages away while sessions come and go.

use std::pin::pin;
use std::task::{Context, Poll};

use super::*;
use crate::delivery::{Discarded, discard};
use crate::store::RowId;

impl Stage {
    /// What waits for juliet, in order.
    async fn rows(&self) -> Vec<RowId> {
        let rows = self
            .delivery
            .store
            .spool_rows(&juliet(), RowId::START, 1000);
        rows.await.unwrap().iter().map(|row| row.id).collect()
    }

    async fn discard(&self, rows: Vec<RowId>) -> Discarded {
        let juliet = Jid::new("juliet@localhost").unwrap();
        let directory = self.delivery.directory();
        discard(directory, &self.delivery.store, &juliet, rows)
            .await
            .unwrap()
    }

    async fn keep(&self, ids: std::ops::Range<usize>) -> Vec<RowId> {
        for id in ids {
            outcome(self.say("juliet@localhost", id)).await.unwrap();
        }
        self.settled().await;
        self.rows().await
    }
}

#[test]
fn what_is_thrown_away_reaches_nobody() {
    play(1 << 20, |stage| async move {
        let rows = stage.keep(0..3).await;
        let thrown = stage.discard(vec![rows[1]]).await;
        assert_eq!((thrown.deleted, thrown.underway), (1, 0));
        assert!(
            stage.delivery.directory().accounts().is_empty(),
            "nothing of it stays"
        );
        let juliet = stage.online("garden", 1).await;
        assert_eq!(juliet.reads(&stage), [0, 2]);
        stage.settled().await;
        assert_eq!(stage.discard(rows).await, Discarded::default());
    });
}

#[test]
fn what_a_session_is_being_given_stays_until_it_has_left() {
    play(1 << 20, |stage| async move {
        let rows = stage.keep(0..2).await;
        let juliet = stage.online("garden", 1).await;
        let thrown = stage.discard(rows.clone()).await;
        assert_eq!((thrown.deleted, thrown.underway), (0, 2));
        assert_eq!(stage.kept().await, 2, "they are safe until she has them");

        assert!(stage.leave(&juliet).is_empty());
        stage.settled().await;
        let thrown = stage.discard(rows).await;
        assert_eq!((thrown.deleted, thrown.underway), (2, 0));
        let again = stage.online("garden", 2).await;
        assert!(again.reads(&stage).is_empty());
    });
}

#[test]
fn a_login_in_the_middle_does_not_get_what_is_being_thrown_away() {
    play(1 << 20, |stage| async move {
        let rows = stage.keep(0..3).await;
        let mut discarding = pin!(stage.discard(rows[..2].to_vec()));
        // Begun: the store has been asked, and has not been heard.
        let begun = discarding
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        let juliet = stage.online("garden", 1).await;
        let thrown = match begun {
            Poll::Ready(thrown) => thrown,
            Poll::Pending => discarding.await,
        };
        assert_eq!((thrown.deleted, thrown.underway), (2, 0));
        assert_eq!(juliet.reads(&stage), [2]);
        stage.settled().await;
        assert!(stage.leave(&juliet).is_empty());
        assert!(
            stage.delivery.directory().accounts().is_empty(),
            "nothing of it stays"
        );
    });
}
