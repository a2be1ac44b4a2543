//! What every engine must do with rosters: cases of `store_suite!`.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;

use super::{Open, Store, StoreError, at, credentials, jid, options};
use crate::jid::Jid;
use crate::stanza::roster::{Roster, RosterItem, Subscription};

const JULIET: &str = "juliet@example.org";
/// The clock of [`options`].
const T0: u64 = 1_700_000_000_000;

fn item(contact: &str, state: &str) -> RosterItem {
    RosterItem {
        subscription: Subscription::from_name(state).unwrap(),
        listed: true,
        ..RosterItem::new(jid(contact))
    }
}

/// A contact that is only there because it asked.
fn stranger(contact: &str) -> RosterItem {
    RosterItem {
        listed: false,
        ..item(contact, "none+in")
    }
}

fn made(open: Open, user: &str) -> (Store, Jid) {
    let store = open(options());
    store
        .user_create(&jid(user), credentials(1))
        .wait()
        .unwrap();
    (store, jid(user))
}

fn roster(store: &Store, owner: &str) -> Roster {
    store.roster(owner).wait().unwrap()
}

fn contacts(store: &Store, owner: &str) -> Vec<String> {
    let roster = roster(store, owner);
    roster.iter().map(|item| item.jid.to_string()).collect()
}

pub(in crate::store) fn contacts_come_and_go(open: Open) {
    let (store, juliet) = made(open, JULIET);
    let put = |item: &RosterItem| store.roster_put(&juliet, item.clone()).wait().unwrap();
    assert_eq!(roster(&store, JULIET), Roster::default());

    let mut romeo = item("romeo@example.net", "both");
    romeo.name = Some("Roméo \"R\"".into());
    romeo.groups = Box::new(["Friends".into(), "a \"b\\ \u{1f339}".into()]);
    let mut nurse = stranger("nurse@example.org");
    nurse.request = Some(Box::new(Bytes::from_static(b"<presence/>")));
    assert_eq!(put(&romeo), T0);
    assert_eq!(put(&nurse), T0 + 1);
    let states = Subscription::ALL.map(|state| item(&format!("{}@x", state.name()), state.name()));
    for state in &states {
        put(state);
    }
    let mut all = vec![romeo.clone(), nurse.clone()];
    all.extend(states);
    assert_eq!(roster(&store, JULIET), Roster::new(T0 + 13, all.clone()));
    store.close().wait().unwrap();

    let store = open(options());
    assert_eq!(roster(&store, JULIET), Roster::new(T0 + 13, all));
    assert_eq!(
        store
            .roster_remove(&juliet, &jid("nobody@x"))
            .wait()
            .unwrap(),
        None
    );
    assert_eq!(
        store.roster_remove(&juliet, &nurse.jid).wait().unwrap(),
        Some(T0 + 14)
    );
    let full = jid("juliet@example.org/balcony");
    romeo = item("romeo@example.net", "none");
    assert_eq!(
        store.roster_put(&full, romeo.clone()).wait().unwrap(),
        T0 + 15
    );
    let now = roster(&store, JULIET);
    assert_eq!(now.version(), T0 + 15);
    assert_eq!(
        now.get("romeo@example.net").map(|item| &**item),
        Some(&romeo)
    );
    assert!(now.get(&nurse.jid).is_none());
    store.close().wait().unwrap();
}

pub(in crate::store) fn rosters_are_bounded(open: Open) {
    let mut options = options();
    options.roster_items = 3;
    options.roster_requests = 1;
    let store = open(options);
    let juliet = jid(JULIET);
    let put = |item| store.roster_put(&juliet, item).wait();
    assert!(matches!(
        put(item("a@x", "none")),
        Err(StoreError::NotFound)
    ));
    let import = store.roster_import(&juliet, vec![item("a@x", "none")], true);
    assert!(matches!(import.wait(), Err(StoreError::NotFound)));
    assert_eq!(roster(&store, JULIET), Roster::default());

    store.user_create(&juliet, credentials(1)).wait().unwrap();
    let most_contacts = StoreError::RosterFull {
        what: "contacts",
        most: 3,
    }
    .to_string();
    let refused = |answer: Result<u64, StoreError>| answer.unwrap_err().to_string();
    for contact in ["a@x", "b@x", "c@x"] {
        put(item(contact, "none")).unwrap();
    }
    assert_eq!(refused(put(item("d@x", "none"))), most_contacts);
    assert_eq!(
        most_contacts, "the roster is full: at most 3 contacts",
        "what the operator reads"
    );
    put(item("c@x", "both")).unwrap();
    put(stranger("d@x")).unwrap();
    assert_eq!(
        refused(put(stranger("e@x"))),
        "the roster is full: at most 1 requests of strangers"
    );
    assert_eq!(refused(put(item("d@x", "both"))), most_contacts, "answered");
    let version = roster(&store, JULIET).version();
    assert_eq!(version, T0 + 4, "what was refused changed nothing");

    let many = ["f@x", "g@x"].map(|contact| item(contact, "none")).to_vec();
    assert_eq!(
        refused(store.roster_import(&juliet, many.clone(), false).wait()),
        most_contacts
    );
    assert_eq!(contacts(&store, JULIET), ["a@x", "b@x", "c@x", "d@x"]);
    store.roster_import(&juliet, many, true).wait().unwrap();
    put(item("h@x", "none")).unwrap();
    assert_eq!(refused(put(item("i@x", "none"))), most_contacts);
    store.roster_remove(&juliet, &jid("h@x")).wait().unwrap();
    put(item("i@x", "none")).unwrap();
    store.close().wait().unwrap();
}

