//! All or nothing.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;

use crate::hook::{Fired, Point};
use crate::script::Report;

use super::{PATIENCE, Stage, event, message, on_worker, script, until};

const ECHO: &str = "hook('client_message_recv', 0, function(sess, stanza)
  xmpp.routeStanza(stanza:reply('one ' .. script.generation()))
  return xmpp.DONE
end)";

async fn next(reports: &mut Receiver<Report>) -> Report {
    tokio::time::timeout(PATIENCE, reports.recv())
        .await
        .expect("no report")
        .unwrap()
}

async fn answered(stage: &Stage) -> String {
    stage.message("bot@localhost", "?").await;
    stage.outbox().said().remove(0).1
}

#[test]
fn a_save_is_live_on_every_worker_or_on_none() {
    on_worker(async {
        let stage = Stage::new(3, &[("main.lua", ECHO)], &[script("main")]);
        let mut reports = stage.control.reports();
        let first = stage.control.reload().await.unwrap();
        let line = first.to_string();
        assert!(
            line.starts_with("generation 1 live on 3 workers, ") && line.ends_with(" ms: main.lua"),
            "{line}"
        );
        assert_eq!(next(&mut reports).await.generation(), 1);
        assert_eq!(answered(&stage).await, "one 1");

        stage.save("main.lua", &ECHO.replace("one", "two"));
        let line = next(&mut reports).await.to_string();
        assert!(
            line.starts_with("generation 2 live on 3 workers, ") && line.ends_with(" ms: main.lua"),
            "{line}"
        );
        assert_eq!(answered(&stage).await, "two 2");

        stage.save("main.lua", "local x = = 1\n");
        let report = next(&mut reports).await;
        assert!(report.refused());
        assert_eq!(
            report.to_string(),
            "main.lua:1: unexpected symbol near '='\n  1 | local x = = 1\n    |           ^\nstill on 2"
        );
        assert_eq!(answered(&stage).await, "two 2");

        stage.save("main.lua", &ECHO.replace("one", "three"));
        assert_eq!(next(&mut reports).await.generation(), 3);
        assert_eq!(answered(&stage).await, "three 3");
        let scripts = stage.control.scripts().await.unwrap();
        assert_eq!(
            (
                scripts.len(),
                scripts[0].calls,
                scripts[0].generation,
                scripts[0].handlers
            ),
            (1, 4, 3, 1)
        );
        let hooks = stage.control.hooks().await.unwrap();
        assert_eq!(
            (hooks[0].hook, hooks[0].at.as_str()),
            ("client_message_recv", "main.lua:1")
        );
    });
}

#[test]
fn what_refuses_a_generation() {
    on_worker(async {
        let stage = Stage::new(2, &[("main.lua", ECHO)], &[script("main")]);
        assert!(!stage.control.reload().await.unwrap().refused());
        for (text, expected) in [
            ("error('no good')", "main.lua:1: no good"),
            (
                "\nxmpp.registerModule('m', { init = function()\n return false end })",
                "main.lua:2: init() must return true, it returned false",
            ),
            (
                "function init() end",
                "main.lua:1: init() must return true, it returned nothing",
            ),
            ("api = 2", "main.lua: asks for api 2, but this is api 1"),
            (
                "\n\nhook('client_mesage_recv', 0, print)",
                "main.lua:3: there is no hook \"client_mesage_recv\"; did you mean \"client_message_recv\"?",
            ),
            (
                "xmpp.registerModule('m', { client_mesage_recv = print })",
                "main.lua:1: there is no hook \"client_mesage_recv\"; did you mean \"client_message_recv\"?",
            ),
            (
                "function selftest()\n assert(1 == 2, 'wrong') end",
                "main.lua:2: wrong",
            ),
            (
                "function selftest() return false end",
                "main.lua:1: selftest() returned false",
            ),
            (
                "hook('route', { band = 'native' }, print)",
                "main.lua:1: the native band",
            ),
            (
                "local x = nil\nlocal y = x.z",
                "main.lua:2: attempt to index a nil value (local 'x')",
            ),
            (
                "require('nothing.here')",
                "main.lua:1: module 'nothing.here' not found",
            ),
            ("while true do end", "main.lua:1: stopped, it used up its"),
        ] {
            stage.save("main.lua", text);
            let report = stage.control.reload().await.unwrap();
            let line = report.to_string();
            assert!(
                report.refused() && line.starts_with(expected),
                "{text}\ngave\n{line}"
            );
            assert!(line.ends_with("\nstill on 1"), "{line}");
        }
        assert_eq!(answered(&stage).await, "one 1");
        stage.save("main.lua", "api = 1\nfunction init() return true end");
        assert_eq!(stage.control.reload().await.unwrap().generation(), 2);
    });
}

