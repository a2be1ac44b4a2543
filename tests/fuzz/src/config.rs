//! Configuration texts.

use stanzad::config::{self, Config, EXIT_CONFIG, Form, Source};

/// Words in front of a path: a text with one of them could reach any file of the machine that fuzzes.
const REACHES_FILES: [&str; 3] = ["include", "local_changes_file", "tls_"];

/// Bytes of diagnostics for a byte of text, and for none: what is shown is bounded, however much is wrong.
const SHOWN_BYTES: usize = 200_000;

/// Any text is read, judged and rendered; a good one stays the same configuration when it is loaded again.
///
/// # Panics
/// When it is not.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lower = text.to_ascii_lowercase();
    if REACHES_FILES.iter().any(|word| lower.contains(word)) {
        config::fuzz_entry(data);
        return;
    }
    let source = Source::text("text", &text);
    let (code, json) = config::check(&source, Form::Json);
    let parsed: serde_json::Value = serde_json::from_str(&json).expect("one JSON object");
    let most = SHOWN_BYTES + 16 * data.len();
    assert!(json.len() <= most, "{} bytes", json.len());
    assert_eq!(parsed["valid"], code == 0, "{json}");
    if code != 0 {
        assert_eq!(code, EXIT_CONFIG);
        return;
    }
    let (Ok(first), Ok(second)) = (Config::load(&source), Config::load(&source)) else {
        panic!("valid once: {text}");
    };
    let changes = Config::diff(&first, &second);
    assert!(changes.is_empty(), "{changes:?}");
    for listen in first.xmpp_listens() {
        let settings = listen.for_peer([192, 0, 2, 1].into());
        assert!(settings.max_stanza_size_before_auth <= settings.max_stanza_size);
    }
}
