//! Logging in: every way in works, and none is easier than it should be.

use std::io::ErrorKind;

use crate::harness::{Client, Login, Mechanism, Server, Via};

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const STARTTLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";

fn mechanisms(client: &mut Client) -> Vec<String> {
    let features = client.features().unwrap();
    features
        .child("mechanisms", SASL)
        .map(|list| {
            list.elements()
                .map(|name| name.text().to_string())
                .collect()
        })
        .unwrap_or_default()
}

#[test]
fn every_mechanism_works_over_both_kinds_of_tls() {
    let server = Server::start();
    server.users(&["alice"]);
    for via in [Via::StartTls, Via::Direct] {
        for mechanism in [
            Mechanism::Plain,
            Mechanism::ScramSha1,
            Mechanism::ScramSha256,
        ] {
            let addr = match via {
                Via::StartTls => server.starttls(),
                _ => server.direct(),
            };
            let mut login = Login::direct(addr, "alice").mechanism(mechanism);
            login.via = via;
            let client =
                Client::online(&login).unwrap_or_else(|error| panic!("{login:?}: {error}"));
            assert!(client.jid.starts_with("alice@localhost/"), "{}", client.jid);
            client.close().unwrap();
        }
    }
}

#[test]
fn no_credentials_before_tls_unless_the_listener_says_so() {
    let server = Server::start();
    let mut client = Client::connect(server.starttls(), Via::Plain).unwrap();
    let features = client.features().unwrap();
    assert!(features.child("mechanisms", SASL).is_none(), "{features}");
    let starttls = features.child("starttls", STARTTLS).unwrap();
    assert!(starttls.child("required", STARTTLS).is_some(), "{features}");
    let login = Login::direct(server.starttls(), "alice").mechanism(Mechanism::Plain);
    assert!(client.authenticate(&login).is_err());
}

#[test]
fn plain_never_without_tls() {
    let server = Server::start();
    server.users(&["alice"]);
    let mut client = Client::connect(server.plain(), Via::Plain).unwrap();
    let offered = mechanisms(&mut client);
    assert!(offered.contains(&"SCRAM-SHA-256".to_owned()), "{offered:?}");
    assert!(!offered.contains(&"PLAIN".to_owned()), "{offered:?}");
    let login = Login::direct(server.plain(), "alice").mechanism(Mechanism::Plain);
    let refused = client.authenticate(&login).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
}

#[test]
fn unknown_user_and_wrong_password_are_refused_alike() {
    let server = Server::start();
    server.users(&["alice"]);
    for mechanism in [
        Mechanism::Plain,
        Mechanism::ScramSha1,
        Mechanism::ScramSha256,
    ] {
        let said = |user: &str| {
            let mut login = Login::direct(server.direct(), user).mechanism(mechanism);
            login.password = "wrong".to_owned();
            let Err(error) = Client::login(&login) else {
                panic!("{user} got in");
            };
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            error.to_string()
        };
        let known = said("alice");
        assert!(known.contains("not-authorized"), "{known}");
        assert_eq!(known, said("nobody"));
    }
}

#[test]
fn resource_is_the_client_s_wish_and_a_second_one_does_not_take_it_silently() {
    let server = Server::start();
    server.users(&["alice"]);
    let login = Login::direct(server.direct(), "alice").resource("desk");
    let mut first = Client::online(&login).unwrap();
    assert_eq!(first.jid, "alice@localhost/desk");
    // RFC 6120 §7.7.2.2: the new one gets another resource, or the old one is closed with <conflict/>.
    let second = Client::online(&login).unwrap();
    if second.jid == first.jid {
        let error = first
            .expect("stream error", |element| element.name() == "error")
            .unwrap();
        let streams = "urn:ietf:params:xml:ns:xmpp-streams";
        assert!(error.child("conflict", streams).is_some(), "{error}");
    } else {
        first.drain().unwrap();
    }
}
