//! Conversations and timers, and how they come through a change of generation.

use std::time::Duration;

use super::{Stage, on_worker, script, until};

fn greeter(word: &str) -> String {
    format!(
        r#"
        script.register("ask", function(stanza, data)
          data = data or {{}}
          while stanza do
            local text = stanza:body()
            if text == "bye" then
              xmpp.routeStanza(stanza:reply("{word} " .. table.concat(data, ",")))
              return
            end
            data[#data + 1] = text
            stanza = xmpp.receive(30, data)
          end
        end)
        hook("client_message_recv", 0, function(sess, stanza)
          if stanza:to():user() == "bot" then return xmpp.converse(stanza, "ask") end
        end)"#
    )
}

/// Says something to the bot; the conversation or the script takes it.
async fn say(stage: &Stage, text: &str) {
    let (verdict, _) = stage.message("bot@localhost", text).await;
    assert_eq!(verdict.name(), "done", "{text}");
    // Let the conversation hear it.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn answer(stage: &Stage) -> String {
    let mut said = Vec::new();
    until(|| {
        said.extend(stage.outbox().said());
        !said.is_empty()
    })
    .await;
    said.remove(0).1
}

#[test]
fn later_messages_go_to_the_conversation_first() {
    on_worker(async {
        let stage = Stage::with(&greeter("one")).await;
        say(&stage, "a").await;
        say(&stage, "b").await;
        let (verdict, _) = stage.message("other@localhost", "elsewhere").await;
        assert_eq!(
            verdict.name(),
            "next",
            "another address is another conversation"
        );
        say(&stage, "bye").await;
        assert_eq!(answer(&stage).await, "one a,b");
        say(&stage, "c").await;
        say(&stage, "bye").await;
        assert_eq!(answer(&stage).await, "one c", "the first one has ended");
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn a_conversation_goes_on_in_the_next_generation() {
    on_worker(async {
        let stage = Stage::with(&greeter("one")).await;
        say(&stage, "a").await;
        stage.save("main.lua", &greeter("two"));
        stage.build(2).await.unwrap();
        say(&stage, "b").await;
        say(&stage, "bye").await;
        assert_eq!(answer(&stage).await, "two a,b");
        until(|| stage.workers[0].engine.waiting().1 == 0).await;
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn a_bare_function_ends_with_its_generation() {
    on_worker(async {
        let text = r#"
            hook("client_message_recv", 0, function(sess, stanza)
              return xmpp.converse(stanza, function(stanza)
                while stanza do
                  xmpp.routeStanza(stanza:reply("old"))
                  stanza = xmpp.receive(30)
                end
              end)
            end)"#;
        let mut stage = Stage::new(1, &[("main.lua", text)], &[script("main")]);
        stage.settings.limits.old_generation_time = Duration::from_millis(200);
        stage.build(1).await.unwrap();
        say(&stage, "a").await;
        assert_eq!(answer(&stage).await, "old");
        stage.save(
            "main.lua",
            "hook('client_message_recv', 0, function() return xmpp.DROP end)",
        );
        stage.build(2).await.unwrap();
        say(&stage, "b").await;
        assert_eq!(answer(&stage).await, "old", "it still talks, in its old VM");
        until(|| stage.workers[0].engine.waiting().1 == 0).await;
        let (verdict, _) = stage.message("bot@localhost", "c").await;
        assert_eq!(verdict.name(), "drop", "cut off after its time");
    });
}

#[test]
fn timers_go_on_in_the_next_generation() {
    on_worker(async {
        let text = |word: &str| {
            format!(
                r#"
                local function tell(what) xmpp.routeStanza(xmpp.message("bob@localhost", "{word} " .. what.text)) end
                xmpp.registerModule("alarm", {{
                  tell = tell,
                  client_message_recv = function(sess, stanza)
                    if stanza:body() == "stop" then return timer.cancel(sess.vars.id) end
                    sess.vars.id = timer.after(0.2, "alarm.tell", {{ text = stanza:body() }})
                  end,
                }})"#
            )
        };
        let stage = Stage::with(&text("one")).await;
        stage.message("bob@localhost", "wake").await;
        let (_, event) = stage.message("bob@localhost", "never").await;
        let mut stop = super::event(&super::message("bob@localhost", "stop"));
        stop.peer = event.peer;
        stage
            .settle(crate::hook::Point::ClientMessageRecv, stop)
            .await;
        stage.save("main.lua", &text("two"));
        stage.build(2).await.unwrap();
        assert_eq!(answer(&stage).await, "two wake");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(stage.outbox().take().is_empty(), "a cancelled timer rang");
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn timers_of_init_run_once_and_belong_to_their_generation() {
    on_worker(async {
        let text = |name: &str| {
            format!(
                r#"
                script.register("{name}", function() xmpp.routeStanza(xmpp.message("bob@localhost", "{name}")) end)
                function init() timer.every(0.1, "{name}") return true end"#
            )
        };
        let stage = Stage::new(2, &[("main.lua", &text("one"))], &[script("main")]);
        stage.build(1).await.unwrap();
        assert_eq!(answer(&stage).await, "one");
        assert_eq!(stage.workers[0].engine.waiting().0, 1);
        assert_eq!(
            stage.workers[1].engine.waiting().0,
            0,
            "init ran on both, its timer on one"
        );
        stage.save("main.lua", &text("two"));
        stage.build(2).await.unwrap();
        until(|| stage.outbox().said().iter().any(|(_, body)| body == "two")).await;
        assert_eq!(
            stage.workers[0].engine.waiting().0,
            1,
            "the old timer is gone"
        );
        assert_eq!(stage.errors(), 0);
    });
}

#[test]
fn each_message_of_a_conversation_has_a_budget_of_its_own() {
    on_worker(async {
        let stage = Stage::with(
            r#"
            hook("client_message_recv", 0, function(sess, stanza)
              return xmpp.converse(stanza, function(stanza)
                local heard = 0
                while stanza do
                  -- Some 400,000 of a call's million instructions.
                  for _ = 1, 200000 do end
                  for _ = 1, 200000 do end
                  heard = heard + 1
                  if stanza:body() == "bye" then xmpp.routeStanza(stanza:reply(tostring(heard))) return end
                  stanza = xmpp.receive(30)
                end
              end)
            end)"#,
        )
        .await;
        for _ in 0..6 {
            say(&stage, "work").await;
        }
        say(&stage, "bye").await;
        assert_eq!(answer(&stage).await, "7");
        assert_eq!(stage.errors(), 0);
    });
}
