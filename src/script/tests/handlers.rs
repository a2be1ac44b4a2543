//! What a handler sees, answers and may do.

use std::time::Duration;

use crate::hook::{Band, Fired, MAX_HOPS, Point, Verdict};
use crate::stanza::Condition;

use super::{Stage, event, message, on_worker, script, stanza};

fn condition(verdict: &Verdict) -> Option<Condition> {
    match verdict {
        Verdict::Reject(error) => Some(error.condition),
        _ => None,
    }
}

#[test]
fn order_is_band_then_priority_then_configuration() {
    on_worker(async {
        let say = |name: &str, options: &str| {
            format!(
                "hook('client_message_recv', {options}, function() xmpp.routeStanza(xmpp.message('bob@localhost', '{name}')) end)"
            )
        };
        let one = [
            say("late", "{ band = 'late', priority = 99 }"),
            say("one low", "-1"),
            say("one", "0"),
            say("one again", "0"),
        ]
        .join("\n");
        let two = [say("two", "{}"), say("two high", "5")].join("\n");
        let stage = Stage::new(
            1,
            &[("one.lua", &one), ("two.lua", &two)],
            &[script("one"), script("two")],
        );
        stage.build(1).await.unwrap();
        let (verdict, event) = stage.message("bob@localhost", "hi").await;
        assert!(matches!(verdict, Verdict::Next));
        let said: Vec<String> = stage
            .outbox()
            .said()
            .into_iter()
            .map(|(_, body)| body)
            .collect();
        assert_eq!(
            said,
            ["two high", "one", "one again", "two", "one low", "late"]
        );
        let trace = event.trace.unwrap();
        assert_eq!(trace.len(), 6);
        assert_eq!(&*trace[0].handler, "script:two");
        assert_eq!(trace[0].verdict, "next");
        let early = stage.workers[0].bus.describe(Point::ClientMessageRecv);
        assert_eq!(
            early[0],
            (Band::Early, "script:two two.lua:2 priority 5".into())
        );
    });
}

#[test]
fn verdicts_are_return_values() {
    on_worker(async {
        let stage = Stage::with(
            r#"
            local answers = {
              cont = function() return msys.xmpp.CONT end,
              done = function() return msys.xmpp.DONE end,
              drop = function() return xmpp.DROP end,
              reject = function() return xmpp.reject("not-allowed", "no") end,
              nothing = function() end,
              unknown = function() return "dune" end,
              number = function() return 1 end,
              raised = function() error("oops") end,
              condition = function() return xmpp.reject("not-alowed") end,
            }
            msys.registerModule("test", {
              client_message_recv = function(sess, stanza) return answers[stanza:body()]() end,
              session_bound = function() return xmpp.DONE end,
            })"#,
        )
        .await;
        for (body, name, errors) in [
            ("cont", "next", 0),
            ("done", "done", 0),
            ("drop", "drop", 0),
            ("reject", "reject", 0),
            ("nothing", "next", 0),
            ("unknown", "next", 1),
            ("number", "next", 2),
            ("raised", "next", 3),
            ("condition", "next", 4),
        ] {
            let (verdict, _) = stage.message("bob@localhost", body).await;
            assert_eq!(verdict.name(), name, "{body}");
            assert_eq!(stage.errors(), errors, "{body}");
        }
        let (verdict, _) = stage.message("bob@localhost", "reject").await;
        assert_eq!(condition(&verdict), Some(Condition::NotAllowed));
        let (verdict, _) = stage
            .settle(Point::SessionBound, event(&message("x@localhost", "")))
            .await;
        assert_eq!(verdict.name(), "next", "only next is allowed there");
        assert_eq!(stage.errors(), 5);
    });
}

#[test]
fn a_failing_script_decides_by_its_options() {
    on_worker(async {
        let text = "hook('client_message_recv', 0, function() error('oops') end)\nhook('session_bound', 0, function() error('oops') end)";
        let mut required = script("main");
        required.required = true;
        let stage = Stage::new(1, &[("main.lua", text)], &[required]);
        stage.build(1).await.unwrap();
        let (verdict, _) = stage.message("bob@localhost", "hi").await;
        assert_eq!(condition(&verdict), Some(Condition::InternalServerError));
        let (verdict, _) = stage
            .settle(Point::SessionBound, event(&message("x@localhost", "")))
            .await;
        assert_eq!(verdict.name(), "next");
    });
}

