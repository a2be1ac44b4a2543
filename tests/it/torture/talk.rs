//! What a user says, and what it makes of what it is told.

use std::io;

use stanzad::xml::Element;

use super::Habit;
use super::ledger::Message;
use super::link::Link;
use super::user::{Faulty, Over, Question, User};
use super::world::{Phase, RESOURCE, count, name};
use crate::harness::{Mechanism, Peer};

const PRIVATE: &str = "jabber:iq:private";

impl User {
    /// Does one thing.
    pub(super) async fn act(&mut self) -> io::Result<()> {
        match self.world.phase.get() {
            Phase::Load => self.talk().await,
            Phase::Finish => self.finish().await,
            Phase::Fence => self.fence().await,
            Phase::Leave | Phase::Over => {
                self.closing = true;
                Ok(())
            }
        }
    }

    async fn talk(&mut self) -> io::Result<()> {
        match self.random.below(100) {
            0..60 => {
                for _ in 0..=self.random.below(4) {
                    let (message, stanza) = self.new_message();
                    if self.seen().habit == Habit::Plain {
                        self.unconfirmed.push(message);
                    }
                    self.send(&stanza).await?;
                }
                if self.random.percent(30) {
                    self.request().await?;
                }
                Ok(())
            }
            60..68 => self.ping("localhost").await,
            68..76 => {
                // One who resumes gets every question and answers it, unless the server dies.
                let other = self.somebody_else();
                let seen = &self.world.users[other];
                if seen.habit == Habit::Resumes && seen.life.get() == Some(self.world.life.get()) {
                    self.ping(&format!("{}@localhost/{RESOURCE}", name(other)))
                        .await?;
                }
                Ok(())
            }
            76..82 => self.send("<presence><show>away</show></presence>").await,
            82..84 => {
                // Meanwhile everything is stored.
                self.send("<presence type='unavailable'/>").await?;
                self.send("<presence/>").await
            }
            84..89 => self.settle().await,
            89..96 => self.request().await,
            _ => {
                let prompt = self.random.percent(75);
                if let Some(managed) = self.link.as_mut().and_then(Link::managed) {
                    managed.prompt = prompt;
                    managed.acknowledge().await?;
                }
                Ok(())
            }
        }
    }

    async fn ask(&mut self, question: Question, stanza: impl Fn(&str) -> String) -> io::Result<()> {
        self.asked += 1;
        let id = format!("q.{}.{}", self.session, self.asked);
        let stanza = stanza(&id);
        self.questions.insert(id, (question, self.world.gone.get()));
        self.send(&stanza).await
    }

    async fn ping_for(&mut self, question: Question, to: &str) -> io::Result<()> {
        let ping = |id: &str| {
            format!("<iq type='get' to='{to}' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>")
        };
        self.ask(question, ping).await
    }

    async fn ping(&mut self, to: &str) -> io::Result<()> {
        self.ping_for(Question::Ping, to).await
    }

    /// Asks whether what was sent is safe.
    async fn request(&mut self) -> io::Result<()> {
        match self.link.as_mut().and_then(Link::managed) {
            Some(managed) => managed.request().await,
            None => {
                let safe = Question::Acknowledges(std::mem::take(&mut self.unconfirmed));
                self.ping_for(safe, "localhost").await
            }
        }
    }

    /// Tells the server what has arrived, and has it write something behind that: when this is answered, the rows of what
    /// arrived are gone, for the store writes in order.
    async fn settle(&mut self) -> io::Result<()> {
        if let Some(managed) = self.link.as_mut().and_then(Link::managed) {
            managed.acknowledge().await?;
        }
        let come = self.world.ledger.borrow().come(self.me);
        let write = |id: &str| {
            format!(
                "<iq type='set' id='{id}'><query xmlns='{PRIVATE}'><mark xmlns='torture:mark'>{id}</mark></query></iq>"
            )
        };
        self.ask(Question::Settles(come), write).await
    }

    /// Everything that was said is to be acknowledged, everything asked answered.
    async fn finish(&mut self) -> io::Result<()> {
        let acknowledged = match self.link.as_mut().and_then(Link::managed) {
            Some(managed) => {
                if !std::mem::replace(&mut managed.prompt, true) {
                    // It has been asked already.
                    managed.acknowledge().await?;
                }
                managed.is_acknowledged()
            }
            None => self.unconfirmed.is_empty(),
        };
        if acknowledged && self.questions.is_empty() {
            self.seen().through.set(Some(Phase::Finish));
            Ok(())
        } else if acknowledged || self.random.percent(90) {
            Ok(())
        } else {
            self.request().await
        }
    }

