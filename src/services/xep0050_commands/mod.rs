//! XEP-0050: Ad-Hoc Commands of the server. Which there are, who may give them and what they do, a [`Command`] says; here they
//! are found, their forms go out and come back, and every step asks again whether it is still allowed. What one's own address
//! is told goes to its domain.

mod sessions;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use super::xep0030_disco::{INFO, ITEMS};
use super::{Answer, Outcome, Request, Service, Target};
use crate::form::{FORM_NS, Form, FormError, Submission};
use crate::hook::Peer;
use crate::net::Clock;
use crate::stanza::{Condition, ErrorType, PayloadStart, StanzaError};
use crate::xml::Element;
use sessions::{Lost, Sessions};

pub(super) const NS: &str = "http://jabber.org/protocol/commands";

/// The longest name or id that an error repeats.
const ECHO_BYTES: usize = 256;

/// Work of a command.
pub(super) type Work = Pin<Box<dyn Future<Output = Result<Done, StanzaError>>>>;

/// What came of a command.
#[derive(Default)]
pub(super) struct Done {
    /// What was asked for.
    pub(super) form: Option<Form>,
    /// A sentence for people.
    pub(super) note: Option<String>,
}

/// A command that somebody gives.
pub(super) struct Order {
    /// Who gives it.
    pub(super) peer: Arc<Peer>,
    /// The domain to which it is given.
    pub(super) domain: String,
    /// What was filled in; nothing where the command has no form.
    pub(super) form: Submission,
}

/// One command.
pub(super) trait Command {
    /// Its name for programs.
    fn node(&self) -> &'static str;

    /// Its name for people.
    fn title(&self) -> &'static str;

    /// Whether `peer` may give it to `domain` now.
    fn allows(&self, peer: &Peer, domain: &str) -> bool;

    /// What must be filled in first. `None`: it is done at once.
    fn form(&self) -> Option<Form>;

    /// The `FORM_TYPE` of its form.
    fn about(&self) -> &'static str;

    /// Does it.
    fn run(&self, order: Order) -> Work;
}

/// A form that was not filled in as it should be (XEP-0050 §4.4).
pub(super) fn bad_payload(error: &FormError) -> StanzaError {
    fault("bad-payload").with_text(error.to_string())
}

fn fault(name: &'static str) -> StanzaError {
    StanzaError::new(Condition::BadRequest).with_detail(name, NS)
}

/// What a session can be told to do (XEP-0050 §3.4). There is one form at most, so there is no way forth or back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Execute,
    Complete,
    Cancel,
    Next,
    Prev,
}

impl Action {
    fn of(payload: &Element) -> Result<Action, StanzaError> {
        Ok(match payload.attr("action") {
            None | Some("execute") => Action::Execute,
            Some("complete") => Action::Complete,
            Some("cancel") => Action::Cancel,
            Some("next") => Action::Next,
            Some("prev") => Action::Prev,
            Some(_) => return Err(fault("malformed-action")),
        })
    }
}

pub(super) struct Commands {
    commands: Vec<Rc<dyn Command>>,
    clock: Clock,
    sessions: Rc<RefCell<Sessions>>,
}

impl Commands {
    pub(super) fn new(commands: Vec<Rc<dyn Command>>, clock: Clock) -> Commands {
        Commands {
            commands,
            sessions: Rc::new(RefCell::new(Sessions::new(clock.clone()))),
            clock,
        }
    }

    /// The command of that name, if `peer` may give it to `domain`.
    fn find(&self, node: &str, peer: &Peer, domain: &str) -> Result<&Rc<dyn Command>, StanzaError> {
        let mut commands = self.commands.iter();
        let command = commands
            .find(|command| command.node() == node)
            .ok_or_else(|| StanzaError::new(Condition::ItemNotFound))?;
        if command.allows(peer, domain) {
            Ok(command)
        } else {
            Err(StanzaError::new(Condition::Forbidden))
        }
    }

    /// XEP-0050 §2.2: the commands that `peer` may give to `domain`, for others none.
    fn items(&self, peer: &Peer, domain: &str) -> Element {
        let mut list = Element::new("query", ITEMS).with_attr("node", NS);
        let commands = self.commands.iter();
        for command in commands.filter(|command| command.allows(peer, domain)) {
            list.push(
                Element::new("item", ITEMS)
                    .with_attr("jid", domain)
                    .with_attr("node", command.node())
                    .with_attr("name", command.title()),
            );
        }
        list
    }

    /// What service discovery says of the list, or of one command.
    fn discover(&self, query: &Element, peer: &Peer, domain: &str) -> Outcome {
        let node = query.attr("node").unwrap_or_default();
        let (kind, title) = if node == NS {
            if query.is("query", ITEMS) {
                return Ok(Some(self.items(peer, domain)));
            }
            ("command-list", "Commands")
        } else {
            let command = self.find(node, peer, domain)?;
            if query.is("query", ITEMS) {
                return Ok(Some(Element::new("query", ITEMS).with_attr("node", node)));
            }
            ("command-node", command.title())
        };
        let identity = Element::new("identity", INFO)
            .with_attr("category", "automation")
            .with_attr("type", kind)
            .with_attr("name", title);
        let feature = |name| Element::new("feature", INFO).with_attr("var", name);
        Ok(Some(
            Element::new("query", INFO)
                .with_attr("node", node)
                .with_child(identity)
                .with_child(feature(NS))
                .with_child(feature(FORM_NS)),
        ))
    }

