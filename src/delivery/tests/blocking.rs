//! Whom a user blocks, while stanzas are on their way.

use super::*;
use crate::directory::{BlockChange, BlockError};

fn romeo() -> Vec<Jid> {
    vec![Jid::new("romeo@localhost").unwrap()]
}

impl Stage {
    async fn juliet_blocks(&self, change: BlockChange) {
        let juliet = Jid::new("juliet@localhost").unwrap();
        self.delivery.block(&juliet, change).await.unwrap();
    }
}

fn refused(outcome: Result<(), StanzaError>) -> Condition {
    outcome.unwrap_err().condition
}

#[test]
fn one_who_is_blocked_finds_nobody_there() {
    play(1 << 20, |stage| async move {
        stage.juliet_blocks(BlockChange::Block(romeo())).await;
        stage.settled().await;
        assert!(stage.delivery.directory().accounts().is_empty());
        for there in [false, true] {
            let juliet = stage.bind("garden", 1);
            if there {
                stage.available(&juliet);
                stage.settled().await;
            } else {
                let _ = stage.leave(&juliet);
            }
            // As to a user who does not exist: offline or online, bare or full, nothing shows.
            for user in ["juliet", "nobody"] {
                for to in [
                    format!("{user}@localhost"),
                    format!("{user}@localhost/garden"),
                ] {
                    let answer = outcome(stage.say(&to, 1)).await;
                    assert_eq!(refused(answer), Condition::ServiceUnavailable, "{to}");
                    let mut headline = message(&to, 2);
                    headline.set_type("headline");
                    let ready = stage.delivery.deliver(headline).receipt;
                    assert!(matches!(ready, Receipt::Ready), "{to}");
                }
            }
            stage.settled().await;
            assert_eq!(stage.kept().await, 0);
            assert!(juliet.reads(&stage).is_empty());
        }
    });
}

#[test]
fn what_was_stored_before_the_block_does_not_come_after_it() {
    play(1 << 20, |stage| async move {
        outcome(stage.say("juliet@localhost", 1)).await.unwrap();
        assert_eq!(stage.kept().await, 1);
        stage.juliet_blocks(BlockChange::Block(romeo())).await;
        let juliet = stage.online("garden", 1).await;
        assert!(juliet.reads(&stage).is_empty());
        assert_eq!(stage.kept().await, 0, "it is not in the way for ever");
        stage.juliet_blocks(BlockChange::UnblockAll).await;
        outcome(stage.say("juliet@localhost", 2)).await.unwrap();
        assert_eq!(juliet.reads(&stage), [2]);
    });
}

#[test]
fn what_a_session_left_behind_goes_back_to_one_who_was_blocked_meanwhile() {
    play(1 << 20, |stage| async move {
        let from = stage.bind_as("romeo@localhost/balcony", 1);
        stage.delivery.know(&from.jid).await.unwrap();
        let juliet = stage.online("garden", 2).await;
        assert!(matches!(
            stage.say("juliet@localhost", 7),
            Receipt::Written { .. }
        ));
        stage.juliet_blocks(BlockChange::Block(romeo())).await;
        assert!(stage.leave(&juliet).is_empty());
        stage.settled().await;
        assert_eq!(stage.kept().await, 0);
        let drained = from.outbox.drain(usize::MAX, Waker::noop()).unwrap();
        let (_, error) = &drained[0];
        assert_eq!((error.type_(), error.id()), ("error", Some("7")));
    });
}

#[test]
fn nothing_reaches_a_session_while_the_list_cannot_be_read() {
    play(1 << 20, |stage| async move {
        let juliet = stage.bind("garden", 1);
        stage.delivery.store.close().await.unwrap();
        let told = stage.delivery.know(&juliet.jid).await;
        assert_eq!(told, Err(BlockError::Failed));
        let answer = outcome(stage.say("juliet@localhost/garden", 1)).await;
        assert_eq!(refused(answer), Condition::InternalServerError);
        assert!(juliet.reads(&stage).is_empty());
    });
}

#[test]
fn only_a_user_who_exists_blocks_and_only_so_many() {
    play(1 << 20, |stage| async move {
        let nobody = Jid::new("nobody@localhost").unwrap();
        let told = stage
            .delivery
            .block(&nobody, BlockChange::Block(romeo()))
            .await;
        assert_eq!(told, Err(BlockError::NoSuchUser));
        let juliet = Jid::new("juliet@localhost").unwrap();
        let many = (0..=1000).map(|n| Jid::new(&format!("{n}.example")).unwrap());
        let told = stage
            .delivery
            .block(&juliet, BlockChange::Block(many.collect()))
            .await;
        assert_eq!(told, Err(BlockError::Full(1000)));
        outcome(stage.say("juliet@localhost", 1)).await.unwrap();
        stage.settled().await;
        assert!(stage.delivery.directory().accounts().is_empty());
    });
}