#[test]
fn a_script_that_is_not_there_is_named_with_its_neighbour() {
    on_worker(async {
        let stage = Stage::new(1, &[("greylist.lua", "")], &[script("greylst")]);
        let line = stage.control.reload().await.unwrap().to_string();
        assert!(
            line.starts_with("script \"greylst\": there is no script file \"greylst\""),
            "{line}"
        );
        assert!(line.ends_with("still on 0"), "{line}");
    });
}

#[test]
fn an_empty_file_is_a_save_under_way() {
    on_worker(async {
        let stage = Stage::new(1, &[("main.lua", ECHO)], &[script("main")]);
        let mut reports = stage.control.reports();
        stage.control.reload().await.unwrap();
        next(&mut reports).await;
        stage.save("main.lua", "");
        // Long past settling: nothing may come of it.
        assert!(
            tokio::time::timeout(Duration::from_millis(400), reports.recv())
                .await
                .is_err()
        );
        stage.save("main.lua", &ECHO.replace("one", "two"));
        assert_eq!(next(&mut reports).await.generation(), 2);
    });
}

#[test]
fn a_module_of_the_script_directory_comes_before_a_shipped_one() {
    on_worker(async {
        let main = "local lib = require('site.lib')\nassert(package == nil and require('xml') == xml)\nassert(require('msys.dialplan').mine)";
        let files = [
            ("main.lua", main),
            ("site/lib.lua", "return { a = 1 }"),
            ("msys/dialplan.lua", "return { mine = true }"),
        ];
        let stage = Stage::new(1, &files, &[script("main")]);
        let report = stage.control.reload().await.unwrap();
        assert!(!report.refused(), "{report}");
    });
}

#[test]
fn globals_are_a_scripts_own_and_die_with_their_generation() {
    on_worker(async {
        let count = "count = (count or 0) + 1\nhook('client_message_recv', 0, function(sess, stanza) count = count + 1 return xmpp.reject('not-allowed', tostring(count)) end)";
        let stage = Stage::new(
            1,
            &[("a.lua", "count = 100"), ("main.lua", count)],
            &[script("a"), script("main")],
        );
        stage.build(1).await.unwrap();
        for expected in ["2", "3"] {
            let (verdict, _) = stage.message("x@localhost", "?").await;
            assert!(
                format!("{verdict:?}").contains(&format!("\"{expected}\"")),
                "{verdict:?}"
            );
        }
        stage.build(2).await.unwrap();
        let (verdict, _) = stage.message("x@localhost", "?").await;
        assert!(format!("{verdict:?}").contains("\"2\""), "{verdict:?}");
    });
}

#[test]
fn what_waits_pins_its_vm_until_it_is_done() {
    on_worker(async {
        let wait = "hook('client_message_recv', 0, function(sess, stanza) timer.sleep(tonumber(stanza:body())) return xmpp.DONE end)
                    function deinit() xmpp.routeStanza(xmpp.message('bob@localhost', 'closed')) return true end";
        let mut stage = Stage::new(1, &[("main.lua", wait)], &[script("main")]);
        stage.settings.limits.old_generations = 2;
        stage.build(1).await.unwrap();
        let Fired::Wait { waiting, .. } = stage.fire(
            Point::ClientMessageRecv,
            event(&message("x@localhost", "0.1")),
        ) else {
            panic!("it did not wait");
        };
        stage.build(2).await.unwrap();
        until(|| stage.workers[0].engine.waiting().1 == 1).await;
        let (verdict, _) = waiting.await;
        assert_eq!(verdict.name(), "done", "it came to its end in the old VM");
        until(|| stage.workers[0].engine.waiting().1 == 0).await;
        assert_eq!(
            stage.outbox().said(),
            [("bob@localhost".into(), "closed".into())]
        );

        let mut pinned = Vec::new();
        for number in 3..6 {
            let Fired::Wait { waiting, .. } = stage.fire(
                Point::ClientMessageRecv,
                event(&message("x@localhost", "3000")),
            ) else {
                panic!("it did not wait");
            };
            pinned.push(waiting);
            stage.build(number).await.unwrap();
            tokio::task::yield_now().await;
        }
        until(|| stage.workers[0].engine.waiting().1 >= 2).await;
        let (verdict, _) = tokio::time::timeout(PATIENCE, pinned.remove(0))
            .await
            .expect("the oldest was not cut off");
        assert_eq!((verdict.name(), stage.errors()), ("next", 1));
    });
}
