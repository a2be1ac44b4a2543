//! The spool: order, quotas, what time brings, and what the operator sees.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::{Open, QUOTA, T0, at, credentials, jid, options, row, texts, user};
use crate::store::spool::{Bounce, Bounced, Kind, Owner, Quota};
use crate::store::{RowId, SpoolRow, Store, StoreError};

pub(crate) fn the_spool_is_listed_in_pages(open: Open) {
    let store = open(options());
    let later = SpoolRow {
        stored_at: T0 + 5_000,
        expires_at: Some(T0 + 9_000),
        from: None,
        ..row("juliet@example.org", "second")
    };
    let mut ids = store
        .spool_append(vec![row("juliet@example.org/balcony", "first")], QUOTA)
        .wait()
        .unwrap();
    let others = vec![
        later,
        row("nurse@example.org", "other"),
        row("juliet@example.net", "elsewhere"),
    ];
    ids.extend(store.spool_append(others, QUOTA).wait().unwrap());

    let all = store.spool_summary(None, None, 10).wait().unwrap();
    let owners: Vec<&str> = all.iter().map(|total| total.owner.name()).collect();
    let expected = [
        "juliet@example.net",
        "juliet@example.org",
        "nurse@example.org",
    ];
    assert_eq!(owners, expected);
    let juliet = &all[1];
    let bytes = ("first".len() + "second".len()) as u64;
    assert_eq!(
        (juliet.rows, juliet.bytes, juliet.oldest_at),
        (2, bytes, T0)
    );
    let page = store.spool_summary(None, Some(&all[0].owner), 1);
    assert_eq!(page.wait().unwrap(), all[1..2]);
    let of_org = store.spool_summary(Some("example.org"), None, 10);
    assert_eq!(of_org.wait().unwrap(), all[1..]);
    // A domain is no ending of another's name.
    let of_end = store.spool_summary(Some("ample.org"), None, 10);
    assert_eq!(of_end.wait().unwrap(), []);

    let rows = |after, limit| {
        let rows = store.spool_rows(&user("juliet@example.org"), after, limit);
        rows.wait().unwrap()
    };
    let both = rows(RowId::START, 10);
    assert_eq!(both.iter().map(|row| row.id).collect::<Vec<_>>(), ids[..2]);
    assert_eq!(both[0].from.as_deref(), Some("romeo@example.net/orchard"));
    assert_eq!((both[0].stored_at, both[0].expires_at), (T0, None));
    assert_eq!(both[1].from, None);
    assert_eq!(both[1].expires_at, Some(T0 + 9_000));
    assert_eq!(both[1].bytes, "second".len() as u64);
    assert_eq!(rows(RowId::START, 1), both[..1]);
    assert_eq!(rows(ids[0], 10), both[1..]);

    let (entry, stanza) = store.spool_row(ids[1]).wait().unwrap().unwrap();
    assert_eq!((entry, &stanza[..]), (both[1].clone(), &b"second"[..]));
    store.spool_delete(ids[..2].to_vec()).wait().unwrap();
    assert_eq!(store.spool_row(ids[1]).wait().unwrap(), None);
    assert_eq!(rows(RowId::START, 10), []);
    assert_eq!(store.spool_summary(None, None, 10).wait().unwrap().len(), 2);
    store.close().wait().unwrap();
}

