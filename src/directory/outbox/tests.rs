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
