use super::*;
use bytes::Bytes;

use crate::xml::{CLIENT_NS, Header, Limits, Raw};

fn stanza(xml: &str) -> Stanza {
    let raw = Raw::check(&Bytes::copy_from_slice(xml.as_bytes()), Limits::BOUND).unwrap();
    let header = Header {
        ns: CLIENT_NS.to_owned(),
        ..Header::default()
    };
    Stanza::from_raw(&raw, &header).unwrap()
}

fn message(body: usize) -> Item {
    let body = "x".repeat(body);
    Item {
        stanza: stanza(&format!(
            "<message from='a@b/c'><body>{body}</body></message>"
        )),
        row: None,
    }
}

fn presence(from: &str, status: usize) -> Item {
    let status = "x".repeat(status);
    Item {
        stanza: stanza(&format!(
            "<presence from='{from}'><status>{status}</status></presence>"
        )),
        row: None,
    }
}

/// Writes everything that waits.
fn write(outbox: &Outbox) -> usize {
    let mut count = 0;
    while let Some(drained) = outbox.drain(1000, Waker::noop()) {
        count += drained.len();
        let (last, _) = drained.last().unwrap();
        let _ = outbox.written(*last);
    }
    count
}

#[test]
fn memory_is_charged_until_it_is_written() {
    let memory = Arc::new(Memory::default());
    let outbox = Outbox::new(100_000, &memory);
    assert!(matches!(outbox.push(message(1000)), Pushed::At(_)));
    assert!(matches!(outbox.push(message(1000)), Pushed::At(_)));
    outbox.hold(500);
    let kept = memory.used();
    assert!(kept > 2500 && kept == outbox.kept());

    let drained = outbox.drain(usize::MAX, Waker::noop()).unwrap();
    assert_eq!(outbox.bytes(), 0);
    assert_eq!(memory.used(), kept, "what is being written is still kept");
    let _ = outbox.written(drained[1].0);
    assert_eq!(memory.used(), 500);

    assert!(matches!(outbox.push(message(1000)), Pushed::At(_)));
    assert_eq!(outbox.finish().len(), 1);
    assert_eq!(memory.used(), 0);
}

#[test]
fn memory_of_a_lost_outbox_is_given_back() {
    let memory = Arc::new(Memory::default());
    let outbox = Outbox::new(100_000, &memory);
    outbox.push_answer(message(10).stanza);
    drop(outbox);
    assert_eq!(memory.used(), 0);
}

/// Else a sender of large and then small presence would make a session seem full for ever.
#[test]
fn presence_that_is_replaced_is_counted_as_what_replaced_it() {
    let memory = Arc::new(Memory::default());
    let outbox = Outbox::new(10_000, &memory);
    assert!(matches!(
        outbox.push(presence("a@b/c", 9000)),
        Pushed::At(_)
    ));
    for status in [9000, 5, 7000, 1] {
        assert!(matches!(
            outbox.push(presence("d@e/f", status)),
            Pushed::At(_) | Pushed::Coalesced
        ));
    }
    assert!(outbox.is_crowded());
    assert_eq!(write(&outbox), 2);
    assert_eq!((outbox.bytes(), memory.used()), (0, 0));
    assert!(!outbox.is_crowded());
}

#[test]
fn subscriptions_are_neither_replaced_nor_overtaken_nor_thrown_away() {
    let outbox = Outbox::new(10_000, &Arc::new(Memory::default()));
    let typed = |kind: &str, status: usize| {
        let mut item = presence("a@b", status);
        item.stanza.set_type(kind);
        item
    };
    assert!(matches!(outbox.push(message(9900)), Pushed::At(_)));
    for kind in ["", "subscribe", "subscribed", "probe", "error"] {
        assert!(matches!(outbox.push(typed(kind, 10)), Pushed::At(_)));
        // Presence before it stays before it, and is replaced by none behind it.
        assert!(matches!(
            outbox.push(typed("", 20)),
            Pushed::At(_) | Pushed::Coalesced
        ));
        assert!(matches!(
            outbox.push(typed("unavailable", 30)),
            Pushed::Coalesced
        ));
    }
    let mut sent = 0;
    let full = loop {
        match outbox.push(typed("unsubscribe", 2000)) {
            Pushed::At(_) => sent += 1,
            Pushed::Full(item) => break item,
            Pushed::Coalesced | Pushed::Closed(_) => panic!("swallowed"),
        }
        assert!(sent < 10, "there is no end");
    };
    assert_eq!(full.stanza.type_(), "unsubscribe", "its sender is told");
    let mut wanted = vec!["unavailable"];
    for kind in ["subscribe", "subscribed", "probe", "error"] {
        wanted.extend([kind, "unavailable"]);
    }
    wanted.extend(vec!["unsubscribe"; sent]);
    let drained = outbox.drain(usize::MAX, Waker::noop()).unwrap();
    let types: Vec<_> = drained.iter().skip(1).map(|(_, one)| one.type_()).collect();
    assert_eq!(types, wanted);
}