pub(crate) fn the_spool_keeps_order(open: Open) {
    let store = open(options());
    let mut ids = Vec::new();
    for turn in 0..10 {
        let rows = vec![
            row("juliet@example.org/balcony", &format!("{turn}a")),
            row("nurse@example.org", "other"),
            row("juliet@example.org", &format!("{turn}b")),
        ];
        ids.extend(store.spool_append(rows, QUOTA).wait().unwrap());
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(
        store
            .spool_count(&user("juliet@example.org"))
            .wait()
            .unwrap(),
        20
    );

    let mut after = RowId::START;
    let mut read = Vec::new();
    loop {
        let page = store
            .spool_fetch(&user("juliet@example.org"), after, 3)
            .wait()
            .unwrap();
        let Some((last, _)) = page.last() else { break };
        after = *last;
        store
            .spool_delete(page.iter().map(|(id, _)| *id).collect())
            .wait()
            .unwrap();
        read.extend(
            page.into_iter()
                .map(|(_, stanza)| String::from_utf8(stanza.to_vec()).unwrap()),
        );
    }
    let expected: Vec<String> = (0..10)
        .flat_map(|turn| [format!("{turn}a"), format!("{turn}b")])
        .collect();
    assert_eq!(read, expected);
    assert_eq!(
        store
            .spool_count(&user("juliet@example.org"))
            .wait()
            .unwrap(),
        0
    );
    assert_eq!(
        store
            .spool_count(&user("nurse@example.org"))
            .wait()
            .unwrap(),
        10
    );
    assert_eq!(
        store.spool_delete(ids).wait().unwrap(),
        10,
        "only what is still there"
    );
    store.close().wait().unwrap();
}

pub(crate) fn row_numbers_are_never_used_twice(open: Open) {
    let store = open(options());
    let first = store
        .spool_append(vec![row("juliet@example.org", "1")], QUOTA)
        .wait()
        .unwrap();
    store.spool_delete(first.clone()).wait().unwrap();
    store.close().wait().unwrap();
    let store = open(options());
    let second = store
        .spool_append(vec![row("juliet@example.org", "2")], QUOTA)
        .wait()
        .unwrap();
    assert!(second > first, "{first:?} {second:?}");
    store.close().wait().unwrap();
}

pub(crate) fn quotas_hold_by_rows_and_by_bytes(open: Open) {
    let store = open(options());
    let quota = Quota {
        rows: 3,
        bytes: 100,
    };
    let juliet = "juliet@example.org";
    let append = |rows: Vec<SpoolRow>| store.spool_append(rows, quota).wait();

    append(vec![row(juliet, "1"), row(juliet, "2")]).unwrap();
    let over = append(vec![
        row("nurse@example.org", "n"),
        row(juliet, "3"),
        row(juliet, "4"),
    ]);
    assert!(
        matches!(over, Err(StoreError::Quota { row: 2 })),
        "{over:?}"
    );
    assert_eq!(texts(&store, juliet), ["1", "2"], "all of a call or none");
    let nurse = store.spool_count(&user("nurse@example.org"));
    assert_eq!(nurse.wait().unwrap(), 0);

    assert!(matches!(
        append(vec![row(juliet, &"x".repeat(99))]),
        Err(StoreError::Quota { row: 0 })
    ));
    append(vec![row(juliet, &"x".repeat(98))]).unwrap();
    assert!(matches!(
        append(vec![row(juliet, "")]),
        Err(StoreError::Quota { row: 0 })
    ));
    store.close().wait().unwrap();
}

fn until(at: i64, owner: &str, text: &str) -> SpoolRow {
    SpoolRow {
        expires_at: Some(at),
        ..row(owner, text)
    }
}

/// The names of the users that are due, with their tries.
fn due(store: &Store) -> Vec<(String, u32)> {
    let due = store.spool_due(Kind::User, 10).wait().unwrap();
    due.into_iter()
        .map(|due| (due.owner.name().to_owned(), due.tries))
        .collect()
}

fn expired(store: &Store, owner: &str, limit: usize) -> Vec<RowId> {
    let rows = store.spool_expired(&user(owner), limit).wait().unwrap();
    rows.into_iter().map(|(id, _)| id).collect()
}

fn append(store: &Store, row: SpoolRow) -> RowId {
    store.spool_append(vec![row], QUOTA).wait().unwrap()[0]
}

pub(crate) fn the_expired_make_room_and_wait_to_be_given_back(open: Open) {
    let (clock, options) = at(T0);
    let store = open(options);
    let quota = Quota {
        rows: 2,
        bytes: 1 << 20,
    };
    let juliet = "juliet@example.org";
    let add = |text: &str, at| {
        store
            .spool_append(vec![until(at, juliet, text)], quota)
            .wait()
    };
    for text in ["1", "2"] {
        add(text, T0 + 5).unwrap();
    }
    assert!(matches!(
        add("3", T0 + 9),
        Err(StoreError::Quota { row: 0 })
    ));
    clock.store(T0 + 5, Relaxed);
    assert_eq!(
        texts(&store, juliet),
        [""; 0],
        "the expired are not delivered"
    );
    for text in ["3", "4"] {
        add(text, T0 + 9).unwrap();
    }
    assert_eq!(texts(&store, juliet), ["3", "4"]);
    // Once as many again, while nobody gives them back.
    clock.store(T0 + 9, Relaxed);
    assert!(matches!(
        add("5", T0 + 20),
        Err(StoreError::Quota { row: 0 })
    ));
    // No sweep throws them away: their senders are to be told.
    store.sweep().wait().unwrap();
    assert_eq!(store.spool_count(&user(juliet)).wait().unwrap(), 4);
    assert_eq!(expired(&store, juliet, 9).len(), 4);
    store.close().wait().unwrap();
}

pub(crate) fn queues_of_all_kinds_stand_apart(open: Open) {
    let store = open(options());
    let name = "juliet@example.org";
    let owners = Kind::ALL.map(|kind| Owner::new(kind, name.to_owned()));
    let one = Quota {
        rows: 1,
        bytes: 1 << 20,
    };
    for owner in &owners {
        let kept = SpoolRow {
            owner: owner.clone(),
            ..row(name, owner.kind().name())
        };
        store.spool_append(vec![kept], one).wait().unwrap();
    }
    store.close().wait().unwrap();
    let store = open(options());
    for owner in &owners {
        let rows = store.spool_fetch(owner, RowId::START, 9).wait().unwrap();
        let texts: Vec<&[u8]> = rows.iter().map(|(_, stanza)| &stanza[..]).collect();
        assert_eq!(texts, [owner.kind().name().as_bytes()]);
        let (entry, _) = store.spool_row(rows[0].0).wait().unwrap().unwrap();
        assert_eq!(entry.owner, *owner);
    }
    let listed = |domain, after| {
        let page = store.spool_summary(domain, after, 9).wait().unwrap();
        page.into_iter()
            .map(|total| total.owner)
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(None, None), owners);
    assert_eq!(listed(None, Some(&owners[1])), owners[2..]);
    // Only users and domains are of a domain.
    assert_eq!(listed(Some("example.org"), None), owners[..2]);
    // A user's end is not that of others who are called the same.
    store
        .user_create(&jid(name), credentials(1))
        .wait()
        .unwrap();
    store.user_delete(name).wait().unwrap();
    assert_eq!(listed(None, None), owners[1..]);
    store.close().wait().unwrap();
}

pub(crate) fn a_queue_is_due_when_a_row_expires_or_it_was_deferred_until(open: Open) {
    let (clock, options) = at(T0);
    let store = open(options);
    let (juliet, nurse) = ("juliet@example.org", "nurse@example.org");
    append(&store, row(juliet, "for ever"));
    append(&store, until(T0 + 20, juliet, "later"));
    let early = append(&store, until(T0 + 10, juliet, "early"));
    append(&store, until(T0 + 5, nurse, "first"));
    let next = |owner: &str| {
        let listed = store.spool_summary(None, None, 9).wait().unwrap();
        let mut totals = listed.into_iter();
        let total = totals.find(|total| total.owner.name() == owner).unwrap();
        (total.next_at, total.tries)
    };
    assert_eq!(next(juliet), (Some(T0 + 10), 0));
    assert_eq!(due(&store), []);
    clock.store(T0 + 10, Relaxed);
    assert_eq!(due(&store), [(nurse.to_owned(), 0), (juliet.to_owned(), 0)]);
    let none = store.spool_due(Kind::Domain, 10).wait().unwrap();
    assert_eq!(none, []);
    assert_eq!(expired(&store, juliet, 9), [early]);

    // In vain: later, but not later than the next row expires; what has expired does not count.
    let juliets = user(juliet);
    store.spool_defer(&juliets, T0 + 15).wait().unwrap();
    store.spool_defer(&juliets, T0 + 99).wait().unwrap();
    assert_eq!(next(juliet), (Some(T0 + 20), 2));
    assert_eq!(due(&store), [(nurse.to_owned(), 0)]);
    // What comes meanwhile does not put it forward unless it expires before that.
    append(&store, until(T0 + 30, juliet, "new"));
    assert_eq!(next(juliet), (Some(T0 + 20), 2));
    append(&store, until(T0 + 12, juliet, "short"));
    assert_eq!(next(juliet), (Some(T0 + 12), 2));

    // Settled: the tries are forgotten, and what has expired is due.
    store.spool_settle(&juliets).wait().unwrap();
    assert_eq!(next(juliet), (Some(T0 + 10), 0));
    store.spool_delete(vec![early]).wait().unwrap();
    store.spool_settle(&juliets).wait().unwrap();
    assert_eq!(next(juliet), (Some(T0 + 12), 0));
    clock.store(T0 + 99, Relaxed);
    let rows = expired(&store, juliet, 9);
    assert_eq!(rows.len(), 3);
    assert_eq!(expired(&store, juliet, 2), rows[..2], "a look is bounded");
    store.spool_delete(rows).wait().unwrap();
    store.spool_settle(&juliets).wait().unwrap();
    assert_eq!(next(juliet), (None, 0), "what never expires is never due");
    store.close().wait().unwrap();
}

pub(crate) fn a_bounce_is_all_or_nothing(open: Open) {
    let store = open(options());
    let (juliet, romeo) = ("juliet@example.org", "romeo@example.org");
    store
        .user_create(&jid(romeo), credentials(1))
        .wait()
        .unwrap();
    let rows: Vec<RowId> = (0..5)
        .map(|n| append(&store, row(juliet, &n.to_string())))
        .collect();
    let bounce = |row: RowId, error: Option<SpoolRow>| Bounce { row, error };
    let one = Quota {
        rows: 1,
        bytes: 1 << 20,
    };
    let given = vec![
        bounce(rows[0], Some(row(romeo, "error 0"))),
        bounce(rows[0], Some(row(romeo, "twice"))),
        bounce(rows[1], None),
        bounce(rows[2], Some(row(romeo, "one too many"))),
        bounce(rows[3], Some(row("nobody@example.org", "error 3"))),
    ];
    let fates = store.spool_bounce(given, one).wait().unwrap();
    assert!(
        matches!(
            fates[..],
            [
                Bounced::Kept(_),
                Bounced::Missing,
                Bounced::Deleted,
                Bounced::NotKept,
                Bounced::NotKept
            ]
        ),
        "{fates:?}"
    );
    assert_eq!(texts(&store, juliet), ["4"]);
    assert_eq!(texts(&store, romeo), ["error 0"]);
    assert_eq!(texts(&store, "nobody@example.org"), [""; 0]);
    store.close().wait().unwrap();
    let store = open(options());
    assert_eq!(texts(&store, romeo), ["error 0"], "told once");
    store.close().wait().unwrap();
}

pub(crate) fn large_stanzas_come_in_small_pages(open: Open) {
    let (clock, options) = at(T0);
    let store = open(options);
    let juliet = "juliet@example.org";
    for _ in 0..5 {
        append(
            &store,
            SpoolRow {
                stanza: Bytes::from(vec![b'x'; 3 << 20]),
                ..until(T0 + 1, juliet, "")
            },
        );
    }
    clock.store(T0 + 1, Relaxed);
    let mut pages = Vec::new();
    while let rows = expired(&store, juliet, 100)
        && !rows.is_empty()
    {
        pages.push(rows.len());
        store.spool_delete(rows).wait().unwrap();
    }
    assert_eq!(pages, [2, 2, 1]);
    store.close().wait().unwrap();
}