    /// Sends itself a message, which comes behind everything that is safe; then settles.
    async fn fence(&mut self) -> io::Result<()> {
        if self.fenced {
            return Ok(());
        }
        self.fenced = true;
        let fence = format!(
            "<message to='{}@localhost' type='chat' id='fence'><body>fence</body></message>",
            name(self.me)
        );
        self.send(&fence).await
    }

    /// Takes an element. The outer error is a fault of the server, the inner one the end of the connection.
    pub(super) async fn take(&mut self, element: Element) -> Faulty<io::Result<()>> {
        let Some(link) = self.link.as_mut() else {
            return Ok(Ok(()));
        };
        let taken = match link.take(element).await {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(error.to_string());
            }
            Err(error) => return Ok(Err(error)),
        };
        if let Some(managed) = link.managed() {
            let acknowledged = managed.take_acknowledged();
            self.acknowledged(acknowledged);
        }
        let Some(element) = taken else {
            return Ok(Ok(()));
        };
        match element.name() {
            "message" => self.take_message(&element).await,
            "iq" => self.take_iq(&element).await,
            "presence" => Ok(Ok(())),
            _ => {
                self.last_words = Some(element.to_string());
                Ok(Ok(()))
            }
        }
    }

    async fn take_message(&mut self, element: &Element) -> Faulty<io::Result<()>> {
        let id = element.attr("id").unwrap_or_default();
        if id == "fence" {
            return Ok(self.settle().await);
        }
        let sender = element.attr("from").unwrap_or_default();
        let message = Message::of_id(id)
            .filter(|message| element.attr("type") == Some("chat") && message.to == self.me)
            .filter(|message| sender == format!("{}@localhost/{RESOURCE}", name(message.from)))
            .ok_or_else(|| format!("{} got {element}", name(self.me)))?;
        let place = (self.session, self.connection());
        self.world.ledger.borrow_mut().got(message, place)?;
        Ok(Ok(()))
    }

    async fn take_iq(&mut self, element: &Element) -> Faulty<io::Result<()>> {
        let id = element.attr("id").unwrap_or_default();
        if matches!(element.attr("type"), Some("get" | "set")) {
            let to = element.attr("from").unwrap_or_default();
            let answer = format!("<iq type='result' to='{to}' id='{id}'/>");
            return Ok(self.send(&answer).await);
        }
        let Some((question, gone)) = self.questions.remove(id) else {
            // One that was on its way while the server stopped may have been refused by what was still there.
            return match self.answered.get(id) {
                Some(gone) if *gone == self.world.gone.get() => {
                    Err(format!("{} is answered twice: {element}", name(self.me)))
                }
                Some(_) => {
                    count(&self.world.figures.answered_again);
                    Ok(Ok(()))
                }
                None => Ok(Ok(())),
            };
        };
        self.answered.insert(id.to_owned(), gone);
        if element.attr("type") != Some("result") {
            return if self.is_served() && gone == self.world.gone.get() {
                Err(format!("{} is refused: {element}", name(self.me)))
            } else {
                Ok(Ok(()))
            };
        }
        match question {
            Question::Ping => count(&self.world.figures.pings),
            Question::Acknowledges(messages) => {
                let mut ledger = self.world.ledger.borrow_mut();
                messages
                    .into_iter()
                    .for_each(|message| ledger.acknowledge(message));
            }
            Question::Settles(come) => {
                self.world
                    .ledger
                    .borrow_mut()
                    .settle(self.me, self.session, come);
                if self.fenced {
                    self.seen().through.set(Some(Phase::Fence));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Closes the stream.
    pub(super) async fn leave(&mut self) -> Faulty<Over> {
        if let Some(link) = self.link.take() {
            let closed = link.close().await;
            closed.map_err(|error| format!("{} cannot leave: {error}", name(self.me)))?;
        }
        Ok(Over::Left)
    }

    /// Logs in once more: everything has come, so nothing is left.
    pub(super) async fn look_for_leftovers(&mut self) -> Faulty<()> {
        let login = self.world.login(self.me, &mut self.random);
        let online = Peer::online(&login.mechanism(Mechanism::ScramSha256)).await;
        let (peer, kept) =
            online.map_err(|error| format!("{} cannot come back: {error}", name(self.me)))?;
        count(&self.seen().connection);
        let place = (self.session + 1, self.connection());
        for message in kept {
            let id = Message::of_id(message.attr("id").unwrap_or_default());
            let id = id.ok_or_else(|| format!("{} finds {message}", name(self.me)))?;
            self.world.ledger.borrow_mut().got(id, place)?;
        }
        let _ = peer.close().await;
        self.seen().through.set(Some(Phase::Over));
        Ok(())
    }
}
