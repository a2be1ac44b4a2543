//! What every engine must do. `store_suite!` makes one test of each case for an engine.

mod documents;
mod invites;
mod roster;
mod spool;

pub(super) use roster::{
    an_import_is_one_change, contacts_come_and_go, roster_texts_are_bounded,
    roster_versions_are_never_told_twice, rosters_are_bounded,
};
pub(super) use spool::{
    a_bounce_is_all_or_nothing, a_queue_is_due_when_a_row_expires_or_it_was_deferred_until,
    large_stanzas_come_in_small_pages, queues_of_all_kinds_stand_apart,
    quotas_hold_by_rows_and_by_bytes, row_numbers_are_never_used_twice,
    the_expired_make_room_and_wait_to_be_given_back, the_spool_is_listed_in_pages,
    the_spool_keeps_order,
};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use bytes::Bytes;

use super::spool::{Owner, Quota};
use super::{KV_KEY_BYTES, RowId, SpoolRow, Store, StoreError, StoreOptions, user_key};
use crate::jid::Jid;
use crate::sasl::{Credentials, ScramKeys};

pub(super) use documents::{
    documents_are_bounded, documents_are_taken_once, documents_are_their_owners,
};
pub(super) use invites::{invites_are_swept_a_day_late, invites_are_used_as_often_as_they_say};

/// Opens the engine under test: the same data each time.
pub(super) type Open<'a> = &'a dyn Fn(StoreOptions) -> Store;

macro_rules! store_suite {
    ($bed:expr) => {
        store_suite! { @cases $bed;
            users_come_and_go
            a_deleted_user_leaves_nothing
            block_lists_come_and_go
            block_lists_are_bounded
            documents_are_their_owners
            documents_are_bounded
            documents_are_taken_once
            invites_are_used_as_often_as_they_say
            invites_are_swept_a_day_late
            the_spool_keeps_order
            the_spool_is_listed_in_pages
            row_numbers_are_never_used_twice
            quotas_hold_by_rows_and_by_bytes
            the_expired_make_room_and_wait_to_be_given_back
            queues_of_all_kinds_stand_apart
            a_queue_is_due_when_a_row_expires_or_it_was_deferred_until
            a_bounce_is_all_or_nothing
            large_stanzas_come_in_small_pages
            keys_live_until_they_expire
            keys_are_bounded
            numbers_are_counted
            secrets_stay
            a_failing_operation_leaves_others_alone
            writers_and_a_reader_race
            closing_does_what_is_queued
            contacts_come_and_go
            rosters_are_bounded
            roster_texts_are_bounded
            an_import_is_one_change
            roster_versions_are_never_told_twice
        }
    };
    (@cases $bed:expr; $($case:ident)+) => {
        $(#[test]
        fn $case() {
            let bed = $bed;
            crate::store::suite::$case(&|options| bed.open(options));
        })+
    };
}
pub(super) use store_suite;

const T0: i64 = 1_700_000_000_000;

pub(super) fn at(now: i64) -> (Arc<AtomicI64>, StoreOptions) {
    let clock = Arc::new(AtomicI64::new(now));
    let reads = Arc::clone(&clock);
    (clock, StoreOptions::new(move || reads.load(Relaxed)))
}

pub(super) fn options() -> StoreOptions {
    at(T0).1
}

/// More than any case fills.
pub(super) const QUOTA: Quota = Quota {
    rows: 10_000,
    bytes: 1 << 30,
};

pub(super) fn user(bare: &str) -> Owner {
    Owner::user(&jid(bare))
}

pub(super) fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

pub(super) fn row(owner: &str, text: &str) -> SpoolRow {
    SpoolRow {
        owner: Owner::user(&jid(owner)),
        stanza: Bytes::from(text.to_owned()),
        from: Some(jid("romeo@example.net/orchard")),
        stored_at: T0,
        expires_at: None,
    }
}

pub(super) fn credentials(seed: u8) -> Credentials {
    let keys = |seed: u8, len: usize| ScramKeys {
        salt: vec![seed; 16],
        iterations: 4_096 + u32::from(seed),
        stored_key: vec![seed.wrapping_add(1); len],
        server_key: vec![seed.wrapping_add(2); len],
    };
    Credentials {
        sha1: keys(seed, 20),
        sha256: keys(seed.wrapping_add(10), 32),
    }
}

/// Credentials have no `==`, lest somebody compare keys in variable time; a test may.
fn assert_same(found: Option<Credentials>, seed: u8) {
    let parts = |keys: ScramKeys| (keys.salt, keys.iterations, keys.stored_key, keys.server_key);
    let (found, expected) = (found.unwrap(), credentials(seed));
    assert_eq!(parts(found.sha1), parts(expected.sha1));
    assert_eq!(parts(found.sha256), parts(expected.sha256));
}

