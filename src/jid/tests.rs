use std::borrow::Cow;
use std::collections::HashMap;

use proptest::prelude::*;

use super::{Error, Jid, MAX_PART_BYTES, domain, prepare_local, prepare_resource};

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn parts() {
    let full = jid("juliet@example.com/balcony/a@b");
    assert_eq!(full.local(), Some("juliet"));
    assert_eq!(full.domain(), "example.com");
    assert_eq!(full.resource(), Some("balcony/a@b"));
    assert_eq!(full.bare_str(), "juliet@example.com");
    assert!(full.is_full() && !full.is_bare());
    let bare = full.to_bare();
    assert_eq!(bare, jid("juliet@example.com"));
    assert!(bare.is_bare() && !bare.is_full());
    assert_eq!(
        full.to_bare().with_resource("balcony/a@b").as_ref(),
        Ok(&full)
    );
    let domain = jid("example.com/x");
    assert_eq!(
        (domain.local(), domain.domain(), domain.resource()),
        (None, "example.com", Some("x"))
    );
    assert_eq!(domain.to_bare().as_str(), "example.com");
}

#[test]
fn t41_one_spelling_per_address() {
    for (spelling, canonical) in [
        ("Alice@LOCALHOST", "alice@localhost"),
        ("a@localhost.", "a@localhost"),
        ("a@example.org。", "a@example.org"),
        ("a@Example。ORG", "a@example.org"),
        ("a@xn--mnchen-3ya.example", "a@münchen.example"),
        ("a@XN--MNCHEN-3YA.example.", "a@münchen.example"),
        ("a@MÜNCHEN.example", "a@münchen.example"),
        ("a@mu\u{308}nchen.example", "a@münchen.example"),
        ("ａｌｉｃｅ@localhost", "alice@localhost"),
        ("ß@localhost", "ss@localhost"),
        ("a@straße.example", "a@straße.example"),
        ("a@xn--strae-oqa.example", "a@straße.example"),
        ("a@[0:0:0:0:0:0:0:1]/x", "a@[::1]/x"),
        ("127.0.0.1", "127.0.0.1"),
        ("a@b/..", "a@b/.."),
        ("a@b_c.example/Straße", "a@b_c.example/Straße"),
    ] {
        assert_eq!(jid(spelling).as_str(), canonical, "{spelling}");
    }
    assert_ne!(jid("a@straße.example"), jid("a@strasse.example"));
}

#[test]
fn t41_refuses_what_could_be_taken_for_another() {
    for (text, error) in [
        ("", Error::Domain),
        ("@example.com", Error::Local),
        ("a@", Error::Domain),
        ("a@/x", Error::Domain),
        ("a@b/", Error::Resource),
        ("a@b@c", Error::Domain),
        ("a@b..", Error::Domain),
        (".", Error::Domain),
        ("a@.b", Error::Domain),
        ("a b@c", Error::Local),
        ("a:b@c", Error::Local),
        ("a＠b@c", Error::Local),
        ("a@b＠c", Error::Domain),
        ("a@b／c", Error::Domain),
        ("a@b'c", Error::Domain),
        ("a@-b.example", Error::Domain),
        ("a@xn--a.example", Error::Domain),
        ("a@[::1", Error::Domain),
        ("a@[fe80::1%eth0]", Error::Domain),
        ("a\u{5d0}b@c", Error::Local),
        ("a@b/x\u{7}", Error::Resource),
        ("a@b/\u{fffe}", Error::Resource),
        ("\u{378}@b", Error::Local),
        ("a@\u{378}.example", Error::Domain),
    ] {
        assert_eq!(Jid::new(text), Err(error), "{text}");
    }
}

#[test]
fn length_limits() {
    let most = "x".repeat(MAX_PART_BYTES);
    let more = "x".repeat(MAX_PART_BYTES + 1);
    assert!(Jid::from_parts(Some(&most), "b", Some(&most)).is_ok());
    assert_eq!(Jid::from_parts(Some(&more), "b", None), Err(Error::Local));
    assert_eq!(
        Jid::from_parts(None, "b", Some(&more)),
        Err(Error::Resource)
    );
    let label = "x".repeat(63);
    let name = [label.as_str(); 4].join(".");
    assert_eq!(Jid::new(&name), Err(Error::Domain));
    assert!(Jid::new(&name[2..]).is_ok());
    assert_eq!(Jid::new(&"x".repeat(64)), Err(Error::Domain));
}

#[test]
fn addresses_are_ordered_like_their_texts() {
    let mut texts = ["b@a", "a@b/x", "a", "a@b", "a@b/w"];
    let mut jids = texts.map(jid);
    texts.sort_unstable();
    jids.sort();
    assert_eq!(jids.each_ref().map(Jid::as_str), texts);
    assert!(jid("a@b") < jid("a@b/x") && jid("b@a") > jid("a@b"));
}

#[test]
fn addresses_are_shown_as_they_are() {
    let full = jid("Anna@Example.org/x");
    assert_eq!(full.to_string(), "anna@example.org/x");
    assert_eq!(format!("{:>20}|", full.to_bare()), "    anna@example.org|");
    assert_eq!(format!("{full:?}"), "Jid(anna@example.org/x)");
}

/// Most addresses come prepared: they are neither copied nor mapped.
#[test]
fn prepared_parts_are_borrowed() {
    for domain in ["example.org", "a.b-c.example", "x_1.example."] {
        let prepared = domain::prepare(domain);
        assert!(matches!(prepared, Some(Cow::Borrowed(_))), "{prepared:?}");
    }
    let local = prepare_local("anna-1.b_c+d");
    assert!(matches!(local, Ok(Cow::Borrowed(_))), "{local:?}");
    let resource = prepare_resource("My phone / 1");
    assert!(matches!(resource, Ok(Cow::Borrowed(_))), "{resource:?}");
}

#[test]
fn map_is_looked_up_by_borrowed_bare_address() {
    let map: HashMap<Jid, u8> = [(jid("a@b"), 1)].into();
    assert_eq!(map.get(jid("a@b/c").bare_str()), Some(&1));
}

proptest! {
    #[test]
    fn t41_preparation_is_idempotent(text in "\\PC{0,20}|[a-zA-Z0-9@./ -]{0,30}|[aß-ɏ\u{300}-\u{36f}Ω-ώ]{1,6}@[a-zß-ſ。.]{1,9}/\\PC{1,9}") {
        if let Ok(jid) = Jid::new(&text) {
            let twice = Jid::new(jid.as_str());
            prop_assert_eq!(twice.as_ref(), Ok(&jid));
            let again = Jid::from_parts(jid.local(), jid.domain(), jid.resource());
            prop_assert_eq!(again.as_ref(), Ok(&jid));
        }
    }
}