#[test]
fn what_does_not_wait_is_decided_inline() {
    on_worker(async {
        let stage =
            Stage::with("hook('route', 0, function(sess, stanza) return xmpp.DONE end)").await;
        assert!(matches!(
            stage.fire(Point::Route, event(&message("bob@localhost", "hi"))),
            Fired::Now(Verdict::Done, _)
        ));
    });
}

#[test]
fn a_handler_that_waits_is_waited_for() {
    on_worker(async {
        let stage = Stage::with(
            "hook('client_message_recv', 1, function(sess, stanza) timer.sleep(0.03) stanza:body('slept') end)
             hook('client_message_recv', 0, function(sess, stanza) return xmpp.reject('not-allowed', stanza:body()) end)",
        )
        .await;
        let before = std::time::Instant::now();
        let Fired::Wait { waiting, .. } = stage.fire(
            Point::ClientMessageRecv,
            event(&message("bob@localhost", "hi")),
        ) else {
            panic!("it did not wait");
        };
        let (verdict, event) = waiting.await;
        assert!(before.elapsed() >= Duration::from_millis(30));
        assert_eq!(
            condition(&verdict),
            Some(Condition::NotAllowed),
            "the handlers behind ran too"
        );
        assert_eq!(event.stanza.unwrap().body().unwrap(), "slept");
        assert!(event.trace.unwrap()[0].took > Duration::ZERO);
    });
}

#[test]
fn hook_wait_bounds_a_wait() {
    on_worker(async {
        let mut strict = script("main");
        strict.on_error = crate::config::OnError::Reject;
        let text =
            "hook('client_message_recv', 0, function() timer.sleep(3600) return xmpp.DONE end)";
        let mut stage = Stage::new(1, &[("main.lua", text)], &[strict]);
        stage.settings.limits.hook_wait = Duration::from_millis(50);
        stage.build(1).await.unwrap();
        let (verdict, _) = stage.message("bob@localhost", "hi").await;
        assert_eq!(condition(&verdict), Some(Condition::ResourceConstraint));
    });
}

#[test]
fn a_stanza_is_writable_in_its_hook_and_read_only_after() {
    on_worker(async {
        let stage = Stage::with(
            r#"
            local kept
            hook("client_message_recv", 0, function(sess, stanza)
              if kept then
                local body = kept:body()
                local ok, message = pcall(kept.body, kept, "late")
                assert(not ok and tostring(message):find("only be read"), message)
                xmpp.routeStanza(xmpp.message("bob@localhost", "kept " .. body))
                return
              end
              kept = stanza
              stanza:body("changed")
              local x = stanza:addchild("x", "urn:example")
              x:attr("k", "v<")
              x:addchild("y"):contents("text & more")
              assert(stanza:child("x"):child("y"):contents() == "text & more")
              local ok = pcall(stanza.attr, stanza, "from", "eve@localhost")
              assert(not ok, "from was changed")
              ok = pcall(stanza.to, stanza, "eve@localhost")
              assert(not ok, "to was changed outside of route")
            end)
            hook("route", 0, function(sess, stanza) stanza:to("eve@localhost/x") end)"#,
        )
        .await;
        let (_, first) = stage.message("bob@localhost", "hi").await;
        assert_eq!(stage.errors(), 0);
        let changed = first.stanza.unwrap();
        assert_eq!(changed.body().unwrap(), "changed");
        let x = changed.child("x", "urn:example").unwrap();
        assert_eq!(
            (
                x.attr("k"),
                x.child("y", "urn:example").unwrap().text().as_ref()
            ),
            (Some("v<"), "text & more")
        );
        stage.message("bob@localhost", "again").await;
        assert_eq!(stage.errors(), 0);
        assert_eq!(
            stage.outbox().said(),
            [("bob@localhost".into(), "kept changed".into())]
        );
        let (_, routed) = stage
            .settle(Point::Route, event(&message("bob@localhost", "hi")))
            .await;
        assert_eq!(
            routed.stanza.unwrap().to().unwrap().as_str(),
            "eve@localhost/x"
        );
    });
}

