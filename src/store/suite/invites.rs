//! Invitations to register.

use std::sync::atomic::Ordering::Relaxed;

use super::{Open, T0, at, credentials, jid, options};
use crate::store::{Invite, StoreError};

fn invite(id: &str, uses: u32) -> Invite {
    Invite {
        id: id.to_owned(),
        domain: "example.org".to_owned(),
        hash: [7; 32],
        uses,
        created_at: T0,
        expires_at: T0 + 1,
    }
}

pub(in crate::store) fn invites_are_used_as_often_as_they_say(open: Open) {
    let store = open(options());
    store.invite_create(invite("a", 2)).wait().unwrap();
    store.invite_create(invite("b", 1)).wait().unwrap();
    assert!(matches!(
        store.invite_create(invite("a", 9)).wait(),
        Err(StoreError::Exists)
    ));
    assert_eq!(store.invite("a").wait().unwrap(), Some(invite("a", 2)));
    let register = |user: &str, id: &str| store.user_create_invited(&jid(user), credentials(1), id);
    // Whatever fails takes no use, and leaves no user.
    assert!(matches!(
        register("anna@example.net", "a").wait(),
        Err(StoreError::InviteSpent)
    ));
    assert!(!store.user_exists("anna@example.net").wait().unwrap());
    register("anna@example.org", "a").wait().unwrap();
    assert!(matches!(
        register("anna@example.org", "a").wait(),
        Err(StoreError::Exists)
    ));
    assert_eq!(store.invite("a").wait().unwrap(), Some(invite("a", 1)));
    // Many at once: one gets it.
    let tries: Vec<_> = (0..50)
        .map(|n| register(&format!("u{n}@example.org"), "b"))
        .collect();
    let made = tries.into_iter().filter_map(|made| made.wait().ok());
    assert_eq!(made.count(), 1);
    assert_eq!(store.users(None).wait().unwrap().len(), 2);
    assert_eq!(store.invites().wait().unwrap(), [invite("a", 1)]);
    assert!(store.invite_revoke("a").wait().unwrap());
    assert!(!store.invite_revoke("a").wait().unwrap());
    assert_eq!(store.invite("a").wait().unwrap(), None);
    store.close().wait().unwrap();
}

pub(in crate::store) fn invites_are_swept_a_day_late(open: Open) {
    let (clock, options) = at(T0);
    let store = open(options);
    store.invite_create(invite("a", 1)).wait().unwrap();
    clock.store(T0 + 80_000_000, Relaxed);
    store.sweep().wait().unwrap();
    assert_eq!(store.invites().wait().unwrap(), [invite("a", 1)]);
    clock.store(T0 + 90_000_000, Relaxed);
    store.sweep().wait().unwrap();
    assert_eq!(store.invites().wait().unwrap(), []);
    store.close().wait().unwrap();
}