pub(super) fn texts(store: &Store, owner: &str) -> Vec<String> {
    let rows = store
        .spool_fetch(&user(owner), RowId::START, usize::MAX)
        .wait()
        .unwrap();
    rows.into_iter()
        .map(|(_, stanza)| String::from_utf8(stanza.to_vec()).unwrap())
        .collect()
}

fn names(users: &[Jid]) -> Vec<&str> {
    users.iter().map(Jid::as_str).collect()
}

pub(super) fn users_come_and_go(open: Open) {
    let store = open(options());
    let alice = jid("alice@example.org");
    store.user_create(&alice, credentials(1)).wait().unwrap();
    store
        .user_create(&jid("bob@example.org"), credentials(2))
        .wait()
        .unwrap();
    store
        .user_create(&jid("alice@example.net"), credentials(3))
        .wait()
        .unwrap();
    assert!(matches!(
        store.user_create(&alice, credentials(4)).wait(),
        Err(StoreError::Exists)
    ));

    assert_same(store.user("alice@example.org").wait().unwrap(), 1);
    assert!(store.user("eve@example.org").wait().unwrap().is_none());
    assert!(store.user_exists("bob@example.org").wait().unwrap());
    assert!(!store.user_exists("eve@example.org").wait().unwrap());

    store
        .user_set_credentials("alice@example.org", credentials(5))
        .wait()
        .unwrap();
    assert_same(store.user("alice@example.org").wait().unwrap(), 5);
    assert_same(store.user("alice@example.net").wait().unwrap(), 3);
    let nobody = store
        .user_set_credentials("eve@example.org", credentials(6))
        .wait();
    assert!(matches!(nobody, Err(StoreError::NotFound)));

    let of_org = store.users(Some("example.org")).wait().unwrap();
    assert_eq!(names(&of_org), ["alice@example.org", "bob@example.org"]);
    assert_eq!(store.users(None).wait().unwrap().len(), 3);
    store.close().wait().unwrap();
}

pub(super) fn a_deleted_user_leaves_nothing(open: Open) {
    let store = open(options());
    for name in ["alice@example.org", "alice@example.org.uk"] {
        store
            .user_create(&jid(name), credentials(1))
            .wait()
            .unwrap();
        store
            .spool_append(vec![row(name, "hello")], QUOTA)
            .wait()
            .unwrap();
        store
            .kv_set(&user_key(name, "theme"), Bytes::from_static(b"dark"), None)
            .wait()
            .unwrap();
    }
    store.user_delete("alice@example.org").wait().unwrap();
    assert!(!store.user_exists("alice@example.org").wait().unwrap());
    assert_eq!(
        store
            .spool_count(&user("alice@example.org"))
            .wait()
            .unwrap(),
        0
    );
    assert_eq!(
        store
            .kv_get(&user_key("alice@example.org", "theme"))
            .wait()
            .unwrap(),
        None
    );
    assert_eq!(texts(&store, "alice@example.org.uk"), ["hello"]);
    assert!(
        store
            .kv_get(&user_key("alice@example.org.uk", "theme"))
            .wait()
            .unwrap()
            .is_some()
    );
    assert!(matches!(
        store.user_delete("alice@example.org").wait(),
        Err(StoreError::NotFound)
    ));
    store.close().wait().unwrap();
}

pub(super) fn block_lists_come_and_go(open: Open) {
    let (alice, bob) = ("alice@example.org", "bob@example.org");
    let store = open(options());
    let spam = || vec![jid("spam.example"), jid("mallory@example.net/x")];
    let refused = store.block_add(alice, spam()).wait();
    assert!(matches!(refused, Err(StoreError::NotFound)));
    assert_eq!(store.recipient(alice).wait().unwrap(), None);
    for (user, seed) in [(alice, 1), (bob, 2)] {
        let made = store.user_create(&jid(user), credentials(seed));
        made.wait().unwrap();
    }
    assert_eq!(store.recipient(alice).wait().unwrap(), Some(Vec::new()));
    store.block_add(alice, spam()).wait().unwrap();
    // Twice is once.
    store.block_add(alice, spam()).wait().unwrap();
    store
        .block_add(bob, vec![jid("carol@example.net")])
        .wait()
        .unwrap();
    store.close().wait().unwrap();
    let store = open(options());
    let blocked = store.block_list(alice).wait().unwrap();
    assert_eq!(names(&blocked), ["mallory@example.net/x", "spam.example"]);
    assert_eq!(store.recipient(alice).wait().unwrap(), Some(blocked));
    // What is not blocked can be unblocked.
    let some = Some(vec![jid("spam.example"), jid("nobody@example.net")]);
    store.block_remove(alice, some).wait().unwrap();
    let blocked = store.block_list(alice).wait().unwrap();
    assert_eq!(names(&blocked), ["mallory@example.net/x"]);
    store.block_remove(alice, None).wait().unwrap();
    assert!(store.block_list(alice).wait().unwrap().is_empty());
    assert_eq!(store.block_list(bob).wait().unwrap().len(), 1);
    store.user_delete(bob).wait().unwrap();
    assert!(store.block_list(bob).wait().unwrap().is_empty());
}

