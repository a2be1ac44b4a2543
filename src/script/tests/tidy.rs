//! What waiting calls leave behind is collected when nothing else happens.

use std::sync::{Arc, Weak};

use super::*;

#[test]
fn a_burst_of_waiting_calls_leaves_little_behind() {
    on_worker(async {
        let stage = Stage::with(
            // With a heap of some size, Lua by itself would wait for as much garbage again.
            "ballast = {}
             for i = 1, 10000 do ballast[i] = { i } end
             xmpp.registerModule('slow', { client_message_recv = function(session)
               timer.sleep(0.001)
             end })",
        )
        .await;
        let mut peers: Vec<Weak<Peer>> = Vec::new();
        for _ in 0..96 {
            let one = event(&message("bob@localhost", "hello"));
            peers.push(Arc::downgrade(&one.peer));
            stage.settle(Point::ClientMessageRecv, one).await;
        }
        until(|| peers.iter().filter(|peer| peer.strong_count() > 0).count() < 64).await;
    });
}
