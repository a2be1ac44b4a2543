//! A message that several sessions get, and one that the spool has no room for.

use super::*;

/// Two sessions of one priority, which were both given message 1.
async fn both_told(stage: &Stage) -> (Client, Client) {
    let (desk, phone) = (stage.bind("desk", 1), stage.bind("phone", 2));
    stage.available(&desk);
    stage.available(&phone);
    stage.settled().await;
    outcome(stage.say("juliet@localhost", 1)).await.unwrap();
    (desk, phone)
}

#[test]
fn a_session_that_ends_passes_on_nothing_that_another_has() {
    play(1 << 20, |stage| async move {
        let (desk, phone) = both_told(&stage).await;
        assert_eq!(desk.reads(&stage), vec![1]);
        stage.leave(&phone);
        stage.settled().await;
        assert_eq!((desk.reads(&stage), stage.kept().await), (vec![], 0));
    });
}

#[test]
fn what_nobody_of_several_has_is_kept_once() {
    play(1 << 20, |stage| async move {
        let (desk, phone) = both_told(&stage).await;
        stage.leave(&phone);
        stage.settled().await;
        assert_eq!(stage.kept().await, 1, "until the desk has sent it");
        stage.leave(&desk);
        stage.settled().await;
        assert_eq!(stage.kept().await, 1);
        let again = stage.online("balcony", 3).await;
        assert_eq!(again.reads(&stage), vec![1]);
    });
}

#[test]
fn a_copy_in_the_spool_goes_when_another_session_has_the_message() {
    play(1 << 20, |stage| async move {
        let (desk, phone) = both_told(&stage).await;
        assert!(matches!(stage.insured(&phone).await, Ok(Safe::Now)));
        assert_eq!((desk.reads(&stage), stage.kept().await), (vec![1], 1));
        stage.leave(&phone);
        stage.settled().await;
        assert_eq!((desk.reads(&stage), stage.kept().await), (vec![], 0));
    });
}

#[test]
fn a_message_that_the_spool_has_no_room_for_is_safe_when_it_is_taken() {
    play(8 << 20, |stage| async move {
        for id in 0..1_000 {
            outcome(stage.say("juliet@localhost", id)).await.unwrap();
        }
        let juliet = stage.online("garden", 1).await;
        let Receipt::Written {
            account: Some(account),
            outbox,
            at,
        } = stage.say("juliet@localhost", 1_000)
        else {
            panic!("juliet is online");
        };
        let insured = stage.delivery.insure(&account, &outbox).unwrap();
        let Ok(Safe::Written(_, _, waits_for)) = insured.await.unwrap() else {
            panic!("it is in memory alone");
        };
        assert_eq!(waits_for, at);
        assert_eq!(outbox.poll_safe(at, Waker::noop()), Progress::Waits);
        assert_eq!(juliet.reads(&stage), (0..=1_000).collect::<Vec<_>>());
        assert_eq!(outbox.poll_safe(at, Waker::noop()), Progress::Safe);
    });
}

#[test]
fn one_row_keeps_a_message_for_all_sessions_that_wait_to_send_it() {
    play(1 << 20, |stage| async move {
        let (desk, phone) = both_told(&stage).await;
        for one in [&phone, &desk] {
            assert!(matches!(stage.insured(one).await, Ok(Safe::Now)));
        }
        assert_eq!(stage.kept().await, 1);
        stage.leave(&phone);
        stage.settled().await;
        assert_eq!(stage.kept().await, 1, "the desk has only memory beside it");
        stage.leave(&desk);
        stage.settled().await;
        let again = stage.online("balcony", 3).await;
        assert_eq!(again.reads(&stage), vec![1]);
        stage.settled().await;
        assert_eq!(stage.kept().await, 0);
    });
}

#[test]
fn what_a_session_was_to_make_safe_is_safe_when_it_ends_before() {
    play(1 << 20, |stage| async move {
        let (desk, phone) = both_told(&stage).await;
        let account = stage.delivery.directory().find("juliet@localhost").unwrap();
        let insured = stage.delivery.insure(&account, &phone.outbox).unwrap();
        stage.leave(&phone);
        assert!(matches!(insured.await.unwrap(), Ok(Safe::Now)));
        assert_eq!(stage.kept().await, 1, "for the desk");
        assert_eq!(desk.reads(&stage), vec![1]);
        stage.settled().await;
        assert_eq!(stage.kept().await, 0);
    });
}