pub(super) fn block_lists_are_bounded(open: Open) {
    let store = open(StoreOptions {
        block_rows: 3,
        ..options()
    });
    let alice = "alice@example.org";
    let made = store.user_create(&jid(alice), credentials(1));
    made.wait().unwrap();
    let some = |from: usize, to: usize| {
        let some = (from..to).map(|n| jid(&format!("{n}.example")));
        some.collect::<Vec<_>>()
    };
    store.block_add(alice, some(0, 2)).wait().unwrap();
    let refused = store.block_add(alice, some(1, 4)).wait();
    assert!(matches!(refused, Err(StoreError::BlocksFull { most: 3 })));
    // All or none.
    assert_eq!(store.block_list(alice).wait().unwrap().len(), 2);
    store.block_add(alice, some(1, 3)).wait().unwrap();
    assert_eq!(store.block_list(alice).wait().unwrap().len(), 3);
}

pub(super) fn keys_live_until_they_expire(open: Open) {
    let (clock, options) = at(T0);
    let store = open(options);
    let value = |text: &'static str| Bytes::from_static(text.as_bytes());
    let get = |key: &str| store.kv_get(key).wait().unwrap();

    assert_eq!(get("a"), None);
    store.kv_set("a", value("1"), None).wait().unwrap();
    store.kv_set("a", value("2"), Some(T0 + 10)).wait().unwrap();
    store.kv_set("b/x", value("bx"), None).wait().unwrap();
    store
        .kv_set("b/y", value("by"), Some(T0 + 10))
        .wait()
        .unwrap();
    store.kv_set("c", value("c"), None).wait().unwrap();
    assert_eq!(get("a"), Some(value("2")));
    let list = |prefix: &str, limit| store.kv_list(prefix, limit).wait().unwrap();
    assert_eq!(
        list("b/", 9),
        [
            ("b/x".to_owned(), value("bx")),
            ("b/y".to_owned(), value("by"))
        ]
    );
    assert_eq!(list("", 2).len(), 2);

    clock.store(T0 + 10, Relaxed);
    assert_eq!(get("a"), None);
    assert_eq!(list("b/", 9), [("b/x".to_owned(), value("bx"))]);
    assert_eq!(store.sweep().wait().unwrap(), 2);
    assert!(store.kv_delete("c").wait().unwrap());
    assert!(!store.kv_delete("c").wait().unwrap());
    store.close().wait().unwrap();
}

pub(super) fn keys_are_bounded(open: Open) {
    let mut options = options();
    options.kv_value_bytes = 50;
    options.kv_rows = 2;
    options.kv_bytes = 80;
    let store = open(options);
    let set = |key: &str, len: usize| store.kv_set(key, Bytes::from(vec![b'x'; len]), None).wait();

    assert!(matches!(
        set("k", 51),
        Err(StoreError::NotAllowed {
            what: "value",
            most: 50
        })
    ));
    for key in [
        "k".repeat(KV_KEY_BYTES + 1),
        "a\nb".to_owned(),
        "a\u{10ffff}".to_owned(),
    ] {
        assert!(matches!(
            set(&key, 1),
            Err(StoreError::NotAllowed { what: "key", .. })
        ));
        assert!(matches!(
            store.kv_incr(&key, 1).wait(),
            Err(StoreError::NotAllowed { what: "key", .. })
        ));
    }
    set("a", 50).unwrap();
    assert!(
        matches!(set("b", 29), Err(StoreError::KvFull)),
        "80 bytes, keys included"
    );
    set("b", 28).unwrap();
    assert!(matches!(set("c", 0), Err(StoreError::KvFull)), "2 keys");
    set("a", 10).unwrap();
    set("b", 50).unwrap();
    assert!(
        matches!(set("a", 29), Err(StoreError::KvFull)),
        "replacing is counted too"
    );
    assert!(store.kv_delete("a").wait().unwrap());
    set("c", 20).unwrap();
    store.close().wait().unwrap();
}

