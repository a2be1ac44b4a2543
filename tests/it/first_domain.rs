//! docs/first-domain.md: its configuration is right, and a renewed certificate is in force after a reload.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Ended, Program, copy_tree, stanzad};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The blocks of a page that are fenced as `language`.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced
        .filter_map(|block| {
            block
                .strip_prefix(language)?
                .strip_prefix('\n')
                .map(str::to_owned)
        })
        .collect()
}

/// Puts a new certificate for `domain` where the page has it.
fn certify(tls: &Path, domain: &str) {
    let made = rcgen::generate_simple_self_signed([domain.to_owned()]).unwrap();
    fs::create_dir_all(tls).unwrap();
    fs::write(tls.join("fullchain.pem"), made.cert.pem()).unwrap();
    fs::write(tls.join("privkey.pem"), made.signing_key.serialize_pem()).unwrap();
}

/// The page's configuration with its directories below `place`.
fn below(place: &Path, config: &str) -> String {
    let place = place.display();
    ["/etc/stanzad", "/var/lib/stanzad", "/run/stanzad"]
        .iter()
        .fold(config.to_owned(), |config, dir| {
            config.replace(dir, &format!("{place}{dir}"))
        })
}

fn check(place: &Path, config: &str) {
    let file = place.join("checked.conf");
    fs::write(&file, below(place, config)).unwrap();
    let ended: Ended = stanzad()
        .arg("check")
        .arg("-c")
        .arg(&file)
        .output()
        .unwrap()
        .into();
    assert_eq!(
        ended.code,
        Some(0),
        "{config}\n{}{}",
        ended.stdout,
        ended.stderr
    );
    assert!(
        ended.stdout.starts_with("configuration valid: "),
        "{config}\n{}",
        ended.stdout
    );
}

#[test]
fn every_configuration_that_the_manual_shows_is_valid() {
    let place = tempfile::tempdir().unwrap();
    let etc = place.path().join("etc/stanzad");
    certify(&etc.join("tls"), "example.org");
    certify(&etc.join("tls/example.net"), "example.net");
    copy_tree(&root().join("scripts"), &etc.join("scripts"));
    let page = blocks("docs/first-domain.md", "conf");
    let [whole, second] = page.as_slice() else {
        panic!("{} configurations", page.len());
    };
    check(place.path(), whole);
    check(place.path(), &format!("{whole}{second}"));
    let with_mode = whole.replace(
        "stanzad.sock\" {}",
        "stanzad.sock\" { file_mode = \"0660\" }",
    );
    assert_ne!(&with_mode, whole);
    check(place.path(), &with_mode);

    let readme = blocks("README.md", "");
    let own = readme
        .iter()
        .find(|block| block.contains("Domain \"example.org\""))
        .unwrap();
    let made = rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap();
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    fs::write(etc.join("example.org.pem"), pem).unwrap();
    check(place.path(), own);
}

/// The server that the page makes, on loopback, with the user alice.
struct Example {
    place: TempDir,
    server: Program,
}

impl Example {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let etc = place.path().join("etc/stanzad");
        certify(&etc.join("tls"), "example.org");
        copy_tree(&root().join("scripts"), &etc.join("scripts"));
        fs::create_dir_all(place.path().join("run/stanzad")).unwrap();
        let config = blocks("docs/first-domain.md", "conf")[0]
            .replace("*:5222", "127.0.0.1:0")
            .replace("*:5223", "127.0.0.2:0");
        let file = etc.join("stanzad.conf");
        fs::write(&file, below(place.path(), &config)).unwrap();
        let server = Program::start(stanzad().current_dir(place.path()).arg("-c").arg(&file));
        let example = Self {
            server: server.with_stderr(),
            place,
        };
        example.server.sees("ready");
        let mut made = example.ctl(&["user", "add", "alice@example.org", "--password-stdin"]);
        made.say("secret");
        assert_eq!(made.end().code, Some(0));
        example
    }

    fn ctl(&self, args: &[&str]) -> Program {
        let socket = self.place.path().join("run/stanzad/stanzad.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_stanzactl"));
        Program::start(command.arg("--socket").arg(socket).args(args))
    }

    fn summary(&self) -> Value {
        let ended = self.ctl(&["--json", "summary"]).end();
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// The one certificate in force.
    fn certificate(&self) -> String {
        let summary = self.summary();
        let certificates = summary["certificates"].as_array().unwrap();
        assert_eq!(certificates.len(), 1, "{certificates:?}");
        assert_eq!(
            certificates[0]["self_signed"], false,
            "it is the operator's"
        );
        certificates[0]["fingerprint"].as_str().unwrap().to_owned()
    }

    /// alice, who believes one certificate only.
    fn chat(&self, fingerprint: &str) -> Program {
        let summary = self.summary();
        let address = summary["listening"][0]["address"].as_str().unwrap();
        let mut chat = self.ctl(&[
            "chat",
            "alice@example.org",
            "--password-stdin",
            "--connect",
            address,
            "--fingerprint",
            fingerprint,
        ]);
        chat.say("secret");
        chat
    }
}

#[test]
fn a_renewed_certificate_is_in_force_after_a_reload_and_nobody_is_disconnected() {
    let example = Example::start();
    let old = example.certificate();
    let mut open = example.chat(&old);
    open.sees("alice@example.org is online");

    certify(&example.place.path().join("etc/stanzad/tls"), "example.org");
    example.server.signal(Signal::HUP);
    example
        .server
        .sees("now in force: the certificate of example.org, SHA-256 ");
    let new = example.certificate();
    assert_ne!(new, old);
    let told = example.chat(&new).end();
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    let refused = example.chat(&old).end();
    assert_eq!(refused.code, Some(3));
    let why = "it is another than the one that was named";
    assert!(refused.stderr.contains(why), "{}", refused.stderr);

    open.say("echo@example.org: still here");
    open.sees("echo@example.org: still here");
    assert_eq!(open.end().code, Some(0));
}
