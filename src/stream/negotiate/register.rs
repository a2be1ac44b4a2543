//! Registration before the login (XEP-0077 §3.1, XEP-0445): what a client is asked for, and what it answers.

use crate::accounts::Invitation;
use crate::config::Registration;
use crate::form::{FORM_NS, Field, FieldKind, Form, FormKind, Submission};
use crate::jid::Jid;
use crate::sasl::Secret;
use crate::stanza::{Condition, ParseError, Stanza, StanzaError};
use crate::xml::Element;

use super::{Negotiation, NewAccount, Next, PARS_NS, REGISTER_NS, State, StreamCondition};

impl Negotiation {
    /// Whether an account may be had on this stream: `None` where it is not even offered.
    pub(super) fn registration(&self) -> Option<Registration> {
        let mode = (self.rules.registration)(self.domain.as_deref()?);
        let safe = self.encrypted || self.rules.registration_without_tls;
        Some(mode).filter(|mode| *mode != Registration::Closed && safe && self.user.is_none())
    }

    /// A request about registration, or an invite that is shown.
    pub(super) fn register(&mut self, iq: Element, out: &mut Vec<u8>) -> Next {
        let iq = match Stanza::from_element(iq) {
            Ok(iq) => iq,
            Err(ParseError::BadStanza { reply, .. } | ParseError::BadAddress { reply, .. }) => {
                return self.not_registered(reply.as_deref(), out);
            }
            Err(_) => return self.not_registered(None, out),
        };
        match self.asked(&iq) {
            Ok(Asked::Form(form)) => {
                iq.reply().with_child(&form).write_to(out);
                self.state = State::Features;
                Next::Read
            }
            Ok(Asked::Account(account)) => {
                self.state = State::Registering(iq);
                Next::Register(account)
            }
            Ok(Asked::Invite(domain, token)) => {
                self.state = State::Showing(iq);
                Next::ShowInvite(domain, token)
            }
            Err(error) => self.not_registered(iq.error(&error).as_ref(), out),
        }
    }

    fn asked(&self, iq: &Stanza) -> Result<Asked, StanzaError> {
        let domain = self.domain.as_deref().unwrap_or_default();
        let Some(mode) = self.registration() else {
            return Err(self.refusal());
        };
        if iq.to().is_some_and(|to| to.as_str() != domain) {
            return Err(StanzaError::new(Condition::ServiceUnavailable));
        }
        if let Some(preauth) = iq.child("preauth", PARS_NS) {
            let token = preauth.attr("token").unwrap_or_default();
            return Ok(Asked::Invite(domain.to_owned(), secret(token)));
        }
        let needs_token = mode == Registration::Invite && self.invite.is_none();
        let Some(query) = iq.child("query", REGISTER_NS) else {
            return Err(StanzaError::new(Condition::BadRequest));
        };
        if iq.type_() == "get" {
            return Ok(Asked::Form(form(needs_token)));
        }
        if self.registered {
            return Err(not_acceptable("one account a stream"));
        }
        self.account(domain, query, needs_token).map(Asked::Account)
    }

    /// Why there is no registration here.
    fn refusal(&self) -> StanzaError {
        let mode = self.domain.as_deref().map(&self.rules.registration);
        let open = mode.is_some_and(|mode| mode != Registration::Closed);
        if open && !self.encrypted {
            // XEP-0077 §3.3: the channel is not safe enough.
            StanzaError::new(Condition::NotAuthorized).with_text("registration needs TLS")
        } else {
            StanzaError::new(Condition::NotAllowed)
        }
    }

    /// The account that a filled form asks for.
    fn account(
        &self,
        domain: &str,
        query: &Element,
        needs_token: bool,
    ) -> Result<NewAccount, StanzaError> {
        if query.child("remove", REGISTER_NS).is_some() {
            return Err(StanzaError::new(Condition::UnexpectedRequest));
        }
        let filled = Filled::read(query)?;
        let given = |name| filled.field(name);
        let (Some(name), Some(password)) = (given("username"), given("password")) else {
            return Err(not_acceptable("a name and a password are needed"));
        };
        let user = Jid::from_parts(Some(&name), domain, None)
            .map_err(|_| not_acceptable("this name cannot be used"))?;
        let token = given("token").map(|token| Invitation::Token(secret(&token)));
        let shown = self.invite.clone().map(Invitation::Shown);
        let invite = shown.or(token);
        if needs_token && invite.is_none() {
            return Err(StanzaError::new(Condition::Forbidden).with_text("an invite is needed"));
        }
        Ok(NewAccount {
            user,
            password: secret(&password),
            invite,
        })
    }

