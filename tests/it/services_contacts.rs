//! Contact addresses of domains (XEP-0157), and that capabilities cover them (XEP-0115 §5.1).

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use stanzad::xml::Element;

use crate::attacks::{ask, online};
use crate::harness::{Client, Login, Server, Setup};

const INFO: &str = "http://jabber.org/protocol/disco#info";
const FORMS: &str = "jabber:x:data";

/// What everybody says, what one domain says, what a pattern says.
const THREE: &str = r#"
abuse_addresses = "mailto:abuse@hoster.example"
security_addresses = ( "https://hoster.example/security" "mailto:security@hoster.example" )
Domain "localhost" {
  admin_addresses = ( "xmpp:admin@localhost" "mailto:admin@localhost" )
  security_addresses = ()
}
Domain "/[.]pattern[.]example$/" { XMPP_Role = "server" support_addresses = "tel:+49-30-123" }
Domain "plain.example" { XMPP_Role = "server" }
"#;

fn info(client: &mut Client, to: &str, node: &str) -> Element {
    let query = format!("<query xmlns='{INFO}' {node}/>");
    let answer = ask(
        client,
        &format!("<iq type='get' id='q' to='{to}'>{query}</iq>"),
    );
    let info = answer.child("query", INFO);
    info.unwrap_or_else(|| panic!("{answer}")).clone()
}

/// The fields of the form in `info`, and their values.
fn fields(info: &Element) -> BTreeMap<String, Vec<String>> {
    let fields = info
        .child("x", FORMS)
        .into_iter()
        .flat_map(Element::elements);
    let values = |field: &Element| -> Vec<String> {
        let values = field.elements();
        values.map(|value| value.text().into_owned()).collect()
    };
    fields
        .map(|field| (field.attr("var").unwrap().to_owned(), values(field)))
        .collect()
}

fn expected(of: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let about: (&str, &[&str]) = ("FORM_TYPE", &["http://jabber.org/network/serverinfo"]);
    let all = of.iter().copied().chain([about]);
    let owned = |uris: &[&str]| uris.iter().map(|uri| (*uri).to_owned()).collect();
    all.map(|(name, uris)| (name.to_owned(), owned(uris)))
        .collect()
}

#[test]
fn a_domain_tells_whom_to_write_to() {
    let server = Setup::new().config(THREE).start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let abuse: (&str, &[&str]) = ("abuse-addresses", &["mailto:abuse@hoster.example"]);
    let security: (&str, &[&str]) = (
        "security-addresses",
        &[
            "https://hoster.example/security",
            "mailto:security@hoster.example",
        ],
    );
    let admin: &[&str] = &["xmpp:admin@localhost", "mailto:admin@localhost"];
    let support: &[&str] = &["tel:+49-30-123"];
    for (domain, told) in [
        ("localhost", vec![abuse, ("admin-addresses", admin)]),
        ("plain.example", vec![abuse, security]),
        (
            "a.pattern.example",
            vec![abuse, security, ("support-addresses", support)],
        ),
    ] {
        let info = info(&mut alice, domain, "");
        assert_eq!(fields(&info), expected(&told), "{domain}");
        let form = info.child("x", FORMS).unwrap();
        assert_eq!(form.attr("type"), Some("result"));
    }
    // A user is not the server.
    assert!(fields(&info(&mut alice, "alice@localhost", "")).is_empty());
}

/// The hash of an answer, as a client computes it.
fn hash(info: &Element) -> String {
    let identity = info.child("identity", INFO).unwrap();
    let part = |key: &str| identity.attr(key).unwrap_or_default();
    let mut text = format!("{}/{}//{}<", part("category"), part("type"), part("name"));
    let features = info
        .elements()
        .filter(|element| element.is("feature", INFO));
    let mut features: Vec<&str> = features.filter_map(|feature| feature.attr("var")).collect();
    features.sort_unstable();
    for feature in features {
        text += &format!("{feature}<");
    }
    let mut fields = fields(info);
    for about in fields.remove("FORM_TYPE").into_iter().flatten() {
        text += &format!("{about}<");
    }
    for (name, mut values) in fields {
        values.sort_unstable();
        text += &format!("{name}<{}<", values.join("<"));
    }
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    STANDARD.encode(hash)
}

/// What alice's stream announces after the login.
fn announced(server: &Server) -> (String, String) {
    let login = Login::direct(server.direct(), "alice");
    let mut client = Client::connect(login.addr, login.via).unwrap();
    client.features().unwrap();
    client.authenticate(&login).unwrap();
    client.open().unwrap();
    let features = client.features().unwrap();
    let caps = features
        .child("c", "http://jabber.org/protocol/caps")
        .unwrap();
    let part = |key| caps.attr(key).unwrap().to_owned();
    (part("node"), part("ver"))
}

#[test]
fn capabilities_cover_contacts_and_follow_a_reload() {
    let server = Setup::new().config(THREE).start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    let (node, ver) = announced(&server);
    let asked = format!("node='{node}#{ver}'");
    let told = info(&mut alice, "localhost", &asked);
    assert_eq!(hash(&told), ver);
    assert_eq!(fields(&told), fields(&info(&mut alice, "localhost", "")));

    let file = server.setup().directory().join("stanzad.conf");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("mailto:admin@localhost", "https://localhost/"),
    )
    .unwrap();
    assert_eq!(server.ctl(&["config", "reload"]).code, Some(0));
    let (_, next) = announced(&server);
    assert_ne!(next, ver);
    let told = info(&mut alice, "localhost", &format!("node='{node}#{next}'"));
    assert_eq!(hash(&told), next);
    let admins = &fields(&told)["admin-addresses"];
    assert_eq!(admins[1], "https://localhost/");
}
