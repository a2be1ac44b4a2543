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
    config::fuzz_entry(data);
    let text = String::from_utf8_lossy(data);
    let lower = text.to_ascii_lowercase();
    if REACHES_FILES.iter().any(|word| lower.contains(word)) {
        return;
    }
    let source = Source::text("text", &text);
    let (code, plain) = config::check(&source, Form::Plain);
    assert!(
        plain.len() <= SHOWN_BYTES + 8 * data.len(),
        "{} bytes",
        plain.len()
    );
    let (json_code, json) = config::check(&source, Form::Json);
    let json: serde_json::Value = serde_json::from_str(&json).expect("one JSON object");
    let loaded = Config::load(&source);
    let valid = loaded.is_ok();
    assert_eq!((code, json_code), (EXIT_CONFIG * u8::from(!valid), code));
    assert_eq!(json["valid"], valid, "{plain}");
    let (Ok(first), Ok(second)) = (loaded, Config::load(&source)) else {
        return;
    };
    let changes = Config::diff(&first, &second);
    assert!(changes.is_empty(), "{changes:?}");
    for listen in first.xmpp_listens() {
        let settings = listen.for_peer([192, 0, 2, 1].into());
        assert!(settings.max_stanza_size_before_auth <= settings.max_stanza_size);
    }
}