#[test]
fn objects_tell_what_they_are() {
    on_worker(async {
        let stage = Stage::with(
            r#"
            hook("client_iq_recv", 0, function(sess, stanza)
              assert(sess:jid():bare() == "alice@localhost" and sess:addr() == "127.0.0.1:4711")
              assert(sess:kind() == "client" and sess:tls() == nil)
              assert(stanza:kind() == "iq" and stanza:type() == "get" and stanza:id() == "q")
              assert(stanza:from():user() == "alice" and stanza:from():resource() == "pc" and stanza:to():domain() == "localhost")
              assert(stanza:name() == "iq" and stanza:attr("id") == "q")
              local names = {}
              for child in stanza:children() do names[#names + 1] = child:name() .. child:ns() end
              assert(table.concat(names, ",") == "queryurn:q", table.concat(names, ","))
              assert(stanza:reply():type() == "result" and tostring(stanza:reply():to()) == "alice@localhost/pc")
              local refusal = stanza:error("item-not-found", "none")
              assert(refusal:type() == "error" and refusal:child("error"):child("item-not-found"))
              assert(jid.new("A@EXAMPLE.org."):get() == "a@example.org" and jid.new("a@b@c") == nil)
              assert(jid.new("a@b/c") == jid.new("A@b/c"))
              assert(xmpp.connected("bob@localhost") and not xmpp.connected("eve@localhost"))
              assert(xmpp.online("bob@localhost").show == "away" and xmpp.online("eve@localhost") == nil)
              assert(xmpp.valid_domain("LOCALHOST") and not xmpp.valid_domain("example.org"))
              local node = xml.newnode("a")
              local first = node:addchild("b")
              node:addchild("c"):addchild("d")
              first:unlink()
              assert(not pcall(first.name, first), "a node that is gone still answers")
              assert(tostring(node):find("<c><d/></c>", 1, true) and node:child("b") == nil, tostring(node))
              return xmpp.DONE
            end)"#,
        )
        .await;
        let iq = stanza(
            "<iq from='alice@localhost/pc' to='localhost' type='get' id='q'> <query xmlns='urn:q'/> </iq>",
        );
        let (verdict, _) = stage.settle(Point::ClientIqRecv, event(&iq)).await;
        assert_eq!((verdict.name(), stage.errors()), ("done", 0));
    });
}

#[test]
fn session_vars_are_plain_and_bounded() {
    on_worker(async {
        let stage = Stage::with(
            r#"
            hook("client_message_recv", 0, function(sess)
              sess.vars.count = (sess.vars.count or 0) + 1
              sess.vars.list = { 1, { a = "b" } }
              sess.vars.gone = true
              sess.vars.gone = nil
              assert(sess.vars.list[2].a == "b" and sess.vars.gone == nil)
              local seen = {}
              for name in pairs(sess.vars) do seen[#seen + 1] = name end
              assert(#seen == 2)
              assert(not pcall(function() sess.vars.f = print end))
              assert(not pcall(function() sess.vars.big = ("x"):rep(20000) end))
            end)"#,
        )
        .await;
        let (_, first) = stage.message("bob@localhost", "hi").await;
        let (_, second) = stage.settle(Point::ClientMessageRecv, first).await;
        assert_eq!(stage.errors(), 0);
        assert_eq!(
            second.peer.vars.lock().get("count"),
            Some(&serde_json::json!(2))
        );
    });
}

#[test]
fn what_scripts_send_is_ours_and_ends_after_some_hops() {
    on_worker(async {
        let stage = Stage::with(
            r#"
            hook("client_message_recv", 0, function(sess, stanza)
              local ok, why = xmpp:send("<message to='bob@localhost' from='eve@example.org'/>")
              assert(not ok and why:find("example.org"), why)
              ok, why = xmpp:send("<message to='bob@localhost'><body>one</message>")
              assert(not ok and why)
              ok, why = xmpp:send("<message/>")
              assert(not ok and why == "no to", why)
              ok, why = xmpp:send("<message to='bob@localhost'><body>sent</body></message>")
              if not ok then return xmpp.reject("undefined-condition", why) end
            end)"#,
        )
        .await;
        let (_, mut event) = stage.message("bob@localhost", "hi").await;
        assert_eq!(stage.errors(), 0);
        let sent = stage.outbox().take();
        assert_eq!((sent.len(), sent[0].1), (1, 1));
        assert_eq!(sent[0].0.from().unwrap().as_str(), "localhost");
        event.hops = MAX_HOPS;
        let (verdict, _) = stage.settle(Point::ClientMessageRecv, event).await;
        assert_eq!(verdict.name(), "reject");
        assert!(stage.outbox().take().is_empty());
    });
}

#[test]
fn a_spawned_function_runs_beside() {
    on_worker(async {
        let stage = Stage::with(
            "hook('client_message_recv', 0, function(sess, stanza)
               xmpp.spawn(function(to) timer.sleep(0.01) xmpp.routeStanza(xmpp.message(to, 'later')) end, stanza:from())
               return xmpp.DONE
             end)",
        )
        .await;
        let fired = stage.fire(
            Point::ClientMessageRecv,
            event(&message("bob@localhost", "hi")),
        );
        assert!(matches!(fired, Fired::Now(Verdict::Done, _)));
        let mut said = Vec::new();
        super::until(|| {
            said.extend(stage.outbox().said());
            !said.is_empty()
        })
        .await;
        assert_eq!(said, [("alice@localhost/pc".into(), "later".into())]);
    });
}

#[test]
fn a_vm_out_of_memory_is_built_again() {
    on_worker(async {
        let stage = Stage::with(
            "hook('client_message_recv', 0, function(sess, stanza)
               local hoard = {}
               while stanza:body() == 'hoard' do hoard[#hoard + 1] = ('x'):rep(100000) .. #hoard end
               return xmpp.DONE
             end)",
        )
        .await;
        let (verdict, _) = stage.message("bob@localhost", "hoard").await;
        assert_eq!((verdict.name(), stage.errors()), ("next", 1));
        let deadline = std::time::Instant::now() + super::PATIENCE;
        while stage.message("bob@localhost", "hi").await.0.name() != "done" {
            assert!(std::time::Instant::now() < deadline, "it never came back");
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn kv_keeps_plain_data_for_all() {
    on_worker(async {
        let stage = Stage::with(
            r#"
            hook("client_message_recv", 0, function(sess, stanza)
              assert(kv.get("a") == nil and kv.delete("a") == false)
              kv.set("a", { 1, { b = "c" } })
              assert(kv.get("a")[2].b == "c")
              assert(kv.incr("n") == 1 and kv.incr("n", 5) == 6 and kv.get("n") == 6)
              kv.set("short", true, 3600)
              local keys = {}
              for key in pairs(kv.list("")) do keys[#keys + 1] = key end
              table.sort(keys)
              assert(table.concat(keys, ",") == "a,n,short")
              assert(kv.delete("a") and not pcall(kv.incr, "short") and not pcall(kv.set, "f", print))
              return xmpp.DONE
            end)"#,
        )
        .await;
        let (verdict, _) = stage.message("bob@localhost", "hi").await;
        assert_eq!((verdict.name(), stage.errors()), ("done", 0));
    });
}

#[test]
fn a_required_script_that_cannot_come_back_fails_closed() {
    on_worker(async {
        let guard = "hook('client_message_recv', 0, function() return end)
                     function init() return kv.incr('builds') == 1 end";
        let stage = Stage::beside_a_hoarder(guard, "").await;
        assert_eq!(stage.message("bob@localhost", "hi").await.0.name(), "next");
        let (verdict, _) = stage.message("bob@localhost", "hoard").await;
        assert_eq!(
            condition(&verdict),
            Some(Condition::ResourceConstraint),
            "condemned"
        );
        let deadline = std::time::Instant::now() + super::PATIENCE;
        loop {
            let (verdict, _) = stage.message("bob@localhost", "hi").await;
            assert_eq!(verdict.name(), "reject", "it failed open");
            if condition(&verdict) == Some(Condition::InternalServerError) {
                break;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "it was never built again"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let scripts = stage.control.scripts().await.unwrap();
        assert_eq!((scripts[0].parked, scripts[1].parked), (true, false));
    });
}
