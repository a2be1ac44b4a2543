//! The scripts that ship.

use std::collections::BTreeSet;
use std::path::Path;

use crate::hook::{Point, Verdict};
use crate::script::snapshot::BUILT_IN;

use super::{Stage, on_worker, script};

#[test]
fn what_is_compiled_in_is_what_lies_in_scripts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut files = BTreeSet::new();
    for dir in ["", "msys", "msys/xmpp"] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.insert(
                    path.strip_prefix(&root)
                        .unwrap()
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }
    let compiled: BTreeSet<String> = BUILT_IN
        .iter()
        .map(|(path, _)| (*path).to_owned())
        .collect();
    assert_eq!(files, compiled, "list every file of scripts/ in BUILT_IN");
}

#[test]
fn the_shipped_scripts_pass_their_own_tests_and_answer() {
    on_worker(async {
        let all = ["dialplan", "chatstates", "bot", "fanout"].map(script);
        let mut stage = Stage::new(2, &[], &all);
        // Within the budget that a call has by default.
        stage.settings.limits.cpu_budget = std::time::Duration::from_millis(5);
        let report = stage.control.reload().await.unwrap();
        assert!(!report.refused(), "{report}");
        let (verdict, _) = stage.message("echo@localhost", "hello").await;
        assert!(matches!(verdict, Verdict::Done));
        assert_eq!(
            stage.outbox().said(),
            [("alice@localhost/pc".into(), "hello".into())]
        );

        stage.message("help@localhost", "?").await;
        let help = stage.outbox().said().remove(0).1;
        assert!(help.contains("echo@localhost   (dialplan.lua:"), "{help}");
        assert!(
            help.contains("This is the answer of dialplan.lua:"),
            "{help}"
        );
        assert!(help.ends_with("generation 1."), "{help}");

        let (verdict, _) = stage.message("bob@localhost", "hello").await;
        assert!(
            matches!(verdict, Verdict::Next),
            "a user's message is the user's"
        );
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn chat_states_alone_reach_only_those_who_are_there() {
    on_worker(async {
        let stage = Stage::new(1, &[], &[script("chatstates")]);
        stage.build(1).await.unwrap();
        let typing = |to: &str| {
            super::event(&super::stanza(&format!(
                "<message from='alice@localhost/pc' to='{to}' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
            )))
        };
        for (to, verdict) in [
            ("bob@localhost", "next"),
            ("eve@localhost", "drop"),
            ("eve@example.org", "next"),
        ] {
            let (given, _) = stage.settle(Point::ClientMessageRecv, typing(to)).await;
            assert_eq!(given.name(), verdict, "{to}");
        }
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn a_dialplan_of_contexts_patterns_and_applications() {
    on_worker(async {
        let plan = r#"
            local dialplan = require("msys.dialplan")
            extensions = {
              default = {
                include = { "more" },
                hours = "9 to 17",
                support = function() app.forward("bob@localhost") end,
                nobody = function() app.Reject("not-allowed", "go away") end,
                sink = function() app.drop() end,
                quiet = function() app.log("seen") end,
                ["_room-XXX"] = function(context, name, message) app.answer(context .. " " .. name .. " " .. message:body()) end,
                first = function() app.jump(nil, "hours") end,
                around = function() app["goto"](nil, "around") end,
                wrong = function() app.anser("x") end,
                tell = function() app.say("bob@localhost", "told") app.pass() end,
              },
              more = { include = { "default" }, s = "the server" },
            }
            dialplan.serve(extensions)"#;
        let stage = Stage::new(1, &[("dialplan.lua", plan)], &[script("dialplan")]);
        stage.build(1).await.unwrap();
        let alice = "alice@localhost/pc";
        for (to, verdict, said) in [
            ("hours@localhost", "done", Some((alice, "9 to 17"))),
            ("support@localhost", "done", Some(("bob@localhost", "hi"))),
            ("nobody@localhost", "reject", None),
            ("sink@localhost", "drop", None),
            ("quiet@localhost", "next", None),
            (
                "room-123@localhost",
                "done",
                Some((alice, "default room-123 hi")),
            ),
            ("room-12a@localhost", "next", None),
            ("first@localhost", "done", Some((alice, "9 to 17"))),
            ("localhost", "done", Some((alice, "the server"))),
            ("tell@localhost", "next", Some(("bob@localhost", "told"))),
            ("hours@example.org", "next", None),
        ] {
            let (given, _) = stage.message(to, "hi").await;
            assert_eq!(given.name(), verdict, "{to}");
            let expected: Vec<_> = said
                .iter()
                .map(|(to, body)| ((*to).to_owned(), (*body).to_owned()))
                .collect();
            assert_eq!(stage.outbox().said(), expected, "{to}");
        }
        assert_eq!(stage.errors(), 0);
        stage.message("around@localhost", "hi").await;
        stage.message("wrong@localhost", "hi").await;
        assert_eq!(stage.errors(), 2);
    });
}
