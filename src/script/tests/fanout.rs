//! The library of lists.

use crate::hook::{Point, Verdict};
use crate::jid::Jid;
use crate::stanza::{Condition, StanzaError};

use super::{Stage, event, on_worker, script, stanza};

const LISTS: &str = r#"
    require("msys.fanout").serve {
      ["team@localhost"] = { members = { "alice@localhost", "bob@localhost", "carol@localhost" } },
      ["all@localhost"] = { members = { "team@localhost", "dave@localhost", "bob@localhost" }, senders = "anyone", prefix = false, subject = "All" },
      ["news@localhost"] = { members = { "all@localhost" }, senders = { "boss@localhost" }, refusal = "Only the boss." },
    }"#;

#[test]
fn a_list_passes_on_to_each_once_and_from_itself() {
    on_worker(async {
        let stage = Stage::new(1, &[("main.lua", LISTS)], &[script("main")]);
        stage.build(1).await.unwrap();
        let xml = "<message from='alice@localhost/pc' to='team@localhost' type='chat' id='m' xml:lang='en'><body>5 &lt; 6 %s</body>\
             <request xmlns='urn:xmpp:receipts'/><addresses xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='boss@localhost'/></addresses>\
             <x xmlns='urn:kept'/></message>";
        let (verdict, _) = stage.settle(Point::Route, event(&stanza(xml))).await;
        assert_eq!(verdict.name(), "done");
        let sent = stage.outbox().take();
        let to: Vec<&str> = sent
            .iter()
            .map(|(copy, _)| copy.to().unwrap().as_str())
            .collect();
        assert_eq!(to, ["bob@localhost", "carol@localhost"]);
        let copy = &sent[0].0;
        assert_eq!(copy.from().unwrap().as_str(), "team@localhost");
        assert_eq!(copy.body().unwrap(), "alice: 5 < 6 %s");
        assert_eq!(
            (copy.type_(), copy.id(), copy.lang()),
            ("chat", Some("m"), Some("en"))
        );
        let text = format!("{copy:?}");
        assert!(
            text.contains("urn:kept") && !text.contains("boss@") && !text.contains("receipts"),
            "{text}"
        );
        assert!(
            text.contains("jid='alice@localhost'") || text.contains("jid=\"alice@localhost\""),
            "{text}"
        );
        assert!(
            text.contains("&lt;team.localhost&gt;") || text.contains("&lt;team.localhost>"),
            "{text}"
        );
        // What comes back to the list goes nowhere.
        let mut again = copy.clone();
        again.set_from(Some(Jid::new("alice@localhost/pc").unwrap()));
        again.set_to(Some(Jid::new("team@localhost").unwrap()));
        let error = again
            .error(&StanzaError::new(Condition::ServiceUnavailable))
            .unwrap();
        for back in [again, error] {
            let mut back = back;
            back.set_to(Some(Jid::new("team@localhost").unwrap()));
            let (verdict, _) = stage.settle(Point::Route, event(&back)).await;
            assert_eq!(verdict.name(), "drop", "{back:?}");
        }
        assert!(stage.outbox().take().is_empty());
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn a_list_says_who_may_write() {
    on_worker(async {
        let stage = Stage::new(1, &[("main.lua", LISTS)], &[script("main")]);
        stage.build(1).await.unwrap();
        for (from, to, got) in [
            (
                "eve@localhost/pc",
                "team@localhost",
                Err("You may not write to team@localhost."),
            ),
            ("eve@example.org/pc", "all@localhost", Ok(4)),
            ("dave@localhost/pc", "all@localhost", Ok(3)),
            (
                "alice@localhost/pc",
                "news@localhost",
                Err("Only the boss."),
            ),
            ("boss@localhost/pc", "news@localhost/x", Ok(4)),
        ] {
            let xml = format!("<message from='{from}' to='{to}'><body>hi</body></message>");
            let (verdict, _) = stage.settle(Point::Route, event(&stanza(&xml))).await;
            match (verdict, got) {
                (Verdict::Done, Ok(copies)) => {
                    assert_eq!(stage.outbox().take().len(), copies, "{xml}")
                }
                (Verdict::Reject(error), Err(text)) => {
                    assert_eq!(
                        (error.condition, error.text.as_deref()),
                        (Condition::Forbidden, Some(text))
                    );
                    assert!(stage.outbox().take().is_empty());
                }
                (verdict, _) => panic!("{xml}: {verdict:?}"),
            }
        }
        let room = stanza(
            "<message from='bob@localhost/pc' to='team@localhost' type='groupchat'><body>hi</body></message>",
        );
        let (verdict, _) = stage.settle(Point::Route, event(&room)).await;
        assert_eq!(verdict.name(), "reject");
        for (lists, wanted) in [
            (
                "['a@example.org'] = {}",
                "this server does not serve that domain",
            ),
            ("['a@localhost'] = { membres = {} }", "membres"),
            (
                "['a@localhost'] = { members = { 'bob' } }",
                "bob is no address",
            ),
            (
                "['a@localhost'] = { senders = 'everybody' }",
                "senders = everybody, but it is",
            ),
        ] {
            stage.save(
                "main.lua",
                &format!("require('msys.fanout').serve {{ {lists} }}"),
            );
            let failure = stage.build(2).await.unwrap_err().to_string();
            assert!(failure.contains(wanted), "{failure}");
        }
        assert_eq!(stage.errors(), 0);
    });
}
