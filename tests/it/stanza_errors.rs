//! Every stanza error of RFC 6120 §8.3.3, with its type and the conversation that provokes it (docs/errors.md).

use std::fs;

use stanzad::stanza::{Condition, ErrorType};
use stanzad::xml::Element;

use crate::attacks::{ask, online};
use crate::docs::errors_listed;
use crate::harness::{Client, Server, Setup, Via};

const STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// Refuses what is sent to `judge@localhost` with the condition that the body names.
const JUDGE: &str = r#"
local function judge(stanza)
  if stanza:kind() == "message" and stanza:to():bare() == "judge@localhost" then
    return xmpp.reject(stanza:body(), "as you wish")
  end
end
xmpp.registerModule("judge", { route = function(_, stanza) return judge(stanza) end })
"#;

struct Stage {
    server: Server,
    alice: Client,
}

/// How a condition is provoked, beside by a script.
enum How {
    /// By this conversation.
    Says(fn(&mut Stage) -> Element),
    /// Scripts alone say it.
    Scripts,
}
use How::{Says, Scripts};

const TABLE: &[(Condition, ErrorType, How)] = &[
    (
        Condition::BadRequest,
        ErrorType::Modify,
        Says(|at| at.ask("<iq type='get' id='q' to='localhost'/>")),
    ),
    (Condition::Conflict, ErrorType::Cancel, Says(taken_name)),
    (Condition::FeatureNotImplemented, ErrorType::Cancel, Scripts),
    (
        Condition::Forbidden,
        ErrorType::Auth,
        Says(|at| {
            at.get(
                "to='bob@localhost'",
                "<query xmlns='jabber:iq:private'><a xmlns='b'/></query>",
            )
        }),
    ),
    (Condition::Gone, ErrorType::Cancel, Scripts),
    (Condition::InternalServerError, ErrorType::Cancel, Scripts),
    (
        Condition::ItemNotFound,
        ErrorType::Cancel,
        Says(|at| {
            at.get(
                "to='localhost'",
                "<query xmlns='http://jabber.org/protocol/disco#info' node='nowhere'/>",
            )
        }),
    ),
    (
        Condition::JidMalformed,
        ErrorType::Modify,
        Says(|at| at.get("to='@@localhost'", "<ping xmlns='urn:xmpp:ping'/>")),
    ),
    (
        Condition::NotAcceptable,
        ErrorType::Modify,
        Says(|at| at.get("", "<query xmlns='jabber:iq:private'/>")),
    ),
    (
        Condition::NotAllowed,
        ErrorType::Cancel,
        Says(|at| {
            at.set(
                "",
                "<query xmlns='jabber:iq:roster'><item jid='alice@localhost'/></query>",
            )
        }),
    ),
    (Condition::NotAuthorized, ErrorType::Auth, Says(without_tls)),
    (
        Condition::PolicyViolation,
        ErrorType::Modify,
        Says(long_presence),
    ),
    (Condition::RecipientUnavailable, ErrorType::Wait, Scripts),
    (Condition::Redirect, ErrorType::Modify, Scripts),
    (Condition::RegistrationRequired, ErrorType::Auth, Scripts),
    (
        Condition::RemoteServerNotFound,
        ErrorType::Cancel,
        Says(|at| at.get("to='elsewhere.example'", "<ping xmlns='urn:xmpp:ping'/>")),
    ),
    (
        Condition::RemoteServerTimeout,
        ErrorType::Wait,
        Says(|at| at.get("to='gw.localhost'", "<ping xmlns='urn:xmpp:ping'/>")),
    ),
    (
        Condition::ResourceConstraint,
        ErrorType::Wait,
        Says(full_mailbox),
    ),
    (
        Condition::ServiceUnavailable,
        ErrorType::Cancel,
        Says(|at| {
            at.get(
                "to='localhost'",
                "<query xmlns='urn:stanzad:test:unknown'/>",
            )
        }),
    ),
    (Condition::SubscriptionRequired, ErrorType::Auth, Scripts),
    (Condition::UndefinedCondition, ErrorType::Cancel, Scripts),
    (
        Condition::UnexpectedRequest,
        ErrorType::Wait,
        Says(removes_nothing),
    ),
];

impl Stage {
    fn new() -> Self {
        let setup = Setup::new()
            .shipped_scripts()
            .config("Registration = \"open\"\noffline_max_messages = 1\n")
            .config("component \"gw.localhost\" { secret = \"hush\" }\n")
            .config("scriptlet \"scriptlet\" {\n  script \"judge\" { source = \"judge\" }\n}\n");
        fs::write(setup.scripts().join("judge.lua"), JUDGE).unwrap();
        let server = setup.start();
        server.users(&["alice", "bob", "judge"]);
        let alice = online(&server, "alice");
        Stage { server, alice }
    }

