//! Documents of users.

use bytes::Bytes;

use super::{Open, credentials, jid, options};
use crate::store::{DOCUMENT_NAME_BYTES, StoreError};

fn document(name: &str, data: Option<&'static str>) -> (String, Option<Bytes>) {
    (name.to_owned(), data.map(Bytes::from))
}

pub(in crate::store) fn documents_are_their_owners(open: Open) {
    let store = open(options());
    for name in ["alice@example.org", "alice@example.net"] {
        store
            .user_create(&jid(name), credentials(1))
            .wait()
            .unwrap();
    }
    let get = |owner: &str, name: &str| store.document_get(owner, "note", name).wait().unwrap();
    let set = |owner: &str, documents| store.document_set(owner, "note", documents, 10).wait();
    set(
        "alice@example.org",
        vec![document("a", Some("1")), document("b", Some("2"))],
    )
    .unwrap();
    assert_eq!(get("alice@example.org", "a").unwrap(), "1");
    assert_eq!(get("alice@example.net", "a"), None);
    set(
        "alice@example.org",
        vec![
            document("a", Some("3")),
            document("b", None),
            document("c", None),
        ],
    )
    .unwrap();
    assert_eq!(get("alice@example.org", "a").unwrap(), "3");
    assert_eq!(get("alice@example.org", "b"), None);
    // Nobody's documents are not kept; that there is nothing to delete is no fault.
    assert!(matches!(
        set("eve@example.org", vec![document("a", Some("1"))]),
        Err(StoreError::NotFound)
    ));
    set("eve@example.org", vec![document("a", None)]).unwrap();
    assert_eq!(get("eve@example.org", "a"), None);
    // They go with their owner.
    set("alice@example.net", vec![document("a", Some("4"))]).unwrap();
    store.user_delete("alice@example.org").wait().unwrap();
    assert_eq!(get("alice@example.org", "a"), None);
    assert_eq!(get("alice@example.net", "a").unwrap(), "4");
    store.close().wait().unwrap();
}

pub(in crate::store) fn documents_are_bounded(open: Open) {
    let store = open(options());
    let owner = "alice@example.org";
    store
        .user_create(&jid(owner), credentials(1))
        .wait()
        .unwrap();
    let set = |documents| store.document_set(owner, "note", documents, 2).wait();
    set(vec![document("a", Some("1")), document("b", Some("2"))]).unwrap();
    assert!(matches!(
        set(vec![document("a", Some("x")), document("c", Some("3"))]),
        Err(StoreError::TooManyDocuments { most: 2 })
    ));
    // Nothing of what was too much was kept.
    let kept = store.document_get(owner, "note", "a").wait().unwrap();
    assert_eq!(kept.unwrap(), "1");
    set(vec![document("a", None), document("c", Some("3"))]).unwrap();
    // Other kinds are counted by themselves.
    let other = vec![document("a", Some("4"))];
    store.document_set(owner, "other", other, 1).wait().unwrap();
    assert_eq!(store.document_get(owner, "note", "a").wait().unwrap(), None);
    let long = "x".repeat(DOCUMENT_NAME_BYTES + 1);
    assert!(matches!(
        set(vec![document(&long, Some("1"))]),
        Err(StoreError::NotAllowed { .. })
    ));
    store.close().wait().unwrap();
}

pub(in crate::store) fn documents_are_taken_once(open: Open) {
    let store = open(options());
    for name in ["alice@example.org", "bob@example.org"] {
        let user = jid(name);
        store.user_create(&user, credentials(1)).wait().unwrap();
        let kept = vec![document("a", Some("1"))];
        store.document_set(name, "taken", kept, 10).wait().unwrap();
        let other = vec![document("a", Some("2"))];
        store.document_set(name, "note", other, 10).wait().unwrap();
    }
    assert_eq!(store.document_take("taken").wait().unwrap(), ["1", "1"]);
    assert!(store.document_take("taken").wait().unwrap().is_empty());
    let left = store.document_get("bob@example.org", "note", "a");
    assert_eq!(left.wait().unwrap().unwrap(), "2");
}