const LIMITS: AckLimits = AckLimits {
    stanzas: 4,
    bytes: 100_000,
};

fn push(outbox: &Outbox, row: Option<i64>) -> Position {
    let mut item = message(10);
    item.row = row;
    match outbox.push(item) {
        Pushed::At(at) => at,
        _ => panic!("not taken"),
    }
}

#[test]
fn with_acknowledgements_a_stanza_is_safe_when_it_is_acknowledged() {
    let memory = Arc::new(Memory::default());
    let outbox = Outbox::new(100_000, &memory);
    let before = push(&outbox, Some(1));
    let drained = outbox.drain(1000, Waker::noop()).unwrap();
    outbox.enable_acks(LIMITS);
    let after = [push(&outbox, Some(2)), push(&outbox, None)];
    // What was on its way when they were enabled is safe when it is written.
    assert_eq!(outbox.written(drained[0].0), [1]);
    assert!(outbox.is_safe(before));

    assert_eq!(write(&outbox), 2);
    assert!(!outbox.is_safe(after[0]));
    assert!(memory.used() > 0, "it is kept");
    assert_eq!(outbox.poll_safe(after[1], Waker::noop()), Progress::Waits);
    let uninsured = outbox.uninsured();
    assert_eq!(uninsured.len(), 1, "the other has a row");
    assert_eq!(outbox.insured(after[1], 3), Insured::Waits);

    let acked = outbox.ack(1).unwrap();
    assert_eq!((acked.count, acked.rows), (1, vec![2]));
    assert!(outbox.is_safe(after[0]) && !outbox.is_safe(after[1]));
    assert_eq!(outbox.ack(3), Err(AckTooHigh { h: 3, sent: 2 }));
    let acked = outbox.ack(2).unwrap();
    assert_eq!((acked.left, acked.rows), (Unacked::Nothing, vec![3]));
    assert_eq!(memory.used(), 0);
}

#[test]
fn an_ended_session_leaves_what_was_not_acknowledged_before_what_was_not_written() {
    let memory = Arc::new(Memory::default());
    let outbox = Outbox::new(100_000, &memory);
    outbox.enable_acks(LIMITS);
    let places = [push(&outbox, None), push(&outbox, Some(7))];
    assert_eq!(write(&outbox), 2);
    let waits = push(&outbox, None);
    let left = outbox.finish();
    let left: Vec<_> = left.into_iter().map(|((at, _), row)| (at, row)).collect();
    assert_eq!(
        left,
        [(places[0], None), (places[1], Some(7)), (waits, None)]
    );
    assert_eq!(memory.used(), 0);
}

#[test]
fn t34_what_is_unacknowledged_is_bounded_and_there_is_room_again_at_half_of_it() {
    let memory = Arc::new(Memory::default());
    let outbox = Outbox::new(100_000, &memory);
    outbox.enable_acks(LIMITS);
    for _ in 0..4 {
        push(&outbox, None);
        write(&outbox);
    }
    assert_eq!(outbox.unacked(), Unacked::TooMuch);
    assert!(matches!(outbox.push(message(10)), Pushed::Full(_)));
    assert!(outbox.overflowed());
    assert!(!outbox.is_crowded(), "its acknowledgements must be read");
    let acked = outbox.ack(1).unwrap();
    assert_eq!(acked.left, Unacked::Much);
    assert_eq!(outbox.overflow(), None, "no room yet");
    assert_eq!(outbox.ack(2).unwrap().left, Unacked::Little);
    assert!(outbox.overflow().is_some());
    outbox.caught_up();
    push(&outbox, None);
    // Answers to its own requests are no messages of others; still they have an end.
    for _ in 0..5 {
        outbox.push_answer(message(90_000).stanza);
        write(&outbox);
    }
    assert_eq!(outbox.unacked(), Unacked::Hopeless);
}

