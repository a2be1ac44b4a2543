//! Filters of handlers: who is called for what.

use crate::hook::{Event, Point};

use super::{Stage, event, message, on_worker, script, stanza};

/// Which of the filters in `options` let a handler at `point` have `xml`.
async fn taken(point: Point, options: &[&str], xml: &str) -> Vec<String> {
    let hooks: Vec<String> = options
        .iter()
        .map(|options| {
            format!(
                "hook('{}', {options}, function() xmpp.routeStanza(xmpp.message('bob@localhost', [[{options}]])) end)",
                point.name()
            )
        })
        .collect();
    let stage = Stage::with(&hooks.join("\n")).await;
    stage.settle(point, event(&stanza(xml))).await;
    assert_eq!(stage.errors(), 0);
    let said = stage.outbox().said();
    said.into_iter().map(|(_, options)| options).collect()
}

#[test]
fn a_handler_gets_what_its_filter_wants() {
    on_worker(async {
        let chat = "<message from='alice@localhost/pc' to='bob@localhost/x' type='chat'><body>hi</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>";
        let all = [
            "{}",
            "{ kind = 'message' }",
            "{ kind = 'iq' }",
            "{ type = 'chat' }",
            "{ type = { 'normal', 'chat' } }",
            "{ type = 'normal' }",
            "{ type = {} }",
            "{ payload = 'jabber:client' }",
            "{ payload = 'http://jabber.org/protocol/chatstates' }",
            "{ to = 'bob' }",
            "{ to = 'BOB' }",
            "{ to = { 'eve', 'bob@localhost' } }",
            "{ to = 'bob@example.org' }",
            "{ to = { 'eve', 'carol' } }",
            "{ to = {} }",
            "{ body = true }",
            "{ body = false }",
            "{ to = 'bob', body = true, kind = 'message', type = 'chat' }",
            "{ to = 'bob', body = true, kind = 'message', type = 'normal' }",
        ];
        assert_eq!(
            taken(Point::Route, &all, chat).await,
            [
                "{}",
                "{ kind = 'message' }",
                "{ type = 'chat' }",
                "{ type = { 'normal', 'chat' } }",
                "{ payload = 'jabber:client' }",
                "{ to = 'bob' }",
                "{ to = 'BOB' }",
                "{ to = { 'eve', 'bob@localhost' } }",
                "{ body = true }",
                "{ to = 'bob', body = true, kind = 'message', type = 'chat' }",
            ]
        );
        let types = [
            "{ type = 'normal' }",
            "{ type = 'available' }",
            "{ body = false }",
        ];
        for (xml, wanted) in [
            ("<message to='bob@localhost'/>", vec![types[0], types[2]]),
            ("<presence/>", vec![types[1], types[2]]),
            ("<presence type='unavailable'/>", vec![types[2]]),
        ] {
            assert_eq!(taken(Point::Route, &types, xml).await, wanted, "{xml}");
        }
        let roster = "<iq type='get' id='1' from='alice@localhost/pc'><query xmlns='jabber:iq:roster'/></iq>";
        let iqs = [
            "{ payload = 'jabber:iq:roster' }",
            "{ payload = 'jabber:iq:private' }",
            "{ to = 'alice' }",
        ];
        assert_eq!(taken(Point::ClientIqRecv, &iqs, roster).await, iqs[..1]);
        let elsewhere = "<message to='bob@example.org'><body>hi</body></message>";
        let names = ["{ to = 'bob' }", "{ to = 'bob@example.org' }"];
        assert_eq!(taken(Point::Route, &names, elsewhere).await, names[1..]);
    });
}

#[test]
fn who_is_not_wanted_costs_no_call() {
    on_worker(async {
        let text = "hook('client_message_recv', { to = 'bot' }, function() return xmpp.DONE end)
             hook('client_message_recv', { body = false, band = 'late' }, function() return xmpp.DONE end)";
        let stage = Stage::new(1, &[("main.lua", text)], &[script("main")]);
        let report = stage.control.reload().await.unwrap();
        assert!(!report.refused(), "{report}");
        let (verdict, back) = stage.message("bob@localhost", "hi").await;
        assert_eq!(verdict.name(), "next");
        assert!(back.trace.unwrap().is_empty(), "a handler ran");
        assert_eq!(stage.control.scripts().await.unwrap()[0].calls, 0);
        let (verdict, _) = stage.message("bot@localhost", "hi").await;
        assert_eq!(verdict.name(), "done");
        assert_eq!(stage.control.scripts().await.unwrap()[0].calls, 1);
    });
}