pub(in crate::store) fn roster_texts_are_bounded(open: Open) {
    let mut options = options();
    options.roster_bytes = 20;
    let store = open(options);
    let juliet = jid(JULIET);
    store.user_create(&juliet, credentials(1)).wait().unwrap();
    let put = |contact: &str, name: &str, groups: &[&str]| {
        let item = RosterItem {
            name: (!name.is_empty()).then(|| name.into()),
            groups: groups.iter().map(|group| Box::from(*group)).collect(),
            ..item(contact, "none")
        };
        store.roster_put(&juliet, item).wait()
    };
    let full = |answer| matches!(answer, Err(StoreError::RosterFull { most: 20, .. }));
    assert!(full(put("a@x", "eighteen bytes....", &[])));
    put("a@x", "seventeen bytes..", &[]).unwrap();
    assert!(full(put("b@x", "", &[])));
    put("a@x", "", &["eight..."]).unwrap();
    put("b@x", "", &[]).unwrap();
    assert!(
        full(put("b@x", "123", &[])),
        "12 bytes of JSON for the group"
    );
    put("b@x", "12", &[]).unwrap();
    store.roster_remove(&juliet, &jid("a@x")).wait().unwrap();
    put("b@x", "seventeen bytes..", &[]).unwrap();
    assert_eq!(contacts(&store, JULIET), ["b@x"]);
    store.close().wait().unwrap();
}

pub(in crate::store) fn an_import_is_one_change(open: Open) {
    let (store, juliet) = made(open, JULIET);
    let import = |items: &[(&str, &str)], replace| {
        let items = items.iter().map(|(contact, state)| item(contact, state));
        store
            .roster_import(&juliet, items.collect(), replace)
            .wait()
            .unwrap()
    };
    assert_eq!(import(&[("a@x", "none"), ("b@x", "to")], false), T0);
    assert_eq!(import(&[("b@x", "both"), ("c@x", "from")], false), T0 + 1);
    assert_eq!(contacts(&store, JULIET), ["a@x", "b@x", "c@x"]);
    let changed = roster(&store, JULIET);
    assert_eq!(changed.get("b@x").unwrap().subscription.name(), "both");
    assert_eq!(import(&[("c@x", "to"), ("d@x", "none")], true), T0 + 2);
    assert_eq!(contacts(&store, JULIET), ["c@x", "d@x"]);
    assert_eq!(import(&[], true), T0 + 3);
    assert_eq!(roster(&store, JULIET), Roster::new(T0 + 3, Vec::new()));
    store.close().wait().unwrap();
}

pub(in crate::store) fn roster_versions_are_never_told_twice(open: Open) {
    let (clock, options) = at(T0 as i64);
    let store = open(options);
    let make = |user: &str| store.user_create(&jid(user), credentials(1)).wait();
    let put = |user: &str| {
        let contact = item("a@x", "none");
        store.roster_put(&jid(user), contact).wait().unwrap()
    };
    for user in [JULIET, "juliet@example.org.uk"] {
        make(user).unwrap();
        assert_eq!(put(user), T0);
        assert_eq!(put(user), T0 + 1);
    }
    store.user_delete(JULIET).wait().unwrap();
    assert_eq!(roster(&store, JULIET), Roster::default());
    assert_eq!(contacts(&store, "juliet@example.org.uk"), ["a@x"]);
    clock.store(T0 as i64 + 60_000, Relaxed);
    make(JULIET).unwrap();
    assert_eq!(roster(&store, JULIET), Roster::default());
    assert_eq!(put(JULIET), T0 + 60_000);
    assert_eq!(put("juliet@example.org.uk"), T0 + 2);
    store.close().wait().unwrap();
}
