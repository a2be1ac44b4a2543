use std::collections::BTreeSet;

use super::*;
use crate::stanza::{Condition, Stanza};
use crate::xml::{CLIENT_NS, Element};

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

fn set(items: &str) -> Result<RosterSet, Condition> {
    let text = format!("<query xmlns='jabber:iq:roster'>{items}</query>");
    let query = Element::parse_framed(text.as_bytes(), CLIENT_NS, &[]).unwrap();
    RosterItem::from_set(&query).map_err(|error| error.condition)
}

fn put(contact: &str, name: Option<&str>, groups: &[&str]) -> RosterSet {
    RosterSet::Put {
        jid: jid(contact),
        name: name.map(Box::from),
        groups: groups.iter().map(|group| Box::from(*group)).collect(),
    }
}

#[test]
fn twelve_states_and_no_other_have_names() {
    let names: Vec<&str> = Subscription::ALL.iter().map(|s| s.name()).collect();
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!((names.len(), distinct.len()), (12, 12));
    for state in Subscription::ALL {
        assert_eq!(Subscription::from_name(state.name()), Some(state));
    }
    for bad in ["", "None", "from+in", "to+out", "both+in", "from+approved"] {
        assert_eq!(Subscription::from_name(bad), None, "{bad}");
    }
    let every = (0..32u8).map(|bits| Subscription {
        to: bits & 1 > 0,
        from: bits & 2 > 0,
        out: bits & 4 > 0,
        in_: bits & 8 > 0,
        approved: bits & 16 > 0,
    });
    let valid = every.filter(|state| state.is_valid());
    assert_eq!(valid.count(), 12);
    let attrs = Subscription::ALL.map(Subscription::attr);
    let expected = Subscription::ALL.map(|s| s.name().split('+').next().unwrap());
    assert_eq!(attrs, expected);
}

#[test]
fn item_is_written_as_the_rfc_says() {
    let mut item = RosterItem::new(jid("romeo@example.net"));
    assert_eq!(
        item.to_element().to_string(),
        "<item xmlns='jabber:iq:roster' jid='romeo@example.net' subscription='none'/>"
    );
    item.name = Some("Romeo & co".into());
    item.groups = Box::new(["Friends".into(), "<Lovers>".into()]);
    item.subscription = Subscription::from_name("none+out+approved").unwrap();
    assert_eq!(
        item.to_element().to_string(),
        "<item xmlns='jabber:iq:roster' jid='romeo@example.net' subscription='none' name='Romeo &amp; co' \
         ask='subscribe' approved='true'><group>Friends</group><group>&lt;Lovers&gt;</group></item>"
    );
    assert_eq!(
        RosterItem::removed(&item.jid).to_string(),
        "<item xmlns='jabber:iq:roster' jid='romeo@example.net' subscription='remove'/>"
    );
}

#[test]
fn good_sets_are_read_and_what_is_not_the_clients_to_say_is_ignored() {
    let nurse =
        "<item jid='Nurse@Example.com' name='Nurse'><group>A</group><group>a</group></item>";
    assert_eq!(
        set(nurse),
        Ok(put("nurse@example.com", Some("Nurse"), &["A", "a"]))
    );
    let bare = put("nurse@example.com", None, &[]);
    assert_eq!(set("<item jid='nurse@example.com'/>"), Ok(bare.clone()));
    assert_eq!(
        set("<item jid='nurse@example.com' name=''/>"),
        Ok(bare.clone())
    );
    assert_eq!(
        set(
            "<item jid='nurse@example.com' subscription='both' ask='subscribe' approved='true' x='y'><x xmlns='urn:x'/>\
             <group xmlns='urn:x'/></item><item xmlns='urn:x'/>"
        ),
        Ok(bare)
    );
    assert_eq!(
        set("<item jid='nurse@example.com' subscription='remove' name='x'><group/></item>"),
        Ok(RosterSet::Remove(jid("nurse@example.com")))
    );
    assert_eq!(
        set("<item jid='example.com/desk'/>"),
        Ok(put("example.com/desk", None, &[]))
    );
}

#[test]
fn bad_sets_have_the_condition_of_rfc_6121_2_3_3() {
    use Condition::{BadRequest, JidMalformed, NotAcceptable};
    let item = |rest: &str| format!("<item jid='a@b'{rest}");
    let group = |length: usize| format!("<group>{}</group>", "g".repeat(length));
    let groups = |count: usize| -> String {
        let each = (0..count).map(|n| format!("<group>{n}</group>"));
        item(&format!(">{}</item>", each.collect::<String>()))
    };
    let cases = [
        (String::new(), BadRequest),
        (item("/><item jid='c@d'/>"), BadRequest),
        (item("/><item jid='a@b'/>"), BadRequest),
        ("<item/>".to_owned(), BadRequest),
        ("<item subscription='remove'/>".to_owned(), BadRequest),
        ("<item jid=''/>".to_owned(), JidMalformed),
        ("<item jid='@b'/>".to_owned(), JidMalformed),
        (
            "<item jid='a@b/' subscription='remove'/>".to_owned(),
            JidMalformed,
        ),
        (item("><group>x</group><group>x</group></item>"), BadRequest),
        (item("><group>x</group><group/></item>"), NotAcceptable),
        (
            item(&format!(" name='{}'/>", "n".repeat(NAME_BYTES + 1))),
            NotAcceptable,
        ),
        (
            item(&format!(">{}</item>", group(GROUP_BYTES + 1))),
            NotAcceptable,
        ),
        (groups(MAX_GROUPS + 1), NotAcceptable),
    ];
    for (items, condition) in cases {
        assert_eq!(set(&items), Err(condition), "{items}");
    }
    assert!(set(&item(&format!(" name='{}'/>", "n".repeat(NAME_BYTES)))).is_ok());
    assert!(set(&item(&format!(">{}</item>", group(GROUP_BYTES)))).is_ok());
    assert!(set(&groups(MAX_GROUPS)).is_ok());
}