    fn ask(&mut self, xml: &str) -> Element {
        ask(&mut self.alice, xml)
    }

    fn get(&mut self, to: &str, payload: &str) -> Element {
        self.ask(&format!("<iq type='get' id='q' {to}>{payload}</iq>"))
    }

    fn set(&mut self, to: &str, payload: &str) -> Element {
        self.ask(&format!("<iq type='set' id='q' {to}>{payload}</iq>"))
    }
}

/// What a newcomer hears that asks for this, on such a stream.
fn register(stage: &mut Stage, via: Via, query: &str) -> Element {
    let addr = match via {
        Via::Direct => stage.server.direct(),
        _ => stage.server.plain(),
    };
    let mut newcomer = Client::connect(addr, via).unwrap();
    newcomer.features().unwrap();
    let query = format!("<query xmlns='jabber:iq:register'>{query}</query>");
    let iq = format!("<iq type='set' id='q' to='localhost'>{query}</iq>");
    ask(&mut newcomer, &iq)
}

const ALICE: &str = "<username>alice</username><password>x</password>";

fn taken_name(stage: &mut Stage) -> Element {
    register(stage, Via::Direct, ALICE)
}

fn without_tls(stage: &mut Stage) -> Element {
    register(stage, Via::Plain, ALICE)
}

fn removes_nothing(stage: &mut Stage) -> Element {
    register(stage, Via::Direct, "<remove/>")
}

/// The answer to something that is no iq.
fn error(client: &mut Client, xml: &str) -> Element {
    client.send(xml).unwrap();
    client
        .expect("an error", |element| {
            element.attr("id") == Some("q") && element.attr("type") == Some("error")
        })
        .unwrap()
}

fn long_presence(stage: &mut Stage) -> Element {
    let status = "x".repeat(20_000);
    let xml = format!("<presence id='q'><status>{status}</status></presence>");
    error(&mut stage.alice, &xml)
}

fn full_mailbox(stage: &mut Stage) -> Element {
    let message = "<message to='bob@localhost' type='chat' id='q'><body>x</body></message>";
    error(&mut stage.alice, &message.repeat(2))
}

/// Looks at an error's shape (RFC 6120 §8.3.2) and gives its condition and type.
fn judged(stanza: &Element) -> (String, String) {
    let error = stanza.child("error", stanza.ns()).unwrap();
    let first = error.elements().next().unwrap();
    assert_eq!(first.ns(), STANZAS, "the condition comes first: {stanza}");
    if let Some(text) = error.child("text", STANZAS) {
        assert_eq!(text.attr("xml:lang"), Some("en"), "{stanza}");
    }
    assert_eq!(
        stanza.elements().count(),
        1,
        "what was sent is not sent back: {stanza}"
    );
    let type_ = error.attr("type").unwrap();
    (first.name().to_owned(), type_.to_owned())
}

#[test]
fn every_stanza_error_has_its_type_and_its_conversation() {
    let mut stage = Stage::new();
    let listed: Vec<_> = TABLE.iter().map(|(condition, ..)| *condition).collect();
    assert_eq!(listed, Condition::ALL);
    for (condition, type_, how) in TABLE {
        let expected = (condition.name().to_owned(), type_.name().to_owned());
        let body = format!("<body>{}</body>", condition.name());
        let message = format!("<message id='q' to='judge@localhost'>{body}</message>");
        assert_eq!(judged(&error(&mut stage.alice, &message)), expected);
        if let Says(conversation) = how {
            assert_eq!(judged(&conversation(&mut stage)), expected);
        }
    }
}

#[test]
fn the_manual_lists_every_stanza_error() {
    let listed = errors_listed("Stanza errors");
    let names: Vec<_> = listed.iter().map(|(name, _)| name.as_str()).collect();
    let all: Vec<_> = Condition::ALL
        .iter()
        .map(|condition| condition.name())
        .collect();
    assert_eq!(names, all);
    for ((name, means), (_, type_, how)) in listed.iter().zip(TABLE) {
        let (first, means) = means.split_once(": ").unwrap();
        assert_eq!(first, type_.name(), "{name}");
        let scripts = means.starts_with("scripts");
        assert_eq!(scripts, matches!(how, Scripts), "{name}: {means}");
    }
}
