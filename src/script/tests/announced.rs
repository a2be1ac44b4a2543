//! What scripts announce: with their generation, bounded, and only while they are loaded.

use super::{Stage, on_worker, script};

#[test]
fn announcements_are_those_of_the_live_generation() {
    on_worker(async {
        let stage = Stage::new(
            1,
            &[
                (
                    "one.lua",
                    "xmpp.feature('urn:b') xmpp.streamFeature('ver', 'urn:x') xmpp.feature('urn:a')",
                ),
                (
                    "two.lua",
                    "xmpp.feature('urn:a') xmpp.streamFeature('sub', \"urn:'<y>\")",
                ),
            ],
            &[script("one"), script("two")],
        );
        let engine = &stage.workers[0].engine;
        assert_eq!(engine.announced().stream, "", "nothing is loaded yet");
        stage.build(1).await.unwrap();
        let first = engine.announced();
        assert_eq!(*first.disco, ["urn:a", "urn:b"]);
        assert!(first.stream.starts_with("<ver xmlns='urn:x'/><sub "));
        assert!(!first.stream.contains("<y>"), "{}", first.stream);

        stage.save("one.lua", "xmpp.feature('urn:c')");
        stage.build(2).await.unwrap();
        assert_eq!(*engine.announced().disco, ["urn:a", "urn:c"]);
    });
}

#[test]
fn announcements_are_checked() {
    on_worker(async {
        for (line, wanted) in [
            ("xmpp.feature('')", "a namespace has 1 to 256 bytes"),
            (
                "xmpp.feature(('x'):rep(257))",
                "a namespace has 1 to 256 bytes",
            ),
            ("xmpp.feature('a\\0b')", "no control characters"),
            (
                "xmpp.streamFeature('', 'urn:x')",
                "is no name of a stream feature",
            ),
            (
                "xmpp.streamFeature('a b', 'urn:x')",
                "is no name of a stream feature",
            ),
            (
                "xmpp.streamFeature('1a', 'urn:x')",
                "is no name of a stream feature",
            ),
            (
                "for n = 1, 65 do xmpp.feature('urn:' .. n) end",
                "at most 64 features",
            ),
            (
                "for n = 1, 65 do xmpp.streamFeature('x', 'urn:' .. n) end",
                "at most 64 stream features",
            ),
        ] {
            let stage = Stage::new(1, &[("main.lua", line)], &[script("main")]);
            let failure = stage.build(1).await.unwrap_err().to_string();
            assert!(failure.contains(wanted), "{line}: {failure}");
            assert!(failure.contains("main.lua:1"), "{line}: {failure}");
        }
    });
}

#[test]
fn nothing_is_announced_once_a_script_is_live() {
    on_worker(async {
        let stage =
            Stage::with("hook('client_message_recv', 0, function() xmpp.feature('urn:late') end)")
                .await;
        stage.message("bob@localhost", "hi").await;
        assert_eq!(stage.errors(), 1);
        assert!(stage.workers[0].engine.announced().disco.is_empty());
    });
}