#[test]
fn filters_are_asked_in_order_of_what_the_handlers_before_left() {
    on_worker(async {
        let stage = Stage::with(
            r#"
            local function say(text)
              return function() xmpp.routeStanza(xmpp.message("bob@localhost", text)) end
            end
            hook("route", { to = "eve", priority = 9 }, say("eve too early"))
            hook("route", { to = "bob", priority = 5 }, function(sess, stanza) stanza:to("eve@localhost") end)
            hook("route", { to = "bob" }, say("bob"))
            hook("route", { to = "eve" }, say("eve"))
            hook("route", -1, say("anybody"))"#,
        )
        .await;
        stage
            .settle(Point::Route, event(&message("bob@localhost", "hi")))
            .await;
        let said: Vec<String> = stage
            .outbox()
            .said()
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(said, ["eve", "anybody"]);
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn a_module_has_filters_beside_its_functions() {
    on_worker(async {
        let stage = Stage::with(
            r#"
            xmpp.registerModule("roster", {
              filters = { client_iq_recv = { payload = "jabber:iq:roster", priority = 7 } },
              client_iq_recv = function() return xmpp.DONE end,
              client_message_recv = function() return xmpp.DONE end,
            })"#,
        )
        .await;
        let iq = |ns: &str| -> Event {
            event(&stanza(&format!(
                "<iq type='get' id='1'><query xmlns='{ns}'/></iq>"
            )))
        };
        for (ns, verdict) in [("jabber:iq:roster", "done"), ("jabber:iq:private", "next")] {
            let (given, _) = stage.settle(Point::ClientIqRecv, iq(ns)).await;
            assert_eq!(given.name(), verdict, "{ns}");
        }
        assert_eq!(stage.message("bob@localhost", "hi").await.0.name(), "done");
        let shown = stage.workers[0].bus.describe(Point::ClientIqRecv);
        assert_eq!(
            shown[0].1,
            "script:main main.lua:4 priority 7 { payload = \"jabber:iq:roster\" }"
        );
    });
}

#[test]
fn a_slip_in_the_options_is_named() {
    on_worker(async {
        for (line, wanted) in [
            (
                "hook('route', { payloed = 'x' }, f)",
                "there is no hook option \"payloed\"; did you mean \"payload\"?",
            ),
            ("hook('route', { 5 }, f)", "there is no hook option \"1\""),
            (
                "hook('route', { kind = 'mesage' }, f)",
                "there is no kind of stanza \"mesage\"",
            ),
            (
                "hook('client_iq_recv', { kind = 'message' }, f)",
                "client_iq_recv never sees stanzas of kind \"message\"",
            ),
            (
                "hook('route', { type = 'chatt' }, f)",
                "no stanza here has the type \"chatt\"; did you mean \"chat\"?",
            ),
            (
                "hook('client_iq_recv', { type = 'chat' }, f)",
                "no stanza here has the type \"chat\"",
            ),
            (
                "hook('route', { type = { 'chat', 1 } }, f)",
                "type is a string or a list of strings",
            ),
            (
                "hook('route', { to = { a = 'b' } }, f)",
                "to is a string or a list of strings",
            ),
            (
                "hook('route', { to = 'bob@localhost/pc' }, f)",
                "write it without a resource",
            ),
            ("hook('route', { to = '' }, f)", "the part before the @"),
            (
                "hook('route', { to = names }, f)",
                "to has more than 4096 values",
            ),
            (
                "hook('route', { payload = '' }, f)",
                "payload is a namespace",
            ),
            ("hook('route', { body = 'yes' }, f)", "body is true"),
            (
                "hook('session_bound', { to = 'bob' }, f)",
                "session_bound has no stanza to filter by",
            ),
            (
                "xmpp.registerModule('m', { filters = { rout = {} }, route = f })",
                "no function for such a hook; did you mean \"route\"?",
            ),
            (
                "xmpp.registerModule('m', { filters = { route = {} } })",
                "no function for such a hook",
            ),
            (
                "xmpp.registerModule('m', { filters = { route = { paylod = 'x' } }, route = f })",
                "did you mean \"payload\"?",
            ),
            (
                "xmpp.registerModule('m', { filters = 5, route = f })",
                "filters is a table of hook options by hook",
            ),
        ] {
            let text = format!(
                "local names = {{}} for i = 1, 4097 do names[i] = 'n' .. i end local function f() end\n{line}"
            );
            let stage = Stage::new(1, &[("main.lua", &text)], &[script("main")]);
            let failure = stage.build(1).await.unwrap_err().to_string();
            assert!(failure.contains(wanted), "{line}: {failure}");
            assert!(failure.contains("main.lua:2"), "{line}: {failure}");
        }
    });
}

#[test]
fn a_parked_script_refuses_only_what_it_wanted() {
    on_worker(async {
        let guard = "hook('client_message_recv', { to = 'vault' }, function() end)
                     function init() return kv.incr('builds') == 1 end";
        let stage = Stage::beside_a_hoarder(
            guard,
            "return stanza:body() == 'there?' and xmpp.DONE or nil",
        )
        .await;
        stage.message("bob@localhost", "hoard").await;
        let deadline = std::time::Instant::now() + super::PATIENCE;
        while stage.message("bob@localhost", "there?").await.0.name() != "done" {
            assert!(std::time::Instant::now() < deadline, "it never came back");
            tokio::task::yield_now().await;
        }
        assert_eq!(
            stage.message("vault@localhost", "hi").await.0.name(),
            "reject"
        );
        assert_eq!(stage.message("bob@localhost", "hi").await.0.name(), "next");
    });
}
