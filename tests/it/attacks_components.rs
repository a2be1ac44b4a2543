//! Attacks by components, and by those who would be one (docs/security.md, T55 to T97).

use crate::attacks::{QUIET, ask, condition, online, stream_error};
use crate::components::{COMPONENT, GATEWAY, body, gateway, next, setup};
use crate::harness::{Client, Login, Via};

#[test]
fn t55_a_component_speaks_for_its_domain_alone() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut alice = online(&server, "alice");
    for (from, to, error) in [
        (
            "from='bob@localhost'",
            "to='alice@localhost'",
            "invalid-from",
        ),
        ("from='localhost'", "to='alice@localhost'", "invalid-from"),
        (
            "from='a@other.localhost'",
            "to='alice@localhost'",
            "invalid-from",
        ),
        (
            "from='a@sub.gw.localhost'",
            "to='alice@localhost'",
            "invalid-from",
        ),
        ("from='a@gw.localhost.'", "", "improper-addressing"),
        (
            "from='@gw.localhost'",
            "to='alice@localhost'",
            "invalid-from",
        ),
        ("", "to='alice@localhost'", "improper-addressing"),
        ("from=''", "to='alice@localhost'", "invalid-from"),
        ("from='bob@localhost'", "", "invalid-from"),
        ("from='bob@localhost'", "to='a@b@c'", "invalid-from"),
        ("", "to='a@b@c'", "improper-addressing"),
    ] {
        for (name, inside) in [
            ("message", "<body>forged</body>"),
            ("presence", ""),
            ("iq type='get' id='1'", "<query xmlns='x'/>"),
            // Broken as a stanza too: the forged sender gets no answer.
            ("iq type='get'", ""),
        ] {
            let mut gw = gateway(&server);
            let end = name.split(' ').next().unwrap();
            let stanza = format!("<{name} {from} {to}>{inside}</{end}>");
            let told = stream_error(&mut gw, &stanza);
            assert_eq!(told, error, "{stanza}");
        }
    }
    assert_eq!(alice.next_within(QUIET).unwrap(), None);
    // What is wrong otherwise is answered, to whoever at the component has sent it.
    let mut gw = gateway(&server);
    for bad in [
        "<iq type='get' from='mum@gw.localhost/x' to='a@b@c' id='q'><query xmlns='x'/></iq>",
        "<iq type='get' from='mum@gw.localhost/x' to='alice@localhost' id='q'/>",
    ] {
        let answer = ask(&mut gw, bad);
        assert_eq!(answer.attr("type"), Some("error"));
        assert_eq!(answer.attr("to"), Some("mum@gw.localhost/x"));
    }
}

#[test]
fn t55_without_its_secret_nobody_is_the_component() {
    let server = setup()
        .config("xmpp_listener { Listen \"127.0.0.4:0\" { tls = \"offered\" component_streams = \"none\" } }\n")
        .config("xmpp_listener { Listen \"127.0.0.5:0\" { tls = \"either\" component_streams = \"tls\" } }\n")
        .start();
    let try_it = |addr, via, domain: &str, secret: &str| {
        let refused = Client::component(addr, via, domain, secret);
        refused
            .err()
            .map_or("connected".to_owned(), |error| error.to_string())
    };
    let plain = server.plain();
    for secret in ["", "psst", "HUSH", "hush "] {
        let told = try_it(plain, Via::Plain, GATEWAY, secret);
        assert!(told.contains("not-authorized"), "{told}");
    }
    for (domain, error) in [
        ("localhost", "host-unknown"),
        ("x.gw.localhost", "host-unknown"),
        ("a@gw.localhost", "improper-addressing"),
        ("", "improper-addressing"),
    ] {
        let told = try_it(plain, Via::Plain, domain, "hush");
        assert!(told.contains(error), "{told}");
    }
    let told = try_it(server.listening("127.0.0.4:"), Via::Plain, GATEWAY, "hush");
    assert!(told.contains("invalid-namespace"), "{told}");
    let tls = server.listening("127.0.0.5:");
    let told = try_it(tls, Via::Plain, GATEWAY, "hush");
    assert!(told.contains("policy-violation"), "{told}");
    for (addr, via) in [
        (tls, Via::Direct),
        (server.direct(), Via::Direct),
        (server.starttls(), Via::Plain),
        (plain, Via::Plain),
    ] {
        assert_eq!(try_it(addr, via, "GW.localhost", "hush"), "connected");
    }
    let shown = server.ctl(&["config", "show"]).stdout;
    assert!(shown.contains(GATEWAY), "{shown}");
    for text in [shown, server.log().all().join("\n"), server.banner()] {
        assert!(!text.contains("hush") && !text.contains("psst"), "{text}");
    }
}

#[test]
fn t62_components_reach_users_and_other_components_only() {
    let server = setup().start();
    let mut gw = gateway(&server);
    let mut other =
        Client::component(server.plain(), Via::Plain, "other.localhost", "psst").unwrap();
    gw.send("<message from='a@gw.localhost' to='b@other.localhost/x'><body>hi</body></message>")
        .unwrap();
    let message = next(&mut other, "message");
    assert_eq!((message.ns(), body(&message).as_str()), (COMPONENT, "hi"));
    // Also itself: some ping their own domain to see whether the stream lives.
    let ping = "<iq type='get' id='q' from='gw.localhost' to='gw.localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    assert_eq!(ask(&mut gw, ping).attr("type"), Some("get"));
    let error = ask(
        &mut gw,
        "<iq type='get' id='q' from='gw.localhost' to='example.net'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    assert_eq!(condition(&error), "remote-server-not-found");
}

#[test]
fn t97_a_component_has_no_say_in_accounts() {
    let server = setup().start();
    server.users(&["alice"]);
    let mut gw = gateway(&server);
    for (to, kind, payload) in [
        (
            "localhost",
            "set",
            "<query xmlns='jabber:iq:register'><username>alice</username><password>mine</password></query>",
        ),
        (
            "localhost",
            "set",
            "<query xmlns='jabber:iq:register'><remove/></query>",
        ),
        ("localhost", "get", "<query xmlns='jabber:iq:register'/>"),
        (
            "alice@localhost",
            "set",
            "<query xmlns='jabber:iq:private'><x xmlns='x'/></query>",
        ),
        (
            "alice@localhost",
            "get",
            "<query xmlns='jabber:iq:roster'/>",
        ),
        (
            "alice@localhost",
            "get",
            "<blocklist xmlns='urn:xmpp:blocking'/>",
        ),
    ] {
        let iq = format!(
            "<iq type='{kind}' id='q' from='alice@gw.localhost/x' to='{to}'>{payload}</iq>"
        );
        let answer = ask(&mut gw, &iq);
        assert_eq!(answer.attr("type"), Some("error"), "{answer}");
    }
    Client::login(&Login::direct(server.direct(), "alice")).expect("the password is as it was");
}
