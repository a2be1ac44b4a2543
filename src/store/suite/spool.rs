//! The spool's order, and the spool as the operator sees it.

use super::{Open, T0, options, row};
use crate::store::{RowId, SpoolRow};

pub(crate) fn the_spool_is_listed_in_pages(open: Open) {
    let store = open(options());
    let later = SpoolRow {
        stored_at: T0 + 5_000,
        expires_at: Some(T0 + 9_000),
        from: None,
        ..row("juliet@example.org", "second")
    };
    let mut ids = store
        .spool_append(vec![row("juliet@example.org/balcony", "first")])
        .wait()
        .unwrap();
    let others = vec![
        later,
        row("nurse@example.org", "other"),
        row("juliet@example.net", "elsewhere"),
    ];
    ids.extend(store.spool_append(others).wait().unwrap());

    let all = store.spool_summary(None, "", 10).wait().unwrap();
    let owners: Vec<&str> = all.iter().map(|total| total.owner.as_str()).collect();
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
    let page = store.spool_summary(None, "juliet@example.net", 1);
    assert_eq!(page.wait().unwrap(), all[1..2]);
    let of_org = store.spool_summary(Some("example.org"), "", 10);
    assert_eq!(of_org.wait().unwrap(), all[1..]);
    // A domain is no ending of another's name.
    let of_end = store.spool_summary(Some("ample.org"), "", 10);
    assert_eq!(of_end.wait().unwrap(), []);

    let rows = |after, limit| {
        let rows = store.spool_rows("juliet@example.org", after, limit);
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
    assert_eq!(store.spool_summary(None, "", 10).wait().unwrap().len(), 2);
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
        ids.extend(store.spool_append(rows).wait().unwrap());
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(store.spool_count("juliet@example.org").wait().unwrap(), 20);

    let mut after = RowId::START;
    let mut read = Vec::new();
    loop {
        let page = store
            .spool_fetch("juliet@example.org", after, 3)
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
    assert_eq!(store.spool_count("juliet@example.org").wait().unwrap(), 0);
    assert_eq!(store.spool_count("nurse@example.org").wait().unwrap(), 10);
    assert_eq!(
        store.spool_delete(ids).wait().unwrap(),
        10,
        "only what is still there"
    );
    store.close().wait().unwrap();
}