#[test]
fn request_is_kept_whole_unless_it_is_long() {
    let subscribe = |text: &str| {
        let mut stanza = Stanza::presence("subscribe");
        stanza.set_from(Some(jid("romeo@example.net")));
        stanza.set_to(Some(jid("juliet@example.org")));
        stanza.set_id(Some("s1"));
        stanza.with_child(&Element::new("status", CLIENT_NS).with_text(text))
    };
    let mut item = RosterItem::new(jid("romeo@example.net"));
    item.ask(&subscribe("Juliet?"));
    assert!(item.subscription.in_ && !item.listed);
    let kept = Stanza::from_bytes(item.request.as_ref().unwrap()).unwrap();
    assert_eq!(kept.to_bytes(), subscribe("Juliet?").to_bytes());

    item.ask(&subscribe(&"x".repeat(REQUEST_BYTES)));
    assert_eq!(
        item.request.as_deref().unwrap(),
        "<presence from='romeo@example.net' to='juliet@example.org' type='subscribe' id='s1'/>"
    );
    item.answered();
    assert_eq!(item, RosterItem::new(jid("romeo@example.net")));
}

#[test]
fn request_of_an_item_from_outside_is_the_old_one_or_plain() {
    let owner = jid("juliet@example.org/balcony");
    let mut asked = item("romeo@example.net", "to+in", true);
    asked.keep_request(&owner, Some(&item("romeo@example.net", "to", true)));
    assert_eq!(
        asked.request.as_deref().unwrap(),
        "<presence from='romeo@example.net' to='juliet@example.org' type='subscribe'/>"
    );
    asked.request = Some(Box::new("<presence/>".into()));
    let mut again = item("romeo@example.net", "none+in", false);
    again.keep_request(&owner, Some(&asked));
    assert_eq!(again.request, asked.request);
    asked.subscription = Subscription::NONE;
    asked.keep_request(&owner, Some(&again));
    assert_eq!(asked.request, None);
}

fn item(contact: &str, state: &str, listed: bool) -> RosterItem {
    RosterItem {
        subscription: Subscription::from_name(state).unwrap(),
        listed,
        ..RosterItem::new(jid(contact))
    }
}

fn names<'a>(jids: impl Iterator<Item = &'a Jid>) -> Vec<&'a str> {
    jids.map(Jid::as_str).collect()
}

fn jids<'a>(items: impl Iterator<Item = &'a Arc<RosterItem>>) -> Vec<&'a str> {
    names(items.map(|item| &item.jid))
}

#[test]
fn roster_is_sorted_and_tells_who_is_who() {
    let roster = Roster::new(
        7,
        vec![
            item("d@x", "none+in", false),
            item("c@x", "both", true),
            item("b@x", "from+out", true),
            item("a@x", "none", true),
            item("e@x", "to+in", true),
            item("a@x", "none+out", true),
        ],
    );
    assert_eq!((roster.version(), roster.len()), (7, 5));
    assert_eq!(jids(roster.iter()), ["a@x", "b@x", "c@x", "d@x", "e@x"]);
    let again = roster.get("a@x").unwrap();
    assert_eq!(again.subscription.name(), "none+out", "the later counts");
    assert_eq!(jids(roster.listed()), ["a@x", "b@x", "c@x", "e@x"]);
    assert_eq!(names(roster.subscribers()), ["b@x", "c@x"]);
    assert_eq!(names(roster.subscriptions()), ["c@x", "e@x"]);
    assert_eq!(jids(roster.requests()), ["d@x", "e@x"]);
}

#[test]
fn change_leaves_readers_of_the_version_before_alone() {
    let before = Arc::new(Roster::new(1, vec![item("a@x", "none", true)]));
    let mut after = Arc::clone(&before);
    Arc::make_mut(&mut after).put(item("b@x", "to", true), 2);
    Arc::make_mut(&mut after).put(item("a@x", "both", true), 3);
    assert_eq!(before.version(), 1);
    assert_eq!(before.get(jid("a@x")).unwrap().subscription.name(), "none");
    assert_eq!((after.version(), after.len()), (3, 2));
    assert_eq!(after.get(jid("a@x")).unwrap().subscription.name(), "both");

    let after = Arc::make_mut(&mut after);
    assert_eq!(after.remove("c@x", 4), None);
    assert_eq!(after.version(), 3);
    assert_eq!(after.remove(jid("b@x"), 4).unwrap().jid, jid("b@x"));
    assert_eq!((after.version(), after.len()), (4, 1));
}

/// What a session pays for each contact that has no name: this, a pointer and two counters, and the address.
#[test]
fn contact_is_small() {
    assert_eq!(size_of::<Subscription>(), 5);
    assert_eq!(size_of::<RosterItem>(), 72);
}