    /// A step of a command: the first, or one of a session.
    fn step(
        &self,
        payload: &Element,
        peer: &Arc<Peer>,
        domain: &str,
    ) -> Result<Answer, StanzaError> {
        let node = payload.attr("node").unwrap_or_default();
        let command = self.find(node, peer, domain)?;
        let action = Action::of(payload)?;
        match payload.attr("sessionid") {
            None if action == Action::Execute => Ok(self.begin(command, peer, domain)),
            None => Err(fault("bad-action")),
            Some(id) => {
                let place = (domain, command.node());
                let known = self.sessions.borrow().check(id, &peer.jid, place);
                known.map_err(lost)?;
                self.go_on(command, (id, action, payload), peer, domain)
            }
        }
    }

    fn begin(&self, command: &Rc<dyn Command>, peer: &Arc<Peer>, domain: &str) -> Answer {
        let Some(form) = command.form() else {
            let order = Order {
                peer: peer.clone(),
                domain: domain.to_owned(),
                form: Submission::default(),
            };
            let (work, id, node) = (command.run(order), self.clock.random_id(), command.node());
            return Answer::wait(async move {
                let done = work.await?;
                Ok(Some(completed(node, &id, done)))
            });
        };
        let node = command.node();
        let id = self.sessions.borrow_mut().begin(&peer.jid, domain, node);
        let actions = Element::new("actions", NS)
            .with_attr("execute", "complete")
            .with_child(Element::new("complete", NS));
        Answer::Now(Ok(Some(
            reply(node, &id, "executing")
                .with_child(actions)
                .with_child(form.to_element()),
        )))
    }

    /// The form comes back, or the session is given up. What is refused can be mended and sent again.
    fn go_on(
        &self,
        command: &Rc<dyn Command>,
        (id, action, payload): (&str, Action, &Element),
        peer: &Arc<Peer>,
        domain: &str,
    ) -> Result<Answer, StanzaError> {
        let node = command.node();
        match action {
            Action::Execute | Action::Complete => {}
            Action::Next | Action::Prev => return Err(fault("bad-action")),
            Action::Cancel => {
                self.sessions.borrow_mut().end(id, &peer.jid);
                return Ok(Answer::Now(Ok(Some(reply(node, id, "canceled")))));
            }
        }
        let form = payload.child("x", FORM_NS).ok_or(FormError::NotSubmitted);
        let form = form
            .and_then(|form| Submission::read(form, command.about()))
            .map_err(|error| bad_payload(&error))?;
        let work = command.run(Order {
            peer: peer.clone(),
            domain: domain.to_owned(),
            form,
        });
        let (sessions, id, jid) = (self.sessions.clone(), id.to_owned(), peer.jid.clone());
        Ok(Answer::wait(async move {
            let done = work.await?;
            sessions.borrow_mut().end(&id, &jid);
            Ok(Some(completed(node, &id, done)))
        }))
    }
}

fn lost(lost: Lost) -> StanzaError {
    match lost {
        Lost::Unknown => fault("bad-sessionid"),
        Lost::Expired => StanzaError::new(Condition::NotAllowed)
            .with_type(ErrorType::Cancel)
            .with_detail("session-expired", NS),
    }
}

fn reply(node: &str, id: &str, status: &str) -> Element {
    Element::new("command", NS)
        .with_attr("node", node)
        .with_attr("sessionid", id)
        .with_attr("status", status)
        .with_attr("xml:lang", "en")
}

fn completed(node: &str, id: &str, done: Done) -> Element {
    let mut reply = reply(node, id, "completed");
    if let Some(form) = done.form {
        reply.push(form.to_element());
    }
    if let Some(note) = done.note {
        let note = Element::new("note", NS)
            .with_attr("type", "info")
            .with_text(&note);
        reply.push(note);
    }
    reply
}

impl Service for Commands {
    fn name(&self) -> &'static str {
        "xep0050_commands"
    }

    fn features(&self) -> &'static [&'static str] {
        &[NS]
    }

    fn takes(&self, kind: &str, payload: &PayloadStart<'_>, target: Target<'_>) -> bool {
        if matches!(target, Target::Account(_)) {
            return false;
        }
        if kind == "set" {
            return payload.is("command", NS);
        }
        let discovers = payload.is("query", INFO) || payload.is("query", ITEMS);
        let ours =
            |node: &str| node == NS || self.commands.iter().any(|command| command.node() == node);
        discovers && payload.attr("node").is_some_and(|node| ours(&node))
    }

    /// XEP-0050 §3.7 shows it so, and slixmpp finds the session by it. What was filled in is not repeated.
    fn echo(&self, payload: &Element) -> Option<Element> {
        let mut echo = Element::new("command", NS);
        for name in ["node", "sessionid"] {
            let value = payload.attr(name);
            echo.set_attr(name, value.filter(|value| value.len() <= ECHO_BYTES));
        }
        payload.is("command", NS).then_some(echo)
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        let Request { payload, peer, .. } = request;
        let domain = match request.target {
            Target::Server(domain) => domain,
            // The server answers for an account (RFC 6121 §8.5.1), and some clients look for its commands there.
            Target::Own => peer.jid.domain(),
            Target::Account(_) => return Answer::refuse(Condition::ServiceUnavailable),
        };
        if request.kind == "get" {
            return Answer::Now(self.discover(payload, peer, domain));
        }
        self.step(payload, peer, domain)
            .unwrap_or_else(|error| Answer::Now(Err(error)))
    }
}
