//! The library of bots, and the bot that ships.

use crate::hook::Point;
use crate::jid::Jid;

use super::{Stage, event, message, on_worker, script, stanza};

#[test]
fn the_bot_answers_a_person() {
    on_worker(async {
        let stage = Stage::new(1, &[], &[script("bot")]);
        let report = stage.control.reload().await.unwrap();
        assert!(!report.refused(), "{report}");
        let alice = "alice@localhost/pc";
        let said = |body: &str| -> Vec<(String, String)> { vec![(alice.into(), body.into())] };
        for (text, answer) in [
            ("note milk", "Noted. That makes 1."),
            ("NOTE <bread>", "Noted. That makes 2."),
            ("/note", "milk\n<bread>"),
            ("My name is Alice", "Nice to meet you, Alice."),
            ("hi", "Hello, Alice! Say help to see what I can do."),
            ("forgit", "Did you mean forget?"),
            ("forget", "Really? Say yes."),
            ("yes", "I have forgotten everything."),
            ("note", "You have no notes."),
            ("yes", "I do not understand. Say help."),
            (
                "remind me",
                "Say when and what: remind 10m tea. Seconds, minutes, hours and days are s, m, h, d; at most 30 days.",
            ),
        ] {
            let sent = message("bot@localhost", &text.replace('<', "&lt;"));
            let (verdict, _) = stage.settle(Point::Route, event(&sent)).await;
            assert_eq!(verdict.name(), "done", "{text}");
            assert_eq!(stage.outbox().said(), said(answer), "{text}");
        }
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn the_bot_is_silent_to_what_no_person_says() {
    on_worker(async {
        let stage = Stage::new(1, &[], &[script("bot")]);
        stage.build(1).await.unwrap();
        let alice = "alice@localhost/pc";
        let body = "<body>hi</body>";
        for (attrs, inside) in [
            ("type='error'", body.to_owned()),
            ("type='groupchat'", body.to_owned()),
            ("type='headline'", body.to_owned()),
            (
                "type='chat'",
                "<composing xmlns='http://jabber.org/protocol/chatstates'/>".into(),
            ),
            (
                "type='chat'",
                format!("{body}<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"),
            ),
            (
                "type='chat'",
                format!("{body}<received xmlns='urn:xmpp:carbons:2'/>"),
            ),
            (
                "type='chat'",
                format!("{body}<no-store xmlns='urn:xmpp:hints'/>"),
            ),
            (
                "type='chat'",
                format!(
                    "{body}<headers xmlns='http://jabber.org/protocol/shim'><header name='List-Id'>&lt;team.localhost></header></headers>"
                ),
            ),
            (
                "type='chat'",
                "<body>I do not understand. Say help.</body>".into(),
            ),
        ] {
            // Something else before, so that the last one is an echo of what the bot has said last.
            stage
                .settle(Point::Route, event(&message("bot@localhost", "mumble")))
                .await;
            stage.outbox().take();
            let xml =
                format!("<message from='{alice}' to='bot@localhost' {attrs}>{inside}</message>");
            let (verdict, _) = stage.settle(Point::Route, event(&stanza(&xml))).await;
            assert_eq!(verdict.name(), "drop", "{xml}");
            assert!(stage.outbox().said().is_empty(), "{xml}");
        }
        for from in ["bot@localhost/x", "localhost"] {
            let xml =
                format!("<message from='{from}' to='bot@localhost' type='chat'>{body}</message>");
            let (verdict, _) = stage.settle(Point::Route, event(&stanza(&xml))).await;
            assert_eq!(verdict.name(), "drop", "{xml}");
        }
        let bob = message("bob@localhost", "help");
        let (verdict, _) = stage.settle(Point::Route, event(&bob)).await;
        assert_eq!(verdict.name(), "next");
        assert!(stage.outbox().said().is_empty());
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn two_bots_that_know_no_rules_stop_talking() {
    on_worker(async {
        let stage = Stage::new(1, &[], &[script("bot")]);
        stage.build(1).await.unwrap();
        let mut answers = 0;
        for number in 0..100 {
            let sent = message("bot@localhost", &format!("spam {number}"));
            stage.settle(Point::Route, event(&sent)).await;
            answers += stage.outbox().said().len();
        }
        assert_eq!(answers, 21, "20 answers in a minute, and one that says so");
        // Its answers say that they are automatic, and so another such bot stays silent.
        let other = stanza(
            "<message from='carol@localhost/x' to='bot@localhost' type='chat'><thread>t</thread><body>hi</body></message>",
        );
        stage.settle(Point::Route, event(&other)).await;
        let (mut answer, _) = stage.outbox().take().remove(0);
        let text = format!("{answer:?}");
        assert!(
            text.contains("Auto-Submitted") && text.contains("<thread>t</thread>"),
            "{text}"
        );
        answer.set_from(Some(Jid::new("other@localhost/x").unwrap()));
        answer.set_to(Some(Jid::new("bot@localhost").unwrap()));
        let (verdict, _) = stage.settle(Point::Route, event(&answer)).await;
        assert_eq!(verdict.name(), "drop");
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn a_bot_of_three_lines_a_command_and_what_goes_wrong_in_it() {
    on_worker(async {
        let text = r#"
            local bot = require("msys.bot")
            local commands = {}
            commands.dice = { "throws a dice", function(args, message, memory)
              return "You threw " .. math.random(6)
            end }
            commands.count = { "counts", function(args, message, memory)
              memory.n = (memory.n or 0) + 1
              return memory.n
            end }
            commands.hoard = { "keeps too much", function(args, message, memory) memory.x = ("x"):rep(9000) return "kept" end }
            commands.wrong = { "fails", function(args) return args.x.y end }
            commands.quiet = { "says nothing", function() end }
            bot.serve { address = "r2d2@localhost", commands = commands, rules = { { "(%d+) and (%d+)", "%2, %1" } } }"#;
        let stage = Stage::new(1, &[("main.lua", text)], &[script("main")]);
        stage.build(1).await.unwrap();
        let alice = "alice@localhost/pc".to_owned();
        for (said, answer) in [
            ("count", "1"),
            ("count", "2"),
            ("hoard", "That is more than I can remember."),
            ("wrong", "That went wrong. The server's log says why."),
            ("count", "3"),
            ("it is 7 and 8", "8, 7"),
        ] {
            let sent = message("r2d2@localhost", said);
            stage.settle(Point::Route, event(&sent)).await;
            assert_eq!(
                stage.outbox().said(),
                [(alice.clone(), answer.to_owned())],
                "{said}"
            );
        }
        let sent = message("r2d2@localhost", "quiet");
        let (verdict, _) = stage.settle(Point::Route, event(&sent)).await;
        assert_eq!((verdict.name(), stage.outbox().said().len()), ("done", 0));
        stage
            .settle(Point::Route, event(&message("r2d2@localhost", "dice")))
            .await;
        assert!(stage.outbox().said()[0].1.starts_with("You threw "));
        for (line, wanted) in [
            (
                "bot.serve { adress = 'x@localhost' }",
                "bot.serve knows no \"adress\"",
            ),
            (
                "bot.serve { address = 'a b@localhost' }",
                "address is no address",
            ),
            (
                "bot.serve { address = 'x@localhost', commands = { a = { 'b' } } }",
                "command \"a\": write",
            ),
            (
                "bot.serve { address = 'x@localhost', rules = { { '[a', 'b' } } }",
                "rule 1: write",
            ),
        ] {
            stage.save(
                "main.lua",
                &format!("local bot = require('msys.bot')\n{line}"),
            );
            let failure = stage.build(2).await.unwrap_err().to_string();
            assert!(failure.contains(wanted), "{failure}");
        }
    });
}

#[test]
fn a_bot_for_another_domain_takes_nothing() {
    on_worker(async {
        let text = "require('msys.bot').serve { address = 'bot@example.org' }";
        let stage = Stage::new(1, &[("main.lua", text)], &[script("main")]);
        stage.build(1).await.unwrap();
        let sent = message("bot@example.org", "help");
        let (verdict, _) = stage.settle(Point::Route, event(&sent)).await;
        assert_eq!(verdict.name(), "next");
    });
}