    /// The driver has asked for the account.
    pub(super) fn made(
        &mut self,
        iq: &Stanza,
        outcome: Result<(), StanzaError>,
        out: &mut Vec<u8>,
    ) -> Next {
        match outcome {
            Ok(()) => {
                self.registered = true;
                self.invite = None;
                self.done(iq, out)
            }
            Err(error) => self.not_registered(iq.error(&error).as_ref(), out),
        }
    }

    /// The driver has looked at the invite.
    pub(super) fn shown(
        &mut self,
        iq: &Stanza,
        outcome: Result<String, StanzaError>,
        out: &mut Vec<u8>,
    ) -> Next {
        match outcome {
            Ok(id) => {
                self.invite = Some(id);
                self.done(iq, out)
            }
            Err(error) => self.not_registered(iq.error(&error).as_ref(), out),
        }
    }

    fn done(&mut self, iq: &Stanza, out: &mut Vec<u8>) -> Next {
        iq.reply().write_to(out);
        self.state = State::Features;
        Next::Read
    }

    /// The client may try again, a few times.
    fn not_registered(&mut self, answer: Option<&Stanza>, out: &mut Vec<u8>) -> Next {
        let Some(answer) = answer else {
            return self.refuse(
                StreamCondition::BadFormat,
                "a registration that is no stanza",
                out,
            );
        };
        answer.write_to(out);
        self.state = State::Features;
        self.count_failure(out)
    }
}

/// What a request wants.
enum Asked {
    Form(Element),
    Account(NewAccount),
    Invite(String, Secret),
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes())
}

fn not_acceptable(text: &str) -> StanzaError {
    StanzaError::new(Condition::NotAcceptable).with_text(text)
}

/// What a client has filled in: the data form, or else the plain fields (XEP-0077 §5: the form goes first).
enum Filled<'a> {
    Form(Submission),
    Plain(&'a Element),
}

impl Filled<'_> {
    fn read(query: &Element) -> Result<Filled<'_>, StanzaError> {
        let Some(form) = query.child("x", FORM_NS) else {
            return Ok(Filled::Plain(query));
        };
        let form = Submission::read(form, REGISTER_NS);
        form.map(Filled::Form)
            .map_err(|error| not_acceptable(&error.to_string()))
    }

    /// A field that is filled in, with one value.
    fn field(&self, name: &'static str) -> Option<String> {
        match self {
            Filled::Form(form) => form.text(name).ok().flatten().map(str::to_owned),
            Filled::Plain(query) => Some(query.child(name, REGISTER_NS)?.text().into_owned())
                .filter(|text| !text.is_empty()),
        }
    }
}

/// What must be filled in. The plain fields have no place for a token, so then there is a data form too (XEP-0077 §4).
fn form(token: bool) -> Element {
    let text = if token {
        "Choose a name and a password, and give the token of your invite."
    } else {
        "Choose a name and a password."
    };
    let plain = |name: &str| Element::new(name, REGISTER_NS);
    let query = plain("query")
        .with_child(plain("instructions").with_text(text))
        .with_child(plain("username"))
        .with_child(plain("password"));
    if !token {
        return query;
    }
    let field = |kind, var, label| Field::new(kind, var, label).required();
    let form = Form::new(FormKind::Form, REGISTER_NS)
        .titled("An account", text)
        .with_field(field(FieldKind::TextSingle, "username", "Name"))
        .with_field(field(FieldKind::TextPrivate, "password", "Password"))
        .with_field(field(FieldKind::TextSingle, "token", "Invite"));
    query.with_child(form.to_element())
}