pub(super) fn numbers_are_counted(open: Open) {
    let (clock, options) = at(T0);
    let store = open(options);
    let incr = |key: &str, by| store.kv_incr(key, by).wait();
    assert_eq!(incr("n", 5).unwrap(), 5);
    assert_eq!(incr("n", -7).unwrap(), -2);
    assert_eq!(
        store.kv_get("n").wait().unwrap(),
        Some(Bytes::from_static(b"-2"))
    );
    store
        .kv_set(
            "n",
            Bytes::from_static(b"9223372036854775807"),
            Some(T0 + 1),
        )
        .wait()
        .unwrap();
    assert!(matches!(incr("n", 1), Err(StoreError::NotNumber)));
    assert_eq!(incr("n", -1).unwrap(), i64::MAX - 1);
    clock.store(T0 + 1, Relaxed);
    assert_eq!(incr("n", 1).unwrap(), 1, "it kept its expiry");
    store
        .kv_set("text", Bytes::from_static(b"twelve"), None)
        .wait()
        .unwrap();
    assert!(matches!(incr("text", 1), Err(StoreError::NotNumber)));
    store.close().wait().unwrap();
}

pub(super) fn secrets_stay(open: Open) {
    let store = open(options());
    let salt = store.secret("salt").wait().unwrap();
    assert_ne!(salt, store.secret("other").wait().unwrap());
    assert_eq!(salt, store.secret("salt").wait().unwrap());
    store.close().wait().unwrap();
    let store = open(options());
    assert_eq!(salt, store.secret("salt").wait().unwrap());
    store.close().wait().unwrap();
}

pub(super) fn a_failing_operation_leaves_others_alone(open: Open) {
    let quota = Quota { rows: 5, ..QUOTA };
    let store = open(options());
    let juliet = "juliet@example.org";
    let answers: Vec<_> = (0..20)
        .map(|n| {
            let _nobody = store.user_delete("nobody@example.org");
            store.spool_append(vec![row(juliet, &n.to_string())], quota)
        })
        .collect();
    let results: Vec<bool> = answers
        .into_iter()
        .map(|answer| answer.wait().is_ok())
        .collect();
    assert_eq!(results, (0..20).map(|n| n < 5).collect::<Vec<_>>());
    assert_eq!(texts(&store, juliet), ["0", "1", "2", "3", "4"]);
    store.close().wait().unwrap();
}

pub(super) fn writers_and_a_reader_race(open: Open) {
    const WRITERS: usize = 4;
    const EACH: usize = 300;
    let store = open(options());
    let juliet = "juliet@example.org";
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            thread::spawn(move || {
                let send = |n: usize| {
                    store.spool_append(vec![row(juliet, &format!("{writer} {n}"))], QUOTA)
                };
                let answers: Vec<_> = (0..EACH).map(send).collect();
                answers
                    .into_iter()
                    .for_each(|answer| drop(answer.wait().unwrap()));
            })
        })
        .collect();
    // No writer's row may appear behind a greater one that was fetched before: it would be skipped for ever.
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let mut after = RowId::START;
    let mut count = 0;
    while count < WRITERS * EACH {
        for (id, stanza) in store.spool_fetch(&user(juliet), after, 50).wait().unwrap() {
            after = id;
            let text = String::from_utf8(stanza.to_vec()).unwrap();
            let (writer, n) = text.split_once(' ').unwrap();
            let next = seen.entry(writer.parse().unwrap()).or_default();
            assert_eq!(n.parse::<usize>().unwrap(), *next, "writer {writer}");
            *next += 1;
            count += 1;
            assert_eq!(store.spool_delete(vec![id]).wait().unwrap(), 1);
        }
    }
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
    assert_eq!(store.spool_count(&user(juliet)).wait().unwrap(), 0);
    store.close().wait().unwrap();
}

pub(super) fn closing_does_what_is_queued(open: Open) {
    let store = open(options());
    let juliet = "juliet@example.org";
    let answers: Vec<_> = (0..100)
        .map(|n| store.spool_append(vec![row(juliet, &n.to_string())], QUOTA))
        .collect();
    store.close().wait().unwrap();
    assert!(answers.into_iter().all(|answer| answer.wait().is_ok()));
    assert!(matches!(
        store.spool_append(vec![row(juliet, "late")], QUOTA).wait(),
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        store.user_exists(juliet).wait(),
        Err(StoreError::Closed)
    ));
    store.close().wait().unwrap();
    let store = open(options());
    assert_eq!(texts(&store, juliet).len(), 100);
    store.close().wait().unwrap();
}