fn resumable(handled: u64) -> Resumable {
    Resumable {
        handled,
        resume_time: std::time::Duration::from_secs(1),
        vars: serde_json::Map::new(),
    }
}

#[test]
fn who_resumes_is_sent_what_was_not_acknowledged_before_what_waits() {
    let memory = Arc::new(Memory::default());
    let outbox = Outbox::new(100_000, &memory);
    outbox.enable_acks(LIMITS);
    let places = [push(&outbox, Some(1)), push(&outbox, None)];
    write(&outbox);
    let waits = push(&outbox, None);
    let kept = memory.used();

    assert_eq!(outbox.could_ack(3), Err(AckTooHigh { h: 3, sent: 2 }));
    assert!(outbox.resume(3).is_err(), "and nothing is changed");
    let acked = outbox.resume(1).unwrap();
    assert_eq!((acked.count, acked.rows), (1, vec![1]));
    assert!(outbox.is_safe(places[0]));
    assert_eq!(memory.used(), kept / 3 * 2);
    assert_eq!(outbox.bytes(), memory.used(), "all of it waits");
    let drained = outbox.drain(100_000, Waker::noop()).unwrap();
    let again: Vec<_> = drained.iter().map(|(at, _)| *at).collect();
    assert_eq!(again, [places[1], waits]);
    // It was sent twice and is counted once: the count goes on from what was acknowledged.
    assert_eq!(outbox.could_ack(4), Err(AckTooHigh { h: 4, sent: 3 }));
    assert_eq!(outbox.ack(3).unwrap().left, Unacked::Nothing);
    assert_eq!(memory.used(), 0);
}

#[test]
fn t33_a_session_is_given_to_one_at_a_time() {
    let outbox = Outbox::new(100_000, &Arc::new(Memory::default()));
    outbox.enable_acks(LIMITS);
    assert!(outbox.hand_over(resumable(1)).is_err(), "nobody asks");
    let given = outbox.ask_handover().unwrap();
    assert!(outbox.ask_handover().is_none(), "somebody has asked");
    assert_eq!(outbox.wish(Waker::noop()), Some(Wish::HandOver));
    drop(given);
    assert!(outbox.hand_over(resumable(1)).is_err(), "it has gone again");

    let mut given = outbox.ask_handover().unwrap();
    assert!(outbox.hand_over(resumable(1)).is_ok());
    assert_eq!(given.try_recv().unwrap().handled, 1);
    assert!(outbox.ask_handover().is_none(), "it is on its way");
    assert_eq!(outbox.wish(Waker::noop()), None);
    let _ = outbox.resume(0).unwrap();
    let mut given = outbox.ask_handover().unwrap();
    let _ = outbox.finish();
    assert!(given.try_recv().is_err(), "it has ended");
    assert!(outbox.ask_handover().is_none());
}

#[test]
fn what_a_saved_session_was_sent_is_counted_when_it_is_restored() {
    let memory = Arc::new(Memory::default());
    let outbox = Outbox::new(100_000, &memory);
    assert!(outbox.pack().is_none(), "its peer does not acknowledge");
    outbox.enable_acks(LIMITS);
    push(&outbox, Some(1));
    push(&outbox, Some(2));
    write(&outbox);
    let _ = outbox.ack(1).unwrap();
    push(&outbox, Some(3));
    let packed = outbox.pack().unwrap();
    assert_eq!((packed.acked, packed.unacked), (1, 1));
    let rows: Vec<_> = packed.items.iter().map(|item| item.row).collect();
    assert_eq!(rows, [Some(2), Some(3)]);
    assert_eq!(memory.used(), 0);

    let outbox = Outbox::unpack(packed, (100_000, LIMITS), &memory);
    assert!(outbox.uninsured().is_empty(), "both are in the spool");
    assert_eq!(outbox.could_ack(3), Err(AckTooHigh { h: 3, sent: 2 }));
    assert_eq!(outbox.resume(2).unwrap().rows, [2]);
    assert_eq!(write(&outbox), 1);
    assert_eq!(outbox.ack(3).unwrap().rows, [3]);
    assert_eq!(memory.used(), 0);
}
