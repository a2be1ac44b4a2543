use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// What is wrong with `record`, line by line, without the first.
fn faults(record: &str) -> Vec<String> {
    let bad = read(record).unwrap_err().to_string();
    bad.lines()
        .skip(1)
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn record_says_all_that_there_is() {
    let record_of_all = r#"{
        "a@x": {},
        "B@X": {"name": "Bée", "groups": ["Friends", "\"q\" 🌹"], "subscription": "both", "pending_requests": {}},
        "c@x": {"name": null, "groups": {}, "pending_requests": [], "subscription": "none"},
        "d@x": {"name": "", "pending_requests": {"out": true, "in": true, "approved": false}},
        "e@x/desk": {"pending_requests": {"approved": true}, "subscription": "to"},
        "f@x": {"pending_requests": {"in": true, "listed": false}},
        "x": {"subscription": "from", "pending_requests": {"out": true, "listed": true}}
    }"#;
    let items = read(record_of_all).unwrap();
    let states: Vec<(&str, &str, bool)> = items
        .iter()
        .map(|item| (item.jid.as_str(), item.subscription.name(), item.listed))
        .collect();
    assert_eq!(
        states,
        [
            ("a@x", "none", true),
            ("b@x", "both", true),
            ("c@x", "none", true),
            ("d@x", "none+out+in", true),
            ("e@x/desk", "to+approved", true),
            ("f@x", "none+in", false),
            ("x", "from+out", true),
        ]
    );
    let b = &items[1];
    assert_eq!(b.name.as_deref(), Some("Bée"));
    assert_eq!(groups_of(b), ["Friends", "\"q\" 🌹"]);
    assert!(
        items
            .iter()
            .all(|item| item.jid.as_str() == "b@x" || item.name.is_none())
    );

    let made = record(&Roster::new(1, items.clone()));
    assert_eq!(
        made["f@x"],
        json!({"name": null, "groups": [], "pending_requests": {"in": true, "listed": false}, "subscription": "none"})
    );
    assert_eq!(read(&made.to_string()).unwrap(), items);
    assert_eq!(read("{}").unwrap(), []);
}

#[test]
fn every_fault_is_named_with_its_contact_and_field() {
    let faulty = r#"{
        "@x": {"name": 1},
        "a@x": {"nmae": "A", "name": ["A"], "groups": "Friends", "subscription": "yes", "pending_requests": "in"},
        "A@X": {"groups": ["G", "G"], "subscription": null},
        "b@x": "both",
        "c@x": {"groups": [""], "subscription": "both", "pending_requests": {"in": true, "out": true}},
        "d@x": {"groups": [7], "name": "bell \u0007", "pending_requests": {"subscribe": true}},
        "e@x": {"pending_requests": {"in": "yes"}},
        "f@x": {"subscription": "to", "pending_requests": {"listed": false}}
    }"#;
    let expected = [
        "`@x`: not an address: the part before the @ is empty, too long or has a character that is not allowed there",
        "`a@x`: no field is called `nmae`; there are name, groups, pending_requests, subscription",
        "`a@x`: name: a list where a text should be",
        "`a@x`: groups: a text where a list of texts should be",
        "`a@x`: subscription: `yes` is not none, to, from or both",
        "`a@x`: pending_requests: a text where an object should be",
        "`A@X`: groups: a group stands there twice",
        "`A@X`: subscription: null where none, to, from or both should be",
        "`A@X`: a@x stands there twice",
        "`b@x`: a text where an object should be",
        "`c@x`: groups: a group has no name",
        "`c@x`: pending_requests: in and out cannot be with the subscription both",
        "`d@x`: name: the name has a character that XML cannot carry",
        "`d@x`: groups: a number where a text should be",
        "`d@x`: pending_requests: none is called `subscribe`; there are in, out, approved, listed",
        "`e@x`: pending_requests: in: a text where true or false should be",
        "`f@x`: pending_requests: only a contact that asks and nothing else is not listed",
    ];
    assert_eq!(faults(faulty), expected);
    let first = read(faulty).unwrap_err().to_string();
    assert!(
        first.starts_with("17 faults, nothing was imported\n"),
        "{first}"
    );
}

#[test]
fn what_is_no_record_is_told_apart() {
    for (text, told) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[]", "expected an object of contacts"),
        ("{\"a@x\": {}", "EOF while parsing an object"),
        ("{} {}", "trailing characters"),
    ] {
        let bad = read(text).unwrap_err().to_string();
        assert!(
            bad.contains("not a JSON object of contacts") && bad.contains(told),
            "{bad}"
        );
    }
    let twice = faults(r#"{"a@x": {"name": "one"}, "a@x": {"name": "two"}}"#);
    assert_eq!(twice, ["`a@x`: a@x stands there twice"]);
    let long = format!("{{{:?}: 1}}", "@".repeat(500));
    assert!(faults(&long).iter().all(|fault| fault.len() < 300));
    let many: Vec<String> = (0..300).map(|n| format!("\"a{n}@x\": 1")).collect();
    let many = faults(&format!("{{{}}}", many.join(",")));
    assert_eq!(many.len(), FAULTS + 1);
    assert_eq!(many.last().unwrap(), "and 100 more");
}

fn items() -> impl Strategy<Value = Vec<RosterItem>> {
    let text = "[ -~äß\u{1f339}\u{e000}\t\n\r]{1,12}";
    let item = (
        "[a-z]{1,6}@[a-z]{1,3}(/[ -~]{0,4}x)?",
        proptest::option::of(text),
        proptest::collection::hash_set(text, 0..4),
        select(&Subscription::ALL[..]),
        subsequence(vec![()], 0..=1),
    );
    let item = item.prop_map(|(jid, name, groups, subscription, unlisted)| RosterItem {
        name: name.map(Box::from),
        groups: groups.into_iter().map(Box::from).collect(),
        subscription,
        listed: unlisted.is_empty() || subscription.name() != "none+in",
        ..RosterItem::new(Jid::new(&jid).unwrap())
    });
    proptest::collection::vec(item, 0..20)
}

proptest! {
    /// Export and import lose nothing but the stanza of a request.
    #[test]
    fn records_round_trip(items in items()) {
        let roster = Roster::new(7, items);
        let text = format!("{:#}", record(&roster));
        let again = Roster::new(7, read(&text).unwrap());
        prop_assert_eq!(again, roster);
    }

    /// Whatever is written there, it is read or refused with reasons.
    #[test]
    fn odd_records_are_read_or_refused(
        contact in select(vec!["a@x", "A@x", "@", "", "x/"]),
        fields in select(vec!["name", "groups", "pending_requests", "subscription", "x"]),
        value in select(vec!["null", "1", "true", "\"both\"", "[]", "[[]]", "{}", "{\"in\":true}", "[\"\\u0000\"]"]),
    ) {
        let text = format!("{{\"{contact}\": {{\"{fields}\": {value}}}, \"b@x\": {value}}}");
        match read(&text) {
            Ok(items) => prop_assert!(items.iter().all(|item| item.subscription.is_valid())),
            Err(bad) => prop_assert!(bad.to_string().lines().count() > 1),
        }
    }
}
